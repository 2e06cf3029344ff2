"""Takes the picture of the empty scene: time to leave, then the mean of several frames."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from files import whole_file
from video.images import encode_image, read_image

COUNTDOWN = 5.0     # [s] to leave the picture
FRAMES = 16         # of the mean: a quarter of the noise


class PlateTaker:
    """
    Args:
        path: where plates are kept for the next time; None keeps none.
        lock: called with True before the countdown, so that exposure and white balance stay as they are from then on;
            says whether the camera can.
        clock: [s].
    """

    def __init__(self, path: Path | None = None, lock: Callable[[bool], bool] = lambda locked: False,
                 clock: Callable[[], float] = time.monotonic):
        self.path, self._lock, self._clock = path, lock, clock
        self._due: float | None = None
        self._sum, self._count, self._type = None, 0, np.uint8
        self.note = ''

    def load(self) -> np.ndarray | None:
        """The plate that was kept, or None.

        Raises:
            ValueError: there is a file that is no picture.
        """
        return read_image(self.path) if self.path is not None and self.path.is_file() else None

    def begin(self) -> None:
        """Start the countdown; again: from its beginning."""
        self._due, self._sum, self._count = self._clock() + COUNTDOWN, None, 0
        self.note = '' if self._lock(True) else 'this camera does not lock its exposure'

    @property
    def busy(self) -> bool:
        return self._due is not None

    def line(self) -> str:
        """What to say about it now."""
        if self._due is None:
            return ''
        left = self._due - self._clock()
        if left > 0:
            return f'leave the picture: plate in {int(left) + 1} s'
        return f'taking the plate, {self._count} of {FRAMES} frames: stay away'

    def offer(self, pixels: np.ndarray) -> np.ndarray | None:
        """A frame of the camera, (H, W, 3); the finished plate in its type when this was the last that is needed."""
        if self._due is None or self._clock() < self._due:
            return None
        if self._sum is None or self._sum.shape != pixels.shape:
            self._sum, self._count, self._type = np.zeros(pixels.shape, np.float64), 0, pixels.dtype
        self._sum += pixels
        self._count += 1
        if self._count < FRAMES:
            return None
        plate = np.rint(self._sum / self._count).astype(self._type)
        self._due = self._sum = None
        self._keep(plate)
        return plate

    def _keep(self, plate: np.ndarray) -> None:
        if self.path is None:
            return
        with whole_file(self.path) as partial:
            partial.write_bytes(encode_image(plate, self.path.suffix))
