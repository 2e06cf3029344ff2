"""The random crop that every training pass makes, on the device, before composition."""

import random

import torch.nn.functional as F
from torch import Tensor


def random_crop(*tensors: Tensor, generator: random.Random) -> list[Tensor]:
    """Resize the whole clip to a smaller square and cut its centre: sizes vary, mostly odd, and masks become soft.

    With (H, W) the size of the clip: w from [W//2, W-1], then h from [H//2, H-1]; bilinear resize to the square
    max(h, w); centre crop to (h, w).

    Args:
        tensors: (B, T, C, H, W), all of one H, W; the draw is the same for all.
        generator: seeded by the caller, `item_draws(seed, epoch, step)` for example.
    Returns:
        (B, T, C, h, w) each.
    """
    H, W = tensors[0].shape[-2:]
    for tensor in tensors:
        if tensor.dim() != 5 or tensor.shape[-2:] != (H, W):
            raise ValueError(f'random_crop needs (B, T, C, {H}, {W}) for every tensor, got {list(tensor.shape)}')
    w = generator.randint(max(W // 2, 1), max(W - 1, 1))
    h = generator.randint(max(H // 2, 1), max(H - 1, 1))
    side = max(h, w)
    top, left = round((side - h) / 2), round((side - w) / 2)
    cropped = []
    for tensor in tensors:
        B = tensor.size(0)
        small = F.interpolate(tensor.flatten(0, 1), (side, side), mode='bilinear', align_corners=False)
        cropped.append(small[..., top:top + h, left:left + w].unflatten(0, (B, -1)))
    return cropped
