"""What a network says about one frame, evaluated row by row.

Full-size float tensors of an HD frame do not fit a CPU's cache. Both kinds of prediction therefore give foreground and
alpha for a strip of rows at a time, and the renderer finishes a strip before it touches the next.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .frames import planar

SMALL = 512         # [px] longer side of an alpha that is only looked at


class DensePrediction:
    """Pictures as a network returned them.

    Args:
        outputs: name -> (C, h, w) in [0, 1], any floating dtype, any device; `pha` among them.
        size: (H, W) [px] of the frame; what a network answers smaller (err, ref) is enlarged.
    """

    def __init__(self, outputs: dict[str, Tensor], size: tuple[int, int]):
        self._outputs, self._size, self._planes = outputs, size, {}
        self.height, self.device = size[0], outputs['pha'].device

    def rows(self, start: int, stop: int, names: Sequence[str] = ('fgr', 'pha')) -> dict[str, Tensor]:
        """(C, R, W) float32 in [0, 1] of rows start..stop, by name; what the network does not answer is left out."""
        return {name: self._plane(name)[:, start:stop] for name in names if name in self._outputs}

    def _plane(self, name: str) -> Tensor:
        """At full size, made when it is first asked for."""
        if name not in self._planes:
            self._planes[name] = _enlarge(self._outputs[name].float(), self._size, exact=name == 'ref')
        return self._planes[name]

    def change_alpha(self, change: Callable[[Tensor], Tensor]) -> None:
        """(1, H, W) at full size -> another."""
        self._planes['pha'] = self._outputs['pha'] = change(self._plane('pha'))

    def small_alpha(self) -> np.ndarray:
        """(h, w) float32 alpha, at any size: off a GPU only as much as whoever asks looks at."""
        pha = self._outputs['pha']
        return (pha if pha.device.type == 'cpu' else shrink(pha))[0].float().cpu().numpy()


def shrink(planes: Tensor, side: int = SMALL) -> Tensor:
    """(C, H, W) -> means of areas, the longer side at most `side`, where the planes are."""
    scale = side / max(planes.shape[-2:])
    size = [max(1, round(length * scale)) for length in planes.shape[-2:]]
    return F.interpolate(planes[None], size, mode='area')[0] if scale < 1 else planes


def _enlarge(planes: Tensor, size: tuple[int, int], exact: bool) -> Tensor:
    """exact: repeat pixels, else bilinear."""
    if planes.shape[-2:] == size:
        return planes
    if exact:
        return F.interpolate(planes[None], size, mode='nearest')[0]
    return F.interpolate(planes[None], size, mode='bilinear', align_corners=False)[0]


class SmallPrediction:
    """What is known before the full size of a frame is looked at.

    Args:
        coefficients: (8, h, w) float32 on the CPU: A and b of `model.guided_filter`.
        base_src: (3, h, w) small source in [0, 1] that they are of.
    """

    def __init__(self, coefficients: Tensor, base_src: Tensor):
        self.coefficients, self.base_src = coefficients, base_src

    @classmethod
    def of_full(cls, fgr: Tensor, pha: Tensor, src: Tensor) -> 'SmallPrediction':
        """Answers at full size, fgr (3, H, W) and pha (1, H, W), as a model that is constant everywhere."""
        fgr, pha, src = (tensor.float().cpu() for tensor in (fgr, pha, src))
        return cls(torch.cat([torch.zeros(4, *src.shape[1:]), fgr - src, pha]), src)

    def small_alpha(self) -> np.ndarray:
        """(h, w) float32 alpha, at any size."""
        mean = self.base_src.float().mean(0)
        return (self.coefficients[3] * mean + self.coefficients[7]).clamp(0, 1).numpy()


class LinearPrediction(SmallPrediction):
    """The guided filter's linear model (small) and the source (large), combined only where and when it is needed.

    Bilinear interpolation is separable: columns are interpolated once for all small rows, then every strip mixes the
    two small rows around each of its rows by a small matrix product.

    Args:
        coefficients: (8, h, w) float32 on the CPU: A and b of `model.guided_filter`.
        pixels: (H, W, 3) uint8 or uint16 source frame.
        base_src: (3, h, w) small source in [0, 1].
    """

    device = torch.device('cpu')

    def __init__(self, coefficients: Tensor, pixels: np.ndarray, base_src: Tensor):
        super().__init__(coefficients, base_src)
        self.height, self._pixels = len(pixels), pixels
        self._wide = F.interpolate(coefficients[None], (coefficients.size(1), pixels.shape[1]), mode='bilinear')[0]
        self._scale = 1 / float(np.iinfo(pixels.dtype).max)

    def rows(self, start: int, stop: int, names: Sequence[str] = ('fgr', 'pha')) -> dict[str, Tensor]:
        """fgr (3, R, W) and pha (1, R, W) of rows start..stop, float32 in [0, 1]."""
        first, mix = row_mix(self.coefficients.size(1), self.height, start, stop)
        Ab = torch.matmul(mix, self._wide[:, first:first + mix.size(1)])                     # (8, R, W)
        src = planar(self._pixels[start:stop]).mul_(self._scale)                             # (3, R, W)
        mean = src.mean(0, keepdim=True)
        # foreground = A * src + b + src, alpha = A * mean + b
        fgr = torch.addcmul(Ab[4:7].add_(src), Ab[:3], src).clamp_(0, 1)
        pha = torch.addcmul(Ab[7:], Ab[3:4], mean).clamp_(0, 1)
        return {'fgr': fgr, 'pha': pha}


Prediction = DensePrediction | SmallPrediction


@lru_cache(maxsize=512)
def row_mix(h: int, H: int, start: int, stop: int) -> tuple[int, Tensor]:
    """Bilinear weights (align_corners=False) of large rows start..stop over the small rows they need.

    Returns:
        First small row, and weights (stop - start, k) over k small rows.
    """
    y = ((torch.arange(start, stop, dtype=torch.float32) + 0.5) * (h / H) - 0.5).clamp_(min=0)
    low = y.floor().long().clamp_(max=h - 1)
    high = (low + 1).clamp_(max=h - 1)
    first, last = int(low[0]), int(high[-1])
    mix = torch.zeros(stop - start, last - first + 1)
    rows = torch.arange(stop - start)
    mix.index_put_((rows, low - first), 1 - (y - low), accumulate=True)
    mix.index_put_((rows, high - first), y - low, accumulate=True)
    return first, mix
