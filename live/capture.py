"""A camera read in a thread of its own: whoever asks gets the newest frame, late ones are dropped."""

import threading
import time
from dataclasses import dataclass

from video.frame import Frame

from .cameras import Camera


@dataclass(frozen=True)
class Captured:
    """A frame and when it was captured."""

    frame: Frame
    time: float          # [s] of time.perf_counter


class Capture:
    """Reads a camera from `start` to `close`.

    Attributes:
        dropped: frames that nobody took before the next one came.
        error: what ended the camera, or None.
        ended: no frame will come after those taken.
    """

    def __init__(self, camera: Camera):
        self.camera, self.dropped, self.error, self.ended = camera, 0, None, False
        self._newest: Captured | None = None
        self._changed, self._stop = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._read, name='capture', daemon=True)

    def start(self) -> None:
        """Begin to read, in a thread of its own."""
        self._thread.start()

    def _read(self) -> None:
        try:
            for frame in self.camera.frames(self._stop):
                captured = Captured(frame, time.perf_counter())
                with self._changed:
                    self.dropped += self._newest is not None
                    self._newest = captured
                    self._changed.notify_all()
        except Exception as error:      # told by whoever takes the frames
            self.error = error
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def take(self, timeout: float) -> Captured | None:
        """The newest frame, each at most once; None when none came within `timeout` [s] or the camera has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self.ended, timeout)
            captured, self._newest = self._newest, None
            return captured

    def close(self) -> None:
        """Stop reading and release the camera; a driver that hangs is left to the end of the program."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)
        if not self._thread.is_alive():
            self.camera.close()
