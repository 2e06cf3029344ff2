"""The backgrounds that a hot key goes through."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from video.background import Background, parse_background

BUILT_IN = ('green', 'blur', 'white', 'black')
LONGEST_STEP = Fraction(1)       # [s] the clock of a background stands still while another one, or alpha, is shown


class BackgroundCycle(Background):
    """One background at a time; `at` is that of `video.background`.

    Args:
        named: as on the command line, shown in this order; the built-in ones follow.
        fit, loop: see `parse_background`.
    Raises:
        ValueError, FileNotFoundError: not a background.
    """

    def __init__(self, named: Iterable[str] = (), fit: str = 'cover', loop: str = 'loop'):
        texts = list(dict.fromkeys([*named, *BUILT_IN]))
        self.names = [Path(text).name if Path(text).exists() else text for text in texts]
        self._backgrounds: list[Background] = [
            parse_background(None if text == 'green' else text, fit, loop) for text in texts]
        self._clocks = [Fraction(0)] * len(texts)
        self._last, self.index = Fraction(0), 0

    @property
    def name(self) -> str:
        """Of the background in use."""
        return self.names[self.index]

    def next(self) -> None:
        """Take the next one, the first after the last."""
        self.index = (self.index + 1) % len(self.names)

    def at(self, time: Fraction, size: tuple[int, int], src: np.ndarray, pha: np.ndarray | None) -> np.ndarray:
        """(H, W, 3) or (1, 1, 3) float32 in [0, 1]; `time` [s] of the live clock."""
        self._clocks[self.index] += min(time - self._last, LONGEST_STEP)
        self._last = time
        return self._backgrounds[self.index].at(self._clocks[self.index], size, src, pha)
