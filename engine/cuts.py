"""Scene cuts: where the past of a clip has nothing to do with what comes."""

from collections.abc import Sequence

import cv2
import numpy as np

from .frames import DeferredFrame

THRESHOLD = 27.0      # mean change of hue, saturation and value, of 255; PySceneDetect's


class CutDetector:
    """Compares each frame with the one before, both made very small."""

    def __init__(self):
        self._last: np.ndarray | None = None

    def first_cut(self, frames: Sequence[np.ndarray | DeferredFrame]) -> int | None:
        """Index of the first of the next frames that starts another scene; those before it belong together.

        Args:
            frames: (H, W, 3) uint8 or uint16, or `DeferredFrame`s. Those after the cut are not looked at and must come
                again.
        """
        for index, frame in enumerate(frames):
            last, self._last = self._last, thumbnail(frame)
            if last is not None and change(self._last, last) > THRESHOLD:
                return index
        return None


def thumbnail(frame: np.ndarray | DeferredFrame) -> np.ndarray:
    """(36, 64, 3) float32 hue, saturation and value, 0 to 255."""
    if isinstance(frame, np.ndarray):
        small = cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
        small *= 255 / np.iinfo(frame.dtype).max
    else:
        small = frame.thumbnail((64, 36))
    return cv2.cvtColor(small.astype(np.uint8), cv2.COLOR_RGB2HSV_FULL).astype(np.float32)


def change(a: np.ndarray, b: np.ndarray) -> float:
    difference = np.abs(a - b)
    difference[..., 0] = np.minimum(difference[..., 0], 256 - difference[..., 0])            # hue is a circle
    return float(difference.mean())
