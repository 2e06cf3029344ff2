"""Metrics of mattes of several people, by two protocols: ours, and that of the instance matting papers.

'standard' is the mean over people and frames of the metrics in `reference`. 'maggie' scales as its release does (Masked
Guided Gradual Human Instance Matting, arXiv 2404.16035): its MAD and MSE fall with the number of pixels, so they are
comparable at one size only, and its GRAD is stretched over everything that is passed in at once.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import reference

PROTOCOLS = ('standard', 'maggie')
METRICS = ('mad', 'mse', 'sad', 'grad', 'conn', 'mad_fg', 'mad_bg', 'mad_unk', 'dtssd', 'messddt', 'iou')
OVER_TIME = {'dtssd', 'messddt'}       # need two frames
TRIMAP = {'mad_fg': 2, 'mad_bg': 0, 'mad_unk': 1}
PUBLISHED_SIZE = 25     # [px] of the ellipse that makes trimaps
FARNEBACK = {'pyr_scale': 0.5, 'levels': 3, 'winsize': 15, 'iterations': 3, 'poly_n': 7, 'poly_sigma': 1.5, 'flags': 0}


def trimap(true: Tensor) -> Tensor:
    """(T, N, H, W) alpha -> uint8: 1 unknown, where dilation and erosion of what is there differ, 2 person, 0 not."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (PUBLISHED_SIZE, PUBLISHED_SIZE))
    out = np.zeros(true.shape, np.uint8)
    for index in np.ndindex(true.shape[:2]):
        pha = true[index].cpu().numpy()
        touched, solid = (pha > 0).astype(np.uint8), (pha >= 1).astype(np.uint8)
        band = cv2.dilate(touched, kernel) - cv2.erode(solid, kernel)
        out[index] = np.where(band > 0, 1, np.where(pha > 0.5, 2, 0))
    return torch.from_numpy(out).to(true.device)


def settled(pred: Tensor) -> Tensor:
    """Alpha within a 255th of 0 or 1 becomes that, as before every published measurement of predictions."""
    return pred.masked_fill(pred <= 1 / 255, 0).masked_fill(pred >= 254 / 255, 1)


def measure_people(pred: Tensor, true: Tensor, protocol: str = 'standard', metrics: tuple[str, ...] | None = None,
                   regions: Tensor | None = None) -> dict[str, float]:
    """Numbers of one clip, the mean over people and frames.

    Args:
        pred, true: (T, N, H, W) alpha in [0, 1].
        metrics: of `METRICS`; all where None, without those of `OVER_TIME` for one frame.
        regions: (T, N, H, W) classes of `trimap`, which is computed where None.
    Returns:
        name -> value; NaN where nothing could be measured.
    Raises:
        ValueError: unknown names, or shapes that differ.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f'protocol must be one of {", ".join(PROTOCOLS)}, got {protocol!r}')
    if pred.shape != true.shape or pred.dim() != 4:
        raise ValueError(f'pred and true must both be (T, N, H, W), got {list(pred.shape)} and {list(true.shape)}')
    possible = tuple(name for name in METRICS if name not in OVER_TIME or len(true) > 1)
    chosen = possible if metrics is None else metrics
    for name in chosen:
        if name not in METRICS:
            raise ValueError(f'metrics must be among {", ".join(METRICS)}, got {name!r}')
    if regions is None and set(chosen) & {*TRIMAP, 'messddt'}:
        regions = trimap(true)
    measure = _maggie if protocol == 'maggie' else _standard
    return {name: float(torch.as_tensor(measure(name, pred, true, regions), dtype=torch.float64)) for name in chosen}


def _standard(name: str, pred: Tensor, true: Tensor, regions: Tensor | None) -> Tensor | float:
    a, b = pred[:, :, None], true[:, :, None]
    if name in TRIMAP:
        return reference.mad(a, b, regions[:, :, None] == TRIMAP[name]).nanmean()
    if name == 'dtssd':
        return reference.dtssd(a.transpose(0, 1), b.transpose(0, 1))[:, 1:].mean() if len(true) > 1 else math.nan
    if name == 'messddt':
        moved = [reference.messddt(a[:, n], b[:, n], reference.optical_flow(_grey(true[:, n])))[1:].mean()
                 for n in range(true.shape[1])] if len(true) > 1 else [torch.tensor(math.nan)]
        return torch.stack(moved).mean()
    return _FRAMES[name](a, b).mean()


_FRAMES: dict[str, Callable] = {'mad': reference.mad, 'mse': reference.mse, 'sad': reference.sad,
                                'grad': reference.gradient, 'conn': reference.connectivity, 'iou': reference.iou}


def _maggie(name: str, pred: Tensor, true: Tensor, regions: Tensor | None) -> Tensor | float:
    pixels = true.shape[-2] * true.shape[-1]
    difference = (pred - true).double()
    if name in TRIMAP:
        mask = regions == TRIMAP[name]
        return (1e10 * (difference.abs() * mask).mean((-2, -1)) / (mask.sum((-2, -1)) + 1e-6)).mean()
    if name in ('mad', 'mse'):
        error = difference.abs() if name == 'mad' else difference.square()
        return 1e10 * error.mean() / (pixels + 1e-6)
    if name == 'grad':
        a, b = (_stretched_gradient(x) for x in (pred, true))
        return (a - b).square().sum((-2, -1)).mean() * 1e-3
    if name == 'dtssd':
        return _pairs_dtssd(difference) if len(true) > 1 else math.nan
    if name == 'messddt':
        return _pairs_messddt(difference, true, regions == TRIMAP['mad_unk']) if len(true) > 1 else math.nan
    return _standard(name, pred, true, regions)


def _stretched_gradient(pha: Tensor) -> Tensor:
    """Gradient magnitude with zeros around, of alphas stretched to 0..1 over all maps at once."""
    low, high = pha.min(), pha.max()
    pha = (pha - low) / (high - low).clamp(min=1e-12)
    smooth, slope = (torch.as_tensor(taps, dtype=pha.dtype, device=pha.device) for taps in reference.gradient_taps())
    x = F.pad(pha.reshape(-1, 1, *pha.shape[-2:]), [smooth.numel() // 2] * 4)
    gx = F.conv2d(F.conv2d(x, smooth.view(1, 1, -1, 1)), slope.view(1, 1, 1, -1))
    gy = F.conv2d(F.conv2d(x, slope.view(1, 1, -1, 1)), smooth.view(1, 1, 1, -1))
    return (gx.square() + gy.square()).sqrt().view(pha.shape)


def _pairs_dtssd(error: Tensor) -> Tensor:
    """A tenth of the root of the sum over pixels, for each person and pair of frames; the mean of those."""
    return error.diff(dim=0).square().sum((-2, -1)).sqrt().mean() * 0.1


def _pairs_messddt(error: Tensor, true: Tensor, unknown: Tensor) -> float:
    """Change of the squared error along the motion of the true alpha, where it is unknown, times 1e4; the mean over
    people and pairs of frames. The release does not say how its flow is set: ours is within 2 % of its numbers."""
    squared, y, x = error.square() * unknown, *torch.meshgrid(*map(torch.arange, error.shape[-2:]), indexing='ij')
    values = []
    for n in range(true.shape[1]):
        grey = _grey(true[:, n])
        for t in range(len(true) - 1):
            flow = torch.from_numpy(cv2.calcOpticalFlowFarneback(grey[t], grey[t + 1], None, **FARNEBACK))
            flow = flow.floor().long()
            there = squared[t + 1, n].cpu()[(y + flow[..., 1]).clamp(0, len(y) - 1),
                                            (x + flow[..., 0]).clamp(0, x.shape[1] - 1)]
            change = (squared[t, n].cpu() - there).abs().sum()
            values.append(float(1e4 * change / (unknown[t, n].sum().cpu() + 1)))
    return float(np.mean(values))


def _grey(pha: Tensor) -> np.ndarray:
    """(T, H, W) alpha -> uint8, as a picture whose motion can be seen."""
    return (pha * 255).to(torch.uint8).cpu().numpy()
