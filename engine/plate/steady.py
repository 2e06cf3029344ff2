"""Alpha that stands still where the picture does: networks with a plate have no memory, and noise moves edges."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..frames import to_device

HELD = 0.8              # weight of the past where nothing moves
NOISE, MOTION = 2 / 255, 6 / 255    # difference of two frames: below nothing moves, above the past does not count
AROUND = 9              # [px] side of the square that a difference is the mean of: noise is less in it, motion is not


class Steady:
    """A recursive mean over time of each pixel's alpha, off wherever the picture moves."""

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """The next frame is the first of a scene."""
        self._frame: Tensor | None = None
        self._pha: Tensor | None = None

    def __call__(self, frame: np.ndarray, pha: Tensor) -> Tensor:
        """
        Args:
            frame: (H, W, 3) uint8 or uint16, the next one.
            pha: (1, H, W) in [0, 1], of it.
        Returns:
            (1, H, W), held where the frame is as the one before it.
        """
        now = to_device(frame, pha.device)
        if self._pha is not None and self._pha.shape == pha.shape:
            change = (now - self._frame).mean(0, keepdim=True).abs()
            change = F.avg_pool2d(change[None], AROUND, 1, AROUND // 2, count_include_pad=False)[0]
            still = ((MOTION - change) / (MOTION - NOISE)).clamp_(0, 1)
            pha = torch.lerp(pha, self._pha, (HELD * still).to(pha.dtype))
        self._frame, self._pha = now, pha
        return pha
