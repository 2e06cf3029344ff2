"""Files play in real time, streams and devices are read as they come, and every failure is one line."""

import http.server
import threading
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest

from live.cameras import ArrivalClock, CameraError, DeviceCamera, FileCamera, StreamCamera, open_camera
from tests.clips import picture, write_clip
from video.reader import VideoReader

BOUNDARY = b'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n'


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / 'in.mp4', 6, (64, 48), rate=20)


def test_a_file_plays_at_its_own_rate(clip):
    camera, started = FileCamera(clip), time.perf_counter()
    arrivals = [(frame.pts * camera.info.time_base, time.perf_counter() - started)
                for frame in camera.frames(threading.Event())]
    assert [pts for pts, _ in arrivals] == [Fraction(i, 20) for i in range(6)]
    assert all(arrived >= pts for pts, arrived in arrivals)           # never early
    assert arrivals[-1][1] < 2                                        # and not slower by an order of magnitude


def test_a_file_gives_the_converters_frames(clip):
    live = [frame.pixels for frame in FileCamera(clip).frames(threading.Event())]
    np.testing.assert_array_equal(live, [frame.pixels for frame in VideoReader(clip)])


def test_a_loop_goes_on_with_increasing_times(clip):
    stop, times = threading.Event(), []
    camera = FileCamera(clip, loop=True)
    for frame in camera.frames(stop):
        times.append(frame.pts * camera.info.time_base)
        if len(times) == 15:
            stop.set()
    assert times == [Fraction(i, 20) for i in range(15)]


def test_stop_does_not_wait_for_the_next_frame(tmp_path):
    camera, stop = FileCamera(write_clip(tmp_path / 'slow.mkv', 2, rate=Fraction(1, 60), codec='ffv1',
                                         pix_fmt='bgr0')), threading.Event()
    threading.Timer(0.2, stop.set).start()
    started = time.perf_counter()
    assert len(list(camera.frames(stop))) == 1
    assert time.perf_counter() - started < 20


def test_a_damaged_file_is_a_camera_that_dies(tmp_path):
    clip = write_clip(tmp_path / 'in.mkv', 120, (64, 48), rate=60, options={'crf': '4', 'g': '1'},
                      make=lambda index, W, H: np.random.default_rng(index).integers(0, 255, (H, W, 3), np.uint8))
    data = clip.read_bytes()
    clip.write_bytes(data[:len(data) // 2])
    with pytest.raises(CameraError, match='is damaged: read'):
        list(FileCamera(clip).frames(threading.Event()))


def test_a_device_is_read_as_it_comes(clip):
    """OpenCV reads a file here as it reads a camera; only the driver is another one."""
    camera = DeviceCamera(str(clip), size=(1280, 720), frame_rate=60, fourcc='MJPG', backend=cv2.CAP_FFMPEG)
    assert (camera.info.width, camera.info.height, camera.info.frame_rate) == (64, 48, 20)
    assert camera.notes == [f'asked for 1280x720, camera {clip} gives 64x48',
                            f'asked for 60 frames per second, camera {clip} says 20']
    frames = []
    with pytest.raises(CameraError, match='gives no more pictures: unplugged'):
        for frame in camera.frames(threading.Event()):
            frames.append(frame)
    camera.close()
    assert len(frames) == 6 - 1 - 4             # the one that was looked at, and those from before the start
    assert abs(frames[0].pixels.astype(float) - picture(5, 64, 48)).mean() < 4      # RGB; BGR would be 30 away


class Broadcast(http.server.BaseHTTPRequestHandler):
    """Motion JPEG, five pictures, then the line is cut."""

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=frame')
        self.end_headers()
        for index in range(5):
            data = cv2.imencode('.jpg', picture(index, 64, 48)[..., ::-1])[1].tobytes()
            self.wfile.write(BOUNDARY % (len(data), data))

    def log_message(self, *args):
        pass


def test_a_stream(tmp_path):
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Broadcast) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/live.mjpg'
        camera, frames = StreamCamera(url), []
        assert (camera.info.width, camera.info.height) == (64, 48)
        with pytest.raises(CameraError, match=f'{url} (ended|failed)'):
            for frame in camera.frames(threading.Event()):
                frames.append(frame)
        server.shutdown()
    assert len(frames) >= 4                     # FFmpeg may wait for what follows the last one
    assert all(b.pts > a.pts for a, b in zip(frames, frames[1:]))
    assert abs(frames[3].pixels.astype(float) - picture(3, 64, 48)).mean() < 4
    with pytest.raises(ValueError, match=f'{url} does not open: Connection refused'):
        StreamCamera(url)


def test_arrival_times_increase():
    clock = ArrivalClock()
    times = [clock.now() for _ in range(1000)]
    assert all(b > a for a, b in zip(times, times[1:]))


@pytest.mark.parametrize('source, asked, message', [
    ('97', {}, 'camera 97 does not open: not there, used by another program, or not allowed'),
    ('/dev/video97', {}, 'camera /dev/video97 does not open'),
    ('nothing.mp4', {}, 'camera nothing.mp4: expected a camera number .*; there is no such file'),
    ('CLIP', {'size': (640, 480)}, '--size and --fourcc ask a camera of this machine, .* is none: use --input-resize'),
    ('CLIP', {'fourcc': 'MJPG'}, '--size and --fourcc ask a camera'),
    ('CLIP', {'frame_rate': 30}, '--fps asks a camera, or sets the rate of a folder of images'),
    ('97', {'loop': True}, '--loop plays files again, 97 is none'),
    ('TEXT', {}, 'is not a video that FFmpeg can read'),
])
def test_what_does_not_open(clip, tmp_path, source, asked, message):
    text = tmp_path / 'text.mp4'
    text.write_text('no video')
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        open_camera({'CLIP': str(clip), 'TEXT': str(text)}.get(source, source), **asked)


def test_a_folder_of_images_plays_too(tmp_path):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f'{index}.png'), picture(index, 32, 24))
    camera = open_camera(str(tmp_path), frame_rate=50)
    assert len(list(camera.frames(threading.Event()))) == 3 and camera.info.frame_rate == 50
