"""The same picture under two names: what is held out for tests must not be trained on under another."""

from collections.abc import Iterable

import cv2
import numpy as np

SIDE, SAME = 16, 6.      # [px] of what is compared; [0-255] mean difference: other sizes and formats of a picture stay
#                          below 3, the two most alike of 458 different backgrounds differ by 22


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (16, 16, 3) float32, averages of areas."""
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


class HeldOut:
    """Pictures that tests use.

    Args:
        pictures: (H, W, 3) uint8 RGB each.
    """

    def __init__(self, pictures: Iterable[np.ndarray] = ()):
        self._thumbnails = [thumbnail(picture) for picture in pictures]

    def holds(self, picture: np.ndarray) -> bool:
        """Whether (H, W, 3) uint8 is one of them, perhaps scaled or compressed anew."""
        small = thumbnail(picture)
        return any(np.abs(small - other).mean() < SAME for other in self._thumbnails)
