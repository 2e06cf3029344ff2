"""The instance network on clips of any length: windows that share a state, groups of people, any frame size.

Windows overlap by a frame, so that every frame but the last of a clip knows what comes next; a frame is computed once,
those in the overlap twice. The released code starts every window from nothing and computes each frame three times.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.instance.checkpoint import load_instance_network
from model.instance.network import InstanceMattingNetwork
from model.instance.spectral import fold_spectral
from model.weights import OWN

from .cuts import CutDetector
from .device import choose_device
from .division import shares
from .frames import to_device
from .people import PeoplePrediction
from .sizes import auto_ratio

WINDOW = 8          # frames
OVERLAP = 1         # frames that are computed again, now knowing what follows
SHORT_SIDE = 576    # [px] that larger frames are shrunk to, as in training


@dataclass
class _Waiting:
    """A frame that has come in and not gone out."""

    pixels: np.ndarray      # (H, W, 3)
    masks: np.ndarray       # (N, H, W) bool


class InstanceMatter:
    """Mattes each person with the instance network.

    Args:
        network: it is folded in place, so it cannot be trained afterwards; or a file, or a name in `model.weights.OWN`.
        window, overlap: frames, see above.
        short_side: [px] inside the network; smaller frames stay as they are. None: as many pixels as the weights were
            trained for where they say so, else 576.
        reset_on_cut: forget the past when the scene changes.
    Raises:
        ValueError: windows that are not longer than their overlap.
    """

    def __init__(self, network: InstanceMattingNetwork | str | Path, device: str | torch.device | None = None,
                 window: int = WINDOW, overlap: int = OVERLAP, short_side: int | None = None,
                 reset_on_cut: bool = False):
        if not 0 <= overlap < window:
            raise ValueError(f'overlap must be at least 0 and less than the window of {window} frames, got {overlap}')
        if isinstance(network, str | Path):
            network = load_instance_network(OWN.get(str(network), network))
        self.device = choose_device('auto') if device is None else torch.device(device)
        self.network = fold_spectral(network).eval().to(self.device)
        self.window = window if network.form.video else 1
        self.overlap = overlap if network.form.video else 0
        self.short_side, self.reset_on_cut = short_side, reset_on_cut
        self.computed = 0       # frames, those of overlaps again

    def run(self, frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator['InstancePrediction']:
        """Matte a clip; at most a window of frames is held.

        Args:
            frames: (H, W, 3) uint8 or uint16 pixels with (N, H, W) bool masks, the same people on every frame.
        """
        waiting: list[_Waiting] = []
        states: list[Tensor | None] | None = None
        cuts = CutDetector() if self.reset_on_cut else None
        for pixels, masks in frames:
            cut = cuts is not None and cuts.first_cut([pixels]) is not None
            if waiting and (cut or waiting[-1].pixels.shape != pixels.shape):
                yield from self._predictions(waiting, self._window(waiting, states)[0])
                waiting, states = [], None
            waiting.append(_Waiting(pixels, masks))
            if len(waiting) == self.window:
                done = self.window - self.overlap
                alphas, states = self._window(waiting, states, done)
                yield from self._predictions(waiting[:done], alphas)
                waiting = waiting[done:]
        if waiting:
            yield from self._predictions(waiting, self._window(waiting, states)[0])

    def _scale(self, width: int, height: int) -> float:
        if self.short_side is None and self.network.trained_size:
            return auto_ratio(width, height, self.network.trained_size)
        return min(1., (self.short_side or SHORT_SIDE) / min(height, width))

    @torch.inference_mode()
    def _window(self, waiting: Sequence[_Waiting], states: list[Tensor | None] | None, done: int = 0
                ) -> tuple[Tensor, list[Tensor | None]]:
        """Alpha (T, N, H, W) of a window, and for each group of people the state after `done` frames."""
        H, W = waiting[0].pixels.shape[:2]
        scale = self._scale(W, H)
        size = max(1, round(H * scale)), max(1, round(W * scale))
        src = torch.stack([to_device(frame.pixels, self.device) for frame in waiting])
        msk = torch.stack([torch.from_numpy(np.ascontiguousarray(frame.masks)).to(self.device).float()
                           for frame in waiting])
        if scale < 1:
            src = F.interpolate(src, size, mode='bilinear', antialias=True).clamp_(0, 1)
            msk = (F.interpolate(msk, size, mode='area') >= 0.5).float() if msk.size(1) else msk.new_zeros(
                len(waiting), 0, *size)
        self.computed += len(waiting)
        groups = max(1, -(-msk.size(1) // self.network.slots))
        states = [None] * groups if states is None else states
        alphas, after = [], []
        for group, state in enumerate(states):
            own = msk[:, group * self.network.slots:(group + 1) * self.network.slots]
            out = self.network(src[None], own[None], state)
            alphas.append(out['pha'][0])
            after.append(out['states'][:, max(done - 1, 0)] if 'states' in out else None)
        pha = torch.cat(alphas, 1)
        if scale < 1 and pha.size(1):
            pha = F.interpolate(pha, (H, W), mode='bilinear', align_corners=False)
        # The network does not promise it: nobody's alpha and the others' make more than the whole.
        return pha / pha.sum(1, keepdim=True).clamp(min=1), after

    def _predictions(self, waiting: Sequence[_Waiting], alphas: Tensor) -> Iterator['InstancePrediction']:
        for frame, alpha in zip(waiting, alphas):
            yield InstancePrediction(alpha, frame.pixels)


class InstancePrediction(PeoplePrediction):
    """Alphas of people; their colours are those of the frame, because the network answers no foreground.

    Args:
        alphas: (N, H, W) in [0, 1].
        pixels: (H, W, 3) source frame.
    """

    def __init__(self, alphas: Tensor, pixels: np.ndarray):
        super().__init__(_Everything(pixels, alphas.device), lambda: np.zeros((0, 1, 1), bool), pixels)
        self.shares = alphas


class BothPrediction(PeoplePrediction):
    """The mean of two opinions, the matte of everybody, with edges and memory, and that of the instance network;
    divided as the network says. Where the network sees nobody, the matte is divided by the masks.

    Args:
        split: what the matte of everybody says, with masks.
        network: what the instance network says of the same frame.
    """

    def __init__(self, split: PeoplePrediction, network: InstancePrediction):
        super().__init__(split._prediction, split._masks, split._pixels)
        self._network = network.shares

    @cached_property
    def shares(self) -> Tensor:
        """(N, H, W) of each person, of all that is there."""
        everybody = self._network.sum(0)
        by_masks = torch.from_numpy(shares(self._masks())).to(self.device)
        return torch.lerp(by_masks, self._network / everybody.clamp(min=1e-3), (2 * everybody).clamp(max=1))

    def everybody(self, pha: Tensor) -> Tensor:
        return (pha + self._network.sum(0).to(pha)) / 2


class _Everything:
    """A prediction that takes everything for a person: what is left is the division."""

    def __init__(self, pixels: np.ndarray, device: torch.device):
        self.pixels, self.height, self.device = pixels, len(pixels), device

    def rows(self, start: int, stop: int, names: Sequence[str] = ('fgr', 'pha')) -> dict[str, Tensor]:
        fgr = to_device(self.pixels[start:stop], self.device)
        return {'fgr': fgr, 'pha': torch.ones_like(fgr[:1])}

    def small_alpha(self) -> np.ndarray:
        return np.ones((max(1, self.height // 2), max(1, self.pixels.shape[1] // 2)), np.float32)
