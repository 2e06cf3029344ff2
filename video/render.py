"""From predictions to the pixels of every output: compositing, alpha conventions, rounding."""

from collections.abc import Iterable
from fractions import Fraction

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.prediction import Prediction

from .background import Background, ColorBackground

KINDS = ('composition', 'rgba', 'alpha', 'foreground')
STRIP_ELEMENTS = 1 << 16     # pixels per strip: a strip's planes together stay within a core's L2 cache


class Renderer:
    """Turns the prediction of a frame into the arrays that the writers want.

    Args:
        wanted: (kind, bit depth) pairs; kinds as in `KINDS`, depth 8 or 16.
        background: what stands behind the composition.
        premultiply: multiply the colour of 'rgba' by alpha (straight alpha otherwise).
    """

    def __init__(self, wanted: Iterable[tuple[str, int]], background: Background | None = None,
                 premultiply: bool = False):
        self.wanted = sorted(set(wanted))
        self.background, self.premultiply = background or ColorBackground(), premultiply
        self._composes = any(kind == 'composition' for kind, _ in self.wanted)

    def __call__(self, prediction: Prediction, pixels: np.ndarray,
                 time: Fraction = Fraction(0)) -> dict[tuple[str, int], np.ndarray]:
        """Render one frame.

        Args:
            prediction: of this frame.
            pixels: (H, W, 3) source, uint8 or uint16.
            time: [s] of the frame, for moving backgrounds.
        Returns:
            For every wanted pair an array (H, W, 1 | 3 | 4), uint8 or uint16, values rounded.
        """
        H, W = pixels.shape[:2]
        bgr = None
        if self._composes:
            behind = self.background.at(time, (W, H), pixels, prediction.small_alpha())
            bgr = torch.from_numpy(np.ascontiguousarray(behind.transpose(2, 0, 1))).to(prediction.device)
        channels = {'composition': 3, 'rgba': 4, 'alpha': 1, 'foreground': 3}
        out = {(kind, depth): np.empty((H, W, channels[kind]), np.uint8 if depth == 8 else np.uint16)
               for kind, depth in self.wanted}
        step = H if prediction.device.type != 'cpu' else max(1, STRIP_ELEMENTS // W)
        for start in range(0, H, step):
            stop = min(start + step, H)
            rows = prediction.rows(start, stop)
            for (kind, depth), array in out.items():
                planes = self._planes(kind, rows['fgr'], rows['pha'],
                                      bgr if bgr is None or bgr.size(1) == 1 else bgr[:, start:stop])
                interleave(quantise(planes, depth), array[start:stop])
        return out

    def _planes(self, kind: str, fgr: Tensor, pha: Tensor, bgr: Tensor | None) -> Tensor:
        if kind == 'composition':
            return torch.lerp(bgr.expand_as(fgr), fgr, pha)
        if kind == 'alpha':
            return pha
        if kind == 'foreground':
            return fgr
        # straight alpha keeps the colour wherever anything of the person shows, and clears it where nothing does
        return torch.cat([fgr * (pha if self.premultiply else (pha > 0)), pha])


def quantise(planes: Tensor, depth: int) -> np.ndarray:
    """[0, 1] floats (C, R, W) -> rounded integers of 8 or 16 bits on the CPU."""
    if depth == 8:
        return (planes * 255).add_(0.5).to(torch.uint8).cpu().numpy()
    return (planes * 65535).add_(0.5).to(torch.int32).cpu().numpy().astype(np.uint16)


def interleave(planes: np.ndarray, out: np.ndarray) -> None:
    """(C, R, W) -> out (R, W, C)."""
    if len(planes) == 1:
        out[..., 0] = planes[0]
    else:
        cv2.merge(list(planes), dst=out)
