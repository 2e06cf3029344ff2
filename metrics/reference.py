"""Metrics of alpha mattes and foregrounds, as pure functions of tensors.

Frames are (..., C, H, W) in [0, 1], any float type, CPU or GPU; a metric returns one float64 number per frame, shape
(...), times its published scale. Definitions: RVM (arXiv 2108.11515), section 4.1, and its released scripts; SAD and
the mask of uncertain pixels as in alphamatting.com (Rhemann et al., CVPR 2009); MESSDdt after Erofeev et al.,
Perceptually Motivated Benchmark for Video Matting, BMVC 2015. These are the readable references; `fast` holds
quick ones for 8-bit frames on a CPU, which are tested against them, and `table` lists all.
"""

import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

FRAME = (-3, -2, -1)                                              # the axes of one frame: C, H, W
THRESHOLDS = tuple(i / 10 for i in range(11))                     # levels of the connectivity error


def mad(pred: Tensor, true: Tensor, mask: Tensor | None = None, scale: float = 1e3) -> Tensor:
    """Mean absolute difference, times 1e3.

    Args:
        pred, true: (..., C, H, W).
        mask: (..., 1, H, W), non-zero where pixels count; broadcast over channels.
    Returns:
        (...); NaN where the mask is empty.
    """
    _check(pred, true)
    return _masked_mean((pred - true).abs(), mask) * scale


def mse(pred: Tensor, true: Tensor, mask: Tensor | None = None, scale: float = 1e3) -> Tensor:
    """Mean squared difference, times 1e3. Arguments as in `mad`."""
    _check(pred, true)
    return _masked_mean((pred - true).square(), mask) * scale


def sad(pred: Tensor, true: Tensor, mask: Tensor | None = None, scale: float = 1e-3) -> Tensor:
    """Sum of absolute differences, divided by 1000. Arguments as in `mad`; 0 where the mask is empty."""
    _check(pred, true)
    return _masked_sum((pred - true).abs(), mask) * scale


def gradient(pred: Tensor, true: Tensor, mask: Tensor | None = None, scale: float = 1e-3,
             minmax: bool = False) -> Tensor:
    """GRAD: sum of squared differences of gradient magnitudes, divided by 1000.

    Args:
        pred, true: (..., 1, H, W).
        minmax: stretch each frame to 0..1 first, see `table.Protocol`.
    """
    _check(pred, true)
    if minmax:
        pred, true = stretch(pred), stretch(true)
    return _masked_sum((gradient_magnitude(pred) - gradient_magnitude(true)).square(), mask) * scale


def gradient_taps(sigma: float = 1.4, epsilon: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian and its derivative, cut where the density falls to `epsilon`: two float64 arrays of 9 taps.

    The 9x9 filter of the definition is their outer product divided by its Frobenius norm, which is the product of the
    norms of the two: so each is divided by its own.
    """
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    gauss = np.exp(-x ** 2 / (2 * sigma ** 2)) / (sigma * math.sqrt(2 * math.pi))
    slope = -x * gauss / sigma ** 2
    return gauss / np.linalg.norm(gauss), slope / np.linalg.norm(slope)


def gradient_magnitude(pha: Tensor) -> Tensor:
    """(..., 1, H, W) -> (..., 1, H, W), with the border replicated."""
    smooth, slope = (torch.as_tensor(taps, dtype=pha.dtype, device=pha.device) for taps in gradient_taps())
    half = smooth.numel() // 2
    x = F.pad(pha.reshape(-1, 1, *pha.shape[-2:]), [half] * 4, mode='replicate')
    gx = F.conv2d(F.conv2d(x, smooth.view(1, 1, -1, 1)), slope.view(1, 1, 1, -1))
    gy = F.conv2d(F.conv2d(x, slope.view(1, 1, -1, 1)), smooth.view(1, 1, 1, -1))
    return (gx.square() + gy.square()).sqrt().view(pha.shape)


def stretch(pha: Tensor) -> Tensor:
    """Min-max normalise each frame; a flat frame becomes all 0."""
    low, high = pha.amin(FRAME, keepdim=True), pha.amax(FRAME, keepdim=True)
    return torch.where(high > low, (pha - low) / (high - low), torch.zeros_like(pha))


def connectivity(pred: Tensor, true: Tensor, mask: Tensor | None = None, scale: float = 1e-3) -> Tensor:
    """CONN: sum of differences of the degree to which pixels hang on to the main body, divided by 1000.

    With thresholds 0.1, 0.2, ... 1: the body at a threshold is the largest 4-connected component of the pixels where
    both alphas reach it (of equally large ones, the first in raster order). A pixel's level is the last threshold
    before the first one whose body leaves it out, 1 if none does. An alpha of d above the level makes a degree of
    1 - d where d >= 0.15, else 1. Components are labelled on the CPU wherever the tensors are.

    Args:
        pred, true: (..., 1, H, W).
    """
    _check(pred, true)
    both = torch.minimum(pred, true)
    # 153 / 255 and 0.6 round to the same float32, but 153 / 255 in float32 is above 0.6 in float64: compare as float32.
    frames = both.detach().float().cpu().flatten(0, -3).numpy()                                   # (N, H, W)
    level = np.stack([connected_level(frame) for frame in frames])
    level = torch.from_numpy(level).to(pred.device).view(pred.shape)
    return _masked_sum((_degree(pred, level) - _degree(true, level)).abs(), mask) * scale


def connected_level(both: np.ndarray) -> np.ndarray:
    """The level of every pixel. (H, W) float32 minimum of both alphas -> (H, W) float32 in {0, 0.1, ... 1}."""
    level = np.full(both.shape, -1, np.float32)
    for previous, threshold in zip(THRESHOLDS, THRESHOLDS[1:]):
        _, labels = cv2.connectedComponents((both >= np.float32(threshold)).astype(np.uint8), connectivity=4)
        areas = np.bincount(labels.ravel())
        areas[0] = 0
        body = (labels == areas.argmax()) & (labels > 0)
        level[(level == -1) & ~body] = previous
    level[level == -1] = 1
    return level


def _degree(pha: Tensor, level: Tensor) -> Tensor:
    above = pha - level
    return 1 - above * (above >= 0.15)


def dtssd(pred: Tensor, true: Tensor, mask: Tensor | None = None, scale: float = 1e2,
          first: float = math.nan) -> Tensor:
    """dtSSD: root of the mean squared difference of temporal changes, times 100.

    Args:
        pred, true: (..., T, 1, H, W), frames in order.
        mask: (..., T, 1, H, W); a change counts where the mask of the later frame does.
        first: the value of the first frame, see `table.Protocol`.
    Returns:
        (..., T).
    """
    _check(pred, true)
    error = pred - true
    change = (error[..., 1:, :, :, :] - error[..., :-1, :, :, :]).square()
    later = mask[..., 1:, :, :, :] if mask is not None else None
    return F.pad(_masked_mean(change, later).sqrt() * scale, (1, 0), value=first)


def messddt(pred: Tensor, true: Tensor, flow: Tensor, scale: float = 1e3) -> Tensor:
    """MESSDdt: change of the squared error along the motion of the scene, times 1e3.

    With e the error of alpha and v the motion of the scene from frame t-1 to t:
    mean over pixels x of abs(e_t(x + v(x))^2 - e_{t-1}(x)^2). e_t^2 is sampled bilinearly; pixels whose target lies
    outside the frame do not count. An error that moves along with the scene costs nothing; dtSSD would charge it.
    The benchmark of Erofeev et al. prints a sum with its own flow: compare our values only with each other.

    Args:
        pred, true: (T, 1, H, W).
        flow: (T-1, 2, H, W) motion v in pixels, x then y, from `optical_flow`.
    Returns:
        (T,), NaN for the first frame.
    """
    _check(pred, true)
    T, _, H, W = pred.shape
    if flow.shape != (T - 1, 2, H, W):
        raise ValueError(f'flow must be {[T - 1, 2, H, W]} for {T} frames, got {list(flow.shape)}')
    squared = (pred - true).square()
    y, x = torch.meshgrid(torch.arange(H, device=pred.device), torch.arange(W, device=pred.device), indexing='ij')
    target_x, target_y = x + flow[:, 0], y + flow[:, 1]                                            # (T-1, H, W)
    inside = (target_x >= 0) & (target_x <= W - 1) & (target_y >= 0) & (target_y <= H - 1)
    grid = torch.stack([2 * target_x / max(W - 1, 1) - 1, 2 * target_y / max(H - 1, 1) - 1], dim=-1).to(pred.dtype)
    moved = F.grid_sample(squared[1:], grid, mode='bilinear', padding_mode='border', align_corners=True)
    return F.pad(_masked_mean((moved - squared[:-1]).abs(), inside[:, None]) * scale, (1, 0), value=math.nan)


def optical_flow(frames: np.ndarray) -> Tensor:
    """Motion between neighbouring frames: dense inverse search (OpenCV, medium preset), deterministic.

    Args:
        frames: (T, H, W) uint8, the grey source frames; at least 16 pixels a side.
    Returns:
        (T-1, 2, H, W) float32.
    """
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flows = [method.calc(now, then, None) for now, then in zip(frames, frames[1:])]
    return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2) if flows else torch.zeros(0, 2, *frames.shape[1:])


def iou(pred: Tensor, true: Tensor, mask: Tensor | None = None, threshold: float = 0.5) -> Tensor:
    """Intersection over union of the alphas cut at `threshold`, in [0, 1]; 1 where both are empty."""
    _check(pred, true)
    pred, true = pred >= threshold, true >= threshold
    intersection, union = _masked_sum((pred & true).double(), mask), _masked_sum((pred | true).double(), mask)
    return torch.where(union > 0, intersection / union, torch.ones_like(union))


def alpha_metrics(pred_pha: Tensor, true_pha: Tensor) -> dict[str, float]:
    """The numbers that training looks at, times 1: MAD, MSE and, for more than one frame, dtSSD of pairs of frames.

    Args:
        pred_pha, true_pha: (B, T, 1, H, W); a network that diverges makes the numbers NaN and does not end the run.
    """
    measures = (mad, mse, dtssd) if pred_pha.size(1) > 1 else (mad, mse)
    if not pred_pha.isfinite().all():
        return {measure.__name__: math.nan for measure in measures}
    return {measure.__name__: measure(pred_pha, true_pha, scale=1.).nanmean().item() for measure in measures}


def _check(pred: Tensor, true: Tensor) -> None:
    if pred.shape != true.shape or pred.dim() < 3:
        raise ValueError(f'pred and true must both be (..., C, H, W), got {list(pred.shape)} and {list(true.shape)}')
    for name, x in (('pred', pred), ('true', true)):
        if not x.is_floating_point():
            raise ValueError(f'{name} must be a float tensor in [0, 1], got {x.dtype}: divide 8-bit values by 255')
        wrong = x.numel() - int(torch.isfinite(x).sum())
        if wrong:
            raise ValueError(f'{name} holds {wrong} values that are not finite numbers')


def _masked_sum(x: Tensor, mask: Tensor | None) -> Tensor:
    return (x if mask is None else x * (mask != 0)).sum(FRAME, dtype=torch.float64)


def _masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    count = torch.ones_like(x) if mask is None else (mask != 0).expand(x.shape)
    return _masked_sum(x, mask) / count.sum(FRAME, dtype=torch.float64)
