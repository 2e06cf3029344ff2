"""The live loop: what is shown, what is dropped, what is recorded, and what keys do."""

import os
import signal
import sys
import threading
import time
import types
from fractions import Fraction

import numpy as np
import pytest

from engine.matter import Matter
from inference import convert_video
from live.backgrounds import BackgroundCycle
from live.cameras import CameraError
from live.capture import Capture
from live.recording import Recording
from live.session import LiveSession
from live.virtual_camera import VirtualCamera
from tests.clips import BrightnessNetwork, picture, read_times, write_clip
from tests.live.fakes import GatedMatter, ScriptedCamera, patient_capture
from video.frame import StreamInfo
from video.outputs import EncodingOptions, plan_outputs
from video.reader import VideoReader

NETWORK = BrightnessNetwork()
INFO = StreamInfo(64, 48, Fraction(25), Fraction(1, 25))


class Screen:
    """Instead of a window or a virtual camera: keeps what it is shown, presses keys at given frames."""

    def __init__(self, presses: dict[int, str] | None = None):
        self.pictures, self.presses, self.closed = [], presses or {}, False

    def show(self, shown):
        self.pictures.append(shown)

    def pressed_keys(self):
        key = self.presses.pop(len(self.pictures), None)
        return [key] if key else []

    def close(self):
        pass


def pixels_of(path) -> list[np.ndarray]:
    return [frame.pixels for frame in VideoReader(path)]


def record(path, background=None, info=INFO) -> Recording:
    planned = plan_outputs({'composition': path}, path.with_name('camera'), 'auto', None, background is not None, False)
    return Recording(planned, info, EncodingOptions())


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / 'in.mp4', 12, (64, 48))


@pytest.mark.parametrize('name, background', [('out.mkv', '#102030'), ('out.mkv', 'blur'), ('out.mkv', None),
                                              ('out.mov', 'white'), ('out.mp4', None)])
def test_a_recording_is_what_the_converter_writes(clip, tmp_path, name, background):
    """Without dropped frames: the same pixels at the same times, also after warming up."""
    capture = patient_capture(clip)
    recording = record(tmp_path / name, background, capture.camera.info)
    session = LiveSession(capture, Matter(NETWORK, 1.0), BackgroundCycle([background or 'green']), recording)
    session.warm_up()
    report = session.run()
    assert (report.error, report.frames, report.dropped, recording.count) == ('', 12, 0, 12)
    expected = tmp_path / f'expected{(tmp_path / name).suffix}'
    convert_video(NETWORK, clip, downsample_ratio=1, output_composition=expected, background=background, audio=False,
                  progress=False)
    difference = abs(np.int32(pixels_of(tmp_path / name)) - np.int32(pixels_of(expected)))
    # libx264 does not repeat itself: two encodings of the same pixels differ
    assert difference.max() == 0 if name != 'out.mp4' else difference.mean() < 1
    assert read_times(tmp_path / name) == read_times(expected)


def test_a_slow_network_drops_late_frames_and_tells_the_latency():
    matter, rest_given = GatedMatter(), threading.Event()

    def pictures():
        yield picture(0, 64, 48)
        assert matter.entered.wait(20)
        for index in range(1, 6):                 # while the network is busy with the first
            yield picture(index, 64, 48)
        rest_given.wait(0.3)
        matter.go.set()
    window = Screen()
    report = LiveSession(Capture(ScriptedCamera(pictures(), INFO)), matter, BackgroundCycle(), window=window,
                         overlay=False).run()
    assert report.frames == 2 and report.dropped == 4
    expected = Matter(NETWORK)
    expected.step(picture(0, 64, 48))
    fgr, pha = expected.step(picture(5, 64, 48))          # the newest one, with the state of the first
    green = np.float32([120, 255, 155]) / 255
    com = fgr.permute(1, 2, 0).numpy() * pha[0, ..., None].numpy() + green * (1 - pha[0, ..., None].numpy())
    assert abs(window.pictures[1] - com * 255).max() <= 0.51
    assert report.latency_ms_max >= 300 and report.latency_ms_median >= 300      # both waited for the network


def test_keys(clip):
    window = Screen({2: 'b', 4: 'a', 6: 'a', 8: 'o', 10: 'q'})
    session = LiveSession(patient_capture(clip), Matter(NETWORK, 1.0), BackgroundCycle(['red', 'blue']), window=window,
                          overlay=False)
    report = session.run()
    assert report.frames == 10 and report.error == ''
    corner = [tuple(shown[0, 0]) for shown in window.pictures]            # dark there: alpha is 0
    assert corner[:4] == [(255, 0, 0)] * 2 + [(0, 0, 255)] * 2
    assert corner[4:6] == [(0, 0, 0)] * 2 and corner[6:8] == [(0, 0, 255)] * 2
    assert np.ptp(window.pictures[4], axis=2).max() == 0 and window.pictures[4].max() > 200     # alpha is grey
    assert corner[8:] == [(0, 0, 89)] * 2 and window.pictures[9].min(axis=2).max() > 200      # dim, with white text


def test_reset_forgets_the_past(clip):
    frames = pixels_of(clip)
    window = Screen({5: 'a', 6: 'r'})
    LiveSession(patient_capture(clip), Matter(NETWORK, 1.0), BackgroundCycle(), window=window, overlay=False).run()
    with_past, fresh = Matter(NETWORK, 1.0), Matter(NETWORK, 1.0)
    expected = []
    for index, pixels in enumerate(frames):
        matter = with_past if index < 6 else fresh
        expected.append(matter.step(pixels)[1][0].numpy() * 255)
    for index in (5, 6, 7):
        assert abs(window.pictures[index][..., 0] - expected[index]).max() <= 0.51
    assert abs(with_past.step(frames[6])[1][0].numpy() * 255 - expected[6]).max() > 5      # it makes a difference


def test_the_window_is_a_mirror_and_the_recording_is_not(clip, tmp_path):
    recording, window, virtual = record(tmp_path / 'out.mkv', 'red', VideoReader(clip).info), Screen(), Screen()
    LiveSession(patient_capture(clip), Matter(NETWORK, 1.0), BackgroundCycle(['red']), recording, window, virtual,
                overlay=False, mirror=True).run()
    recorded = pixels_of(tmp_path / 'out.mkv')
    np.testing.assert_array_equal(virtual.pictures, recorded)
    np.testing.assert_array_equal([shown[:, ::-1] for shown in window.pictures], recorded)


def test_showing_alpha_does_not_change_the_recording(clip, tmp_path):
    recordings = []
    for name, presses in (('a.mkv', {}), ('b.mkv', {3: 'a', 8: 'b'})):
        recordings.append(record(tmp_path / name))             # no background: transparent
        LiveSession(patient_capture(clip), Matter(NETWORK, 1.0), BackgroundCycle(), recordings[-1],
                    Screen(presses)).run()
    np.testing.assert_array_equal(pixels_of(tmp_path / 'a.mkv'), pixels_of(tmp_path / 'b.mkv'))


def test_limits(clip):
    def endless():
        while True:
            yield picture(0, 64, 48)
            time.sleep(0.005)
    assert LiveSession(patient_capture(clip), Matter(NETWORK), BackgroundCycle(), max_frames=4).run().frames == 4
    started = time.perf_counter()
    report = LiveSession(Capture(ScriptedCamera(endless(), INFO)), Matter(NETWORK), BackgroundCycle(),
                         duration=0.3).run()
    assert report.frames > 0 and 0.3 <= time.perf_counter() - started < 10


def test_a_camera_that_dies_leaves_a_whole_recording(tmp_path):
    shown = threading.Event()

    def pictures():
        for index in range(3):
            shown.clear()
            yield picture(index, 64, 48)
            assert shown.wait(20)
        raise CameraError('unplugged')

    class Signalling(Screen):
        def show(self, picture_shown):
            shown.set()
    recording = record(tmp_path / 'out.mkv')
    report = LiveSession(Capture(ScriptedCamera(pictures(), INFO)), Matter(NETWORK), BackgroundCycle(), recording,
                         virtual_camera=Signalling()).run()
    assert report.error == 'unplugged' and len(pixels_of(tmp_path / 'out.mkv')) == 3


def test_a_silent_camera_is_gone(monkeypatch):
    monkeypatch.setattr('live.session.SILENCE', 0.1)
    released = threading.Event()

    def pictures():
        yield picture(0, 64, 48)
        released.wait(30)
    camera = ScriptedCamera(pictures(), INFO)
    camera.ends = False
    report = LiveSession(Capture(camera), Matter(NETWORK), BackgroundCycle()).run()
    released.set()
    assert report.error == 'scripted has given no picture for 0.1 s' and report.frames == 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_finish_the_recording(clip, tmp_path, number):
    class Interrupting(Screen):
        def show(self, shown):
            super().show(shown)
            if len(self.pictures) == 5:
                os.kill(os.getpid(), number)
    recording, before = record(tmp_path / 'out.mp4'), signal.getsignal(number)
    report = LiveSession(patient_capture(clip), Matter(NETWORK), BackgroundCycle(), recording,
                         virtual_camera=Interrupting()).run()
    assert report.error == '' and report.frames == 5 and len(pixels_of(tmp_path / 'out.mp4')) == 5
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_gives_up(clip, tmp_path):
    class Impatient(Screen):
        def show(self, shown):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        LiveSession(patient_capture(clip), Matter(NETWORK), BackgroundCycle(), record(tmp_path / 'out.mp4'),
                    virtual_camera=Impatient()).run()
    assert not list(tmp_path.glob('out*'))


def test_even_a_bug_leaves_a_whole_recording(clip, tmp_path):
    class Broken(Screen):
        def show(self, shown):
            super().show(shown)
            if len(self.pictures) == 4:
                raise KeyError('a bug')
    with pytest.raises(KeyError, match='a bug'):
        LiveSession(patient_capture(clip), Matter(NETWORK), BackgroundCycle(), record(tmp_path / 'out.mkv'),
                    virtual_camera=Broken()).run()
    assert len(pixels_of(tmp_path / 'out.mkv')) == 3


def test_a_recording_that_fails_ends_the_session(tmp_path):
    def pictures():
        yield picture(0, 64, 48)
        while True:
            yield picture(0, 32, 24)          # a stream that changes its size
    report = LiveSession(Capture(ScriptedCamera(pictures(), INFO)), Matter(NETWORK), BackgroundCycle(),
                         record(tmp_path / 'out.mp4'), max_frames=10_000).run()
    assert 'a frame is 32x24, the video started with 64x48' in report.error
    assert not list(tmp_path.glob('out*'))


def test_a_virtual_camera(monkeypatch, clip):
    sent = []

    class Camera:
        device = '/dev/video9'

        def __init__(self, width, height, fps, device=None):
            sent.append((width, height, fps, device))

        def send(self, pixels):
            assert pixels.flags.c_contiguous and pixels.dtype == np.uint8
            sent.append(pixels)

        def close(self):
            sent.append('closed')
    monkeypatch.setitem(sys.modules, 'pyvirtualcam', types.SimpleNamespace(Camera=Camera))
    virtual = VirtualCamera((64, 48), Fraction(25))
    assert virtual.name == '/dev/video9'
    LiveSession(patient_capture(clip), Matter(NETWORK), BackgroundCycle(['red']), virtual_camera=virtual).run()
    assert sent[0] == (64, 48, 25.0, None) and sent[-1] == 'closed' and len(sent) == 14
    assert sent[5].shape == (48, 64, 3) and tuple(sent[5][0, 0]) == (255, 0, 0)


def test_a_virtual_camera_that_cannot_be(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyvirtualcam', None)
    with pytest.raises(RuntimeError, match='pip install -r requirements/webcam.txt'):
        VirtualCamera((64, 48), Fraction(25))

    def refuse(*args, **kwargs):
        raise RuntimeError('no device found\nat /dev/video*')
    monkeypatch.setitem(sys.modules, 'pyvirtualcam', types.SimpleNamespace(Camera=refuse))
    monkeypatch.setattr(sys, 'platform', 'linux')
    with pytest.raises(RuntimeError, match=r'no virtual camera here \(no device found at /dev/video\*\): load v4l2'):
        VirtualCamera((64, 48), Fraction(25))


def test_a_virtual_camera_on_a_machine_without(tmp_path):
    pytest.importorskip('pyvirtualcam', reason='needs pip install -r requirements/webcam.txt')
    if list(tmp_path.__class__('/dev').glob('video*')):
        pytest.skip('this machine has video devices')
    with pytest.raises(RuntimeError, match='no virtual camera here'):
        VirtualCamera((64, 48), Fraction(25))
