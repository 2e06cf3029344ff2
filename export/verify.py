"""The proof that an exported file gives the same frames: a clip through PyTorch and through the file's own runtime."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from engine.frames import stand_ins, to_device
from model import MattingNetwork
from model.interface import interface_of

FRAMES = 8       # recurrent: every frame sees the states of the one before, of its own side


@dataclass(frozen=True)
class Limit:
    """Of a `Difference`. Single pixels of an edge may move where the mean hardly does, so both are bounded."""

    maximum: float
    mean: float

    def __str__(self) -> str:
        return f'limit {self.maximum:g}, mean {self.mean:g}'


# A tenth of a step of 8 bits: over frames that carry states single pixels of our own weights move by 1e-4 between two
# runtimes, while the mean is 3e-8.
FP32 = Limit(4e-4, 1e-5)
# The fast guided filter divides covariances by variances of down to its eps: rounding in single precision alone moves
# pixels of PyTorch's own result by 1e-4 (against double precision), and of two runtimes by up to 4e-4.
FAST_GUIDED_FILTER = 1e-3


def limit_for(network: MattingNetwork, limit: Limit) -> Limit:
    """The limit of a format, widened for the refiner that needs it."""
    if getattr(network, 'refiner_name', '') != 'fast_guided_filter':
        return limit
    return replace(limit, maximum=max(limit.maximum, FAST_GUIDED_FILTER))


@dataclass(frozen=True)
class Difference:
    """Between two networks over a clip, in units of alpha and colour (0 to 1)."""

    maximum: float
    mean: float
    spread: float        # largest minus smallest alpha of the reference: 0 would prove nothing

    def within(self, limit: Limit) -> bool:
        """Whether it is as small as the limit wants."""
        return self.maximum <= limit.maximum and self.mean <= limit.mean

    def __str__(self) -> str:
        return f'max difference {self.maximum:.2e}, mean {self.mean:.2e}'


def fit_frames(frames: Sequence[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
    """(H, W, 3) frames of any size -> of (width, height) `size`."""
    return [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]


@torch.inference_mode()
def run_clip(network: nn.Module, frames: Sequence[np.ndarray], ratio: float) -> list[Tensor]:
    """Every frame in order, states carried: (4, H, W) float32 foreground, where there is one, and alpha of each."""
    interface, answers = interface_of(network), []
    rec = interface.first_states()
    for frame in frames:
        pictures = stand_ins(interface, to_device(frame, torch.device('cpu'))[None])
        answer = network(*pictures.values(), *rec, *([ratio] if interface.takes_ratio else []))
        outputs, rec = interface.split(answer)
        answers.append(torch.cat([outputs[name] for name in ('fgr', 'pha') if name in outputs], dim=1)[0].float())
    return answers


def compare(network: nn.Module, exported: nn.Module, frames: Sequence[np.ndarray], ratio: float) -> Difference:
    """Run both over (H, W, 3) uint8 frames.

    Raises:
        ValueError: the exported network answers values that are not finite, or another size.
    """
    expected, got = run_clip(network, frames, ratio), run_clip(exported, frames, ratio)
    for index, (a, b) in enumerate(zip(expected, got, strict=True)):
        if a.shape != b.shape:
            raise ValueError(f'frame {index} of the exported file is {list(b.shape)}, of PyTorch {list(a.shape)}')
        if not b.isfinite().all():
            raise ValueError(f'frame {index} of the exported file has values that are not finite numbers')
    differences = torch.stack([(a - b).abs() for a, b in zip(expected, got, strict=True)])
    alpha = torch.stack(expected)[:, -1]
    return Difference(float(differences.max()), float(differences.mean()), float(alpha.max() - alpha.min()))
