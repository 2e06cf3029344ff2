"""From predictions to the pixels of every output: compositing, alpha conventions, rounding."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from .background import Background, ColorBackground
from .kinds import KINDS

STRIP_ELEMENTS = 1 << 16     # pixels per strip: a strip's planes together stay within a core's L2 cache


class Prediction(Protocol):
    """What a network says about a frame; `engine.prediction` has two."""

    height: int
    device: torch.device

    def rows(self, start: int, stop: int) -> dict[str, Tensor]:
        """Answers by name, (C, R, W) float32 in [0, 1], of rows start..stop."""

    def small_alpha(self) -> np.ndarray:
        """(h, w) float32 alpha, at any size."""


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
        needs = {name for kind, _ in self.wanted for name in KINDS[kind].needs}
        self._names = [tuple(needs)] if needs - {'fgr', 'pha'} else []      # of what not every network answers
        self._scene: np.ndarray | None = None           # what `_bgr` is of
        self._bgr: Tensor | None = None
        self._composes = any(KINDS[kind].composes for kind, _ in self.wanted)

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
            alpha = prediction.small_alpha() if self.background.needs_alpha else None
            bgr = self._on_device(self.background.at(time, (W, H), pixels, alpha), prediction.device)
        out = {(kind, depth): np.empty((H, W, KINDS[kind].channels), np.uint8 if depth == 8 else np.uint16)
               for kind, depth in self.wanted}
        step = H if prediction.device.type != 'cpu' else max(1, STRIP_ELEMENTS // W)
        for start in range(0, H, step):
            stop = min(start + step, H)
            answers = prediction.rows(start, stop, *self._names)
            behind = bgr if bgr is None or bgr.size(1) == 1 else bgr[:, start:stop]
            for (kind, depth), array in out.items():
                planes = KINDS[kind].planes(answers, behind, self.premultiply)
                interleave(quantise(planes, depth), array[start:stop])
        return out

    def _on_device(self, scene: np.ndarray, device: torch.device) -> Tensor:
        """(H, W, 3) -> (3, H, W), sent again only when it may have changed."""
        if self._bgr is None or scene is not self._scene or self._bgr.device != device or \
                not self.background.stands_still:
            self._bgr = torch.from_numpy(np.ascontiguousarray(scene.transpose(2, 0, 1))).to(device)
            self._scene = scene
        return self._bgr


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
