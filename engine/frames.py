"""Frames as arrays of integers -> tensors."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.interface import Interface

ROUNDING = 0.05     # filters overshoot a little


def as_frame(pixels: np.ndarray | Tensor) -> np.ndarray:
    """A frame as somebody's own loop has it -> (H, W, 3) uint8 or uint16, contiguous.

    Raises:
        ValueError: values of which nobody can tell what they mean; the message says what to do.
    """
    if isinstance(pixels, Tensor):
        if pixels.dim() != 3 or pixels.size(0) != 3:
            raise ValueError(f'a tensor must be (3, H, W), got shape {list(pixels.shape)}')
        if pixels.dtype == torch.uint8:
            return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())
        if not pixels.is_floating_point():
            raise ValueError(f'a tensor must be float in [0, 1], or uint8, got {pixels.dtype}')
        low, high = pixels.aminmax()
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise ValueError('a tensor must be float in [0, 1], got values that are not finite numbers (NaN)')
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise ValueError(f'a float tensor must be in [0, 1], got {low:.4g} to {high:.4g}: divide by 255?')
        return (pixels.detach().clamp(0, 1) * 65535).round().to(torch.int32).permute(1, 2, 0).cpu().numpy().astype('u2')
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f'a frame must be an array (H, W, 3) or a tensor (3, H, W), got {type(pixels).__name__} of '
                         f'shape {list(getattr(pixels, "shape", []))}')
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'an array must be uint8 or uint16, got {pixels.dtype}: array.astype(np.uint8) if its values '
                         'are 0 to 255')
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder('='))


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
    if device.type == 'cpu':
        return planar(pixels).mul_(scale)
    return as_planes(sent(pixels, device), scale)


def sent(pixels: np.ndarray, device: torch.device) -> Tensor:
    """(H, W, C) uint8, or uint16 as int16 of the same bits, on the device. To CUDA through pinned memory: the copy does
    not keep this thread waiting."""
    integers = torch.from_numpy(pixels.view(np.int16) if pixels.dtype == np.uint16 else pixels)
    return integers.pin_memory().to(device, non_blocking=True) if device.type == 'cuda' else integers.to(device)


def as_planes(integers: Tensor, scale: float) -> Tensor:
    """What `sent` answers -> (C, H, W) float32, times `scale`."""
    if integers.dtype == torch.int16:
        integers = integers.to(torch.int32) & 0xFFFF
    return integers.permute(2, 0, 1).float().mul_(scale)


def downsample(pixels: np.ndarray, ratio: float) -> Tensor:
    """(H, W, 3) integers -> (3, floor(H * ratio), floor(W * ratio)) float32 in [0, 1], as the network does it."""
    full = to_device(pixels, torch.device('cpu'))[None]
    return F.interpolate(full, scale_factor=ratio, mode='bilinear', recompute_scale_factor=False)[0]


def stand_ins(interface: Interface, src: Tensor) -> dict[str, Tensor]:
    """(B, 3, H, W) -> everything that a network takes, made of it: a plate is the frame moved aside, masks the
    bright half of upright bands of it."""
    make = {'src': lambda: src, 'bgr': lambda: src.roll(src.size(-1) // 8, dims=-1),
            'msk': lambda: bright_bands(src, interface.people)}
    return {name: make[name]() for name in interface.inputs}


def bright_bands(src: Tensor, people: int) -> Tensor:
    """(B, 3, H, W) -> (B, people, H, W) of 0 and 1: what is bright, each band from left to right somebody's."""
    bright = (src.mean(1, keepdim=True) > src.mean()).to(src.dtype)
    band = torch.arange(src.size(-1), device=src.device) * people // src.size(-1)
    return bright * (band == torch.arange(people, device=src.device)[:, None, None]).to(src.dtype)
