"""Where live frames come from: a camera of this machine, a stream from the net, or a file that plays in real time."""

import math
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from video.frame import Frame, StreamInfo
from video.inputs import open_reader
from video.reader import EXACT, video_stream

TICK = Fraction(1, 90_000)       # [s] time base of cameras and streams: frames are stamped when they arrive
DEFAULT_RATE = 30                # [1/s] where a camera does not say
STALE = 4                        # frames that drivers keep from before somebody asked
STREAM_TIMEOUT = 5.0             # [s] without data
# a playlist from the net must not make us read files of this machine
PROTOCOLS = 'rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,rtmp,rtmps,rtmpt,srt,crypto,data'
EXPECTED = 'a camera number (0), a device (/dev/video0), a URL (rtsp://...) or a video file'


class CameraError(RuntimeError):
    """The camera stopped giving frames."""


class FileCamera:
    """A video file or a folder of images that plays at its own frame rate, like a camera that shows it.

    Args:
        path: of the file or folder.
        frame_rate: [1/s] of a folder of images.
        loop: begin again at the end.
    Raises:
        FileNotFoundError, ValueError: as the readers.
    """

    ends = True                  # its last frame is no failure

    def __init__(self, path: Path, frame_rate: float = DEFAULT_RATE, loop: bool = False):
        self.name, self._reader, self._loop, self.notes = str(path), open_reader(path, frame_rate), loop, []
        # a loop's length is nobody's promise
        self.info = replace(self._reader.info, frame_count=None) if loop else self._reader.info

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Each frame at the moment it is due; one that could not be decoded in time follows as soon as it is.

        Raises:
            CameraError: the file is damaged.
        """
        started, first, shift, index = time.perf_counter(), None, 0, 0
        step = max(1, round(1 / (self.info.frame_rate * self.info.time_base)))
        while True:
            for frame in self._reader:
                first = frame.pts if first is None else first
                pts = frame.pts + shift
                stop.wait(max(0.0, started + float((pts - first) * self.info.time_base) - time.perf_counter()))
                if stop.is_set():
                    return
                yield Frame(frame.pixels, index, pts)
                index += 1
            if self._reader.damage:
                raise CameraError(self._reader.damage)
            if not self._loop:
                return
            shift = pts + step - first

    def close(self) -> None:
        """Nothing to give back."""


class DeviceCamera:
    """A camera of this machine, through OpenCV.

    Args:
        device: its number, or its path.
        size: (width, height) [px] to ask for.
        frame_rate: [1/s] to ask for.
        fourcc: pixel format to ask for, four letters; many cameras are fast at large sizes only as MJPG.
        backend: of OpenCV; None takes the system's own.
    Raises:
        ValueError: the camera does not open or gives no picture.
    """

    ends = False

    def __init__(self, device: int | str, size: tuple[int, int] | None = None, frame_rate: float | None = None,
                 fourcc: str | None = None, backend: int | None = None):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)     # its warnings repeat what we say in a line
        self.name, self.notes = f'camera {device}', []
        if backend is None:
            backend = cv2.CAP_V4L2 if sys.platform.startswith('linux') else cv2.CAP_ANY
        self._capture = cv2.VideoCapture(device, backend)
        if not self._capture.isOpened():
            raise ValueError(f'camera {device} does not open: not there, used by another program, or not allowed')
        if fourcc is not None:
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if frame_rate is not None:
            self._capture.set(cv2.CAP_PROP_FPS, frame_rate)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        found, pixels = self._capture.read()
        if not found:
            self._capture.release()
            raise ValueError(f'camera {device} opens, but gives no picture: used by another program?')
        height, width = pixels.shape[:2]
        rate = _plausible(self._capture.get(cv2.CAP_PROP_FPS))
        if size is not None and size != (width, height):
            self.notes.append('asked for {}x{}, {} gives {}x{}'.format(*size, self.name, width, height))
        if frame_rate is not None and abs(rate - frame_rate) > 0.5:
            self.notes.append(f'asked for {frame_rate:g} frames per second, {self.name} says {float(rate):g}')
        self.info = StreamInfo(width, height, rate, TICK)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Frames as they come; the time of each is when it arrived.

        Raises:
            CameraError: the camera gives no more.
        """
        for _ in range(STALE):
            self._capture.grab()
        clock, index = ArrivalClock(), 0
        while not stop.is_set():
            found, pixels = self._capture.read()
            if not found:
                raise CameraError(f'{self.name} gives no more pictures: unplugged, or taken by another program')
            yield Frame(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), index, clock.now())
            index += 1

    def lock_exposure(self, locked: bool) -> bool:
        """Keep exposure and white balance as they are; says whether the driver does. V4L2 counts 1 as manual and 3 as
        automatic exposure, others 0.25 and 0.75."""
        values = ((1, 0.25), (3, 0.75))[not locked]
        exposure = any(self._capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, value) for value in values)
        return self._capture.set(cv2.CAP_PROP_AUTO_WB, 0 if locked else 1) and exposure

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()


class StreamCamera:
    """A camera in the net: rtsp, http (also MJPEG), rtmp, udp ..., through FFmpeg.

    Raises:
        ValueError: nothing there, or no video in it.
    """

    ends = False
    options = {'rtsp_transport': 'tcp', 'fflags': 'nobuffer', 'flags': 'low_delay'}

    def __init__(self, url: str):
        self.name, self.notes = url, []
        try:
            with self._open() as container:
                stream = self._stream(container)
                first = next(container.decode(stream), None)
                if first is None:
                    raise ValueError(f'{url} gives no picture')
                self.info = StreamInfo(first.width, first.height, _plausible(stream.average_rate), TICK)
        except (av.FFmpegError, OSError) as error:
            raise ValueError(f'{url} does not open: {error.strerror or error}') from error

    def _open(self) -> av.container.InputContainer:
        return av.open(self.name, timeout=STREAM_TIMEOUT, metadata_errors='replace',
                       options={'protocol_whitelist': PROTOCOLS, **self.options})

    def _stream(self, container: av.container.InputContainer) -> av.VideoStream:
        stream = video_stream(container)
        if stream is None:
            raise ValueError(f'{self.name} has no video stream')
        return stream

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Connects anew, so that nothing waits from the time since the stream was looked at.

        Raises:
            CameraError: the stream ends or fails.
        """
        clock, index, size = ArrivalClock(), 0, (self.info.width, self.info.height)
        try:
            with self._open() as container:
                for decoded in container.decode(self._stream(container)):
                    if stop.is_set():
                        return
                    rgb = decoded.reformat(*size, format='rgb24', interpolation=EXACT)
                    yield Frame(np.ascontiguousarray(rgb.to_ndarray()), index, clock.now())
                    index += 1
        except (av.FFmpegError, OSError) as error:
            raise CameraError(f'{self.name} failed: {error.strerror or error}') from error
        raise CameraError(f'{self.name} ended')

    def close(self) -> None:
        """The connection closes with the loop over its frames."""


Camera = FileCamera | DeviceCamera | StreamCamera


class ArrivalClock:
    """Presentation times from arrival times, in TICK, always increasing."""

    def __init__(self):
        self._start, self._last = time.perf_counter(), -1

    def now(self) -> int:
        """Time of a frame by when it arrived."""
        self._last = max(int((time.perf_counter() - self._start) / TICK), self._last + 1)
        return self._last


def open_camera(source: str, size: tuple[int, int] | None = None, frame_rate: float | None = None,
                fourcc: str | None = None, loop: bool = False) -> Camera:
    """What `--camera` means.

    Args:
        source: number or path of a camera, URL, file or folder of images.
        size, frame_rate, fourcc: to ask a camera for; the rate is also that of a folder of images.
        loop: files only.
    Raises:
        ValueError, FileNotFoundError: it does not open; or a request that only a camera can answer.
    """
    device = int(source) if source.isdecimal() else source if _is_device(source) else None
    if device is None and (size is not None or fourcc is not None):
        raise ValueError(f'--size and --fourcc ask a camera of this machine, {source} is none: use --input-resize')
    if device is not None or '://' in source:
        if loop:
            raise ValueError(f'--loop plays files again, {source} is none: leave it out')
        return StreamCamera(source) if device is None else DeviceCamera(device, size, frame_rate, fourcc)
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f'camera {source}: expected {EXPECTED}; there is no such file')
    if frame_rate is not None and not path.is_dir():
        raise ValueError(f'--fps asks a camera, or sets the rate of a folder of images; {source} has its own')
    return FileCamera(path, frame_rate or DEFAULT_RATE, loop)


def _is_device(source: str) -> bool:
    if source.startswith('/dev/'):
        return True
    try:
        return stat.S_ISCHR(os.stat(source).st_mode)
    except (OSError, ValueError):
        return False


def _plausible(rate: float | Fraction | None) -> Fraction:
    """Frames per second as a driver or container says; many say 0, or the inverse of their clock's tick."""
    if rate is None or not math.isfinite(rate) or not 1 <= rate <= 1000:
        return Fraction(DEFAULT_RATE)
    return Fraction(rate).limit_denominator(1001)
