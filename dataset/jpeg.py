"""What JPEG does to pictures, computed on their device: compression artefacts as an augmentation.

Standard: ITU-T T.81, 8x8 cosine transform with the example tables of Annex K, scaled by quality as the IJG library
does; colour differences at half the resolution (4:2:0). Nothing is coded: only the rounding is done.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = ((16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
        (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
        (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99))
CHROMA = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))  # the rest is 99
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Compress and decompress.

    Args:
        images: (N, 3, H, W) RGB in [0, 1].
        quality: (N,) from 1 to 100, as in image programs; on the CPU or on the device.
    Returns:
        (N, 3, H, W) in [0, 1].
    """
    H, W = images.shape[-2:]
    transform, luma, chroma = (x.to(images.device) for x in _constants())
    matrix = images.new_tensor(TO_YCC)
    ycc = torch.einsum('dc,nchw->ndhw', matrix, images * 255)
    ycc = F.pad(ycc, (0, -W % 16, 0, -H % 16), mode='replicate')
    scale = _scale(quality.to(images.device))[:, None, None, None, None, None]
    y = _round_blocks(ycc[:, :1] - 128, luma, scale, transform) + 128
    differences = _round_blocks(F.avg_pool2d(ycc[:, 1:], 2), chroma, scale, transform)
    differences = F.interpolate(differences, scale_factor=2., mode='bilinear', align_corners=False)
    rgb = torch.einsum('dc,nchw->ndhw', torch.linalg.inv(matrix), torch.cat([y, differences], 1))
    return (rgb[..., :H, :W].round() / 255).clamp(0, 1)


def _scale(quality: Tensor) -> Tensor:
    """Quality -> factor of the tables."""
    quality = quality.float().clamp(1, 100)
    return torch.where(quality < 50, 50 / quality, 2 - quality / 50)


def _round_blocks(x: Tensor, table: Tensor, scale: Tensor, transform: Tensor) -> Tensor:
    """(N, C, H, W), sides divisible by 8: each 8x8 block to frequencies, rounded to steps, and back."""
    blocks = x.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)  # (N, C, H/8, W/8, 8, 8)
    steps = (table * scale).round().clamp(1, 255)
    rounded = (transform @ blocks @ transform.T / steps).round() * steps
    return (transform.T @ rounded @ transform).transpose(3, 4).flatten(4, 5).flatten(2, 3)


@lru_cache(maxsize=1)
def _constants() -> tuple[Tensor, Tensor, Tensor]:
    """Orthonormal cosine transform (8, 8), luminance and chrominance tables (8, 8)."""
    k, n = torch.arange(8.)[:, None], torch.arange(8.)
    transform = torch.cos(math.pi * (2 * n + 1) * k / 16) / 2
    transform[0] /= math.sqrt(2)
    chroma = torch.full((8, 8), 99.)
    chroma[:4, :4] = torch.tensor(CHROMA)
    return transform, torch.tensor(LUMA, dtype=torch.float32), chroma
