"""Frames as arrays of integers -> tensors."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.interface import Interface


@runtime_checkable
class DeferredFrame(Protocol):
    """A frame that never is RGB at full size: who draws it has its own way.

    Attributes:
        shape: (H, W, 3) that it would have.
    """

    shape: tuple[int, int, int]

    def downsample(self, ratio: float) -> np.ndarray:
        """What the function `downsample` answers, as an array."""

    def thumbnail(self, size: tuple[int, int]) -> np.ndarray:
        """(h, w, 3) uint8 RGB of a few pixels; size: (w, h)."""


def planar(pixels: np.ndarray) -> Tensor:
    """(R, W, C) uint8 or uint16 -> (C, R, W) float32, same values."""
    if pixels.dtype == np.uint16:
        pixels = pixels.astype(np.int32)
    return torch.from_numpy(pixels).permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format)


def to_device(pixels: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """(H, W, C) uint8 or uint16 -> (C, H, W) float32 in [0, 1], made where it is used: integers travel. What is that
    already only travels."""
    if isinstance(pixels, Tensor):
        return pixels.to(device)
    scale = 1 / float(np.iinfo(pixels.dtype).max)
    if device.type == 'cpu' or pixels.dtype == np.uint16:
        return planar(pixels).mul_(scale).to(device)
    return torch.from_numpy(pixels).to(device).permute(2, 0, 1).float().mul_(scale)


def downsample(pixels: np.ndarray, ratio: float) -> Tensor:
    """(H, W, 3) integers -> (3, floor(H * ratio), floor(W * ratio)) float32 in [0, 1], as the network does it."""
    full = to_device(pixels, torch.device('cpu'))[None]
    return F.interpolate(full, scale_factor=ratio, mode='bilinear', recompute_scale_factor=False)[0]


def stand_ins(interface: Interface, src: Tensor) -> dict[str, Tensor]:
    """(B, 3, H, W) -> everything that a network takes, made of it: a plate is the frame moved aside, a mask its bright
    half."""
    make = {'src': lambda: src, 'bgr': lambda: src.roll(src.size(-1) // 8, dims=-1),
            'msk': lambda: (src.mean(1, keepdim=True) > src.mean()).to(src.dtype)}
    return {name: make[name]() for name in interface.inputs}
