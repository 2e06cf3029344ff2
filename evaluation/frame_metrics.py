"""The metrics of 8-bit frames on one CPU core, fast: the same numbers as `metrics`, which is the readable reference.

Everything that can be is exact integer arithmetic on bytes. The two expensive metrics look only at the rectangle where
one of the alphas is not 0: outside it both gradients and both degrees agree. Connectivity fills the body from a seed
instead of labelling all components: the body at a high threshold lies inside one component of every lower one, and a
fill that covers more than half of the pixels has found the largest. Only what is left open is labelled.
"""

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from .metrics import FGR_METRICS, THRESHOLDS, gradient_taps, measure_clip, optical_flow, protocol_named

SMOOTH, SLOPE = gradient_taps()
HALF = len(SMOOTH) // 2
# byte -> number of thresholds 0.1 .. 1 it reaches, 0..10: v / 255 >= i / 10 in integers
LEVELS = np.array([sum(10 * v >= 255 * i for i in range(1, 11)) for v in range(256)], np.uint8)
_ABOVE = np.arange(256)[None] / 255 - np.array(THRESHOLDS)[:, None]
DEGREES = 1 - _ABOVE * (_ABOVE >= 0.15)                                              # (level, byte) -> degree

_NOWHERE = np.zeros(0, np.intp)


class FrameMeter:
    """Measures the frames of one clip in order; keeps the previous frame for the metrics over time.

    Args:
        metrics: names in `metrics.METRICS`.
        protocols: names in `metrics.PROTOCOLS`; what does not depend on the protocol is computed once.
    """

    def __init__(self, metrics: tuple[str, ...], protocols: tuple[str, ...] = ('strict',)):
        self.metrics, self.protocols = metrics, protocols
        self.previous: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None
        self.previous_error: np.ndarray | None = None

    def skip(self) -> None:
        """A frame is missing here: the next one has no predecessor."""
        self.previous = self.previous_error = None

    def measure(self, pred_pha: np.ndarray, true_pha: np.ndarray, pred_fgr: np.ndarray | None = None,
                true_fgr: np.ndarray | None = None, grey_src: np.ndarray | None = None) -> dict[str, dict[str, float]]:
        """One frame.

        Args:
            pred_pha, true_pha: (H, W); pred_fgr, true_fgr: (H, W, 3), of one channel order. uint8 takes the fast path,
                uint16 or float in [0, 1] the reference.
            grey_src: (H, W) uint8 source frame, for 'pha_messddt'.
        Returns:
            protocol -> metric -> value, NaN where the frame has none. Foreground metrics are left out without one.
        """
        names = [name for name in self.metrics if name not in FGR_METRICS or pred_fgr is not None]
        frames = (pred_pha, true_pha, pred_fgr, true_fgr)
        fast = all(frame is None or frame.dtype == np.uint8 for frame in frames)
        values = self._fast(names, *frames) if fast else self._reference(names, *frames)
        if 'pha_messddt' in names:
            value = self._messddt(pred_pha, true_pha, grey_src)
            for measured in values.values():
                measured['pha_messddt'] = value
        self.previous = pred_pha, true_pha, grey_src
        return {protocol: {name: values[protocol][name] for name in names} for protocol in self.protocols}

    def _fast(self, names: list[str], pred_pha: np.ndarray, true_pha: np.ndarray, pred_fgr: np.ndarray | None,
              true_fgr: np.ndarray | None) -> dict[str, dict[str, float]]:
        shared = alpha_sums(pred_pha, true_pha)
        if 'pha_conn' in names:
            shared['pha_conn'] = connectivity(pred_pha, true_pha)
        if pred_fgr is not None and true_fgr is not None and set(names) & set(FGR_METRICS):
            shared |= foreground_means(pred_fgr, true_fgr, true_pha)
        gradients = {}
        for minmax in {protocol_named(name).minmax_gradient for name in self.protocols if 'pha_grad' in names}:
            gradients[minmax] = gradient(pred_pha, true_pha, minmax)
        change = math.nan
        if 'pha_dtssd' in names:
            error = np.subtract(pred_pha, true_pha, dtype=np.int16)
            if self.previous_error is not None:
                # subtracted here: the two-array norm of OpenCV 5.0.0 is wrong by up to 3 in the last pixels of int16
                squared = cv2.norm(error - self.previous_error, cv2.NORM_L2SQR)
                change = math.sqrt(squared / error.size) / 255 * 1e2
            self.previous_error = error
        values = {}
        for name in self.protocols:
            rules = protocol_named(name)
            values[name] = shared | {'pha_grad': gradients.get(rules.minmax_gradient, math.nan),
                                     'pha_dtssd': rules.first_dtssd if math.isnan(change) else change}
        return values

    def _reference(self, names: list[str], *frames: np.ndarray | None) -> dict[str, dict[str, float]]:
        now = [as_tensor(frame) if frame is not None else None for frame in frames]
        if self.previous is not None:                       # two frames, of which the second is wanted
            now[0], now[1] = (torch.cat([as_tensor(self.previous[i]), now[i]]) for i in range(2))
            now[2], now[3] = (x.expand(2, -1, -1, -1) if x is not None else None for x in now[2:])
        asked = tuple(name for name in names if name != 'pha_messddt')
        return {protocol: {name: float(value[-1]) for name, value in
                           measure_clip(*now, metrics=asked, protocol=protocol).items()} for protocol in self.protocols}

    def _messddt(self, pred_pha: np.ndarray, true_pha: np.ndarray, grey_src: np.ndarray | None) -> float:
        if grey_src is None:
            raise ValueError('pha_messddt needs the source frames')
        if self.previous is None:
            return math.nan
        before_pred, before_true, before_src = self.previous
        pred = torch.cat([as_tensor(before_pred), as_tensor(pred_pha)])
        true = torch.cat([as_tensor(before_true), as_tensor(true_pha)])
        flow = optical_flow(np.stack([before_src, grey_src]))
        return float(measure_clip(pred, true, metrics=('pha_messddt',), flow=flow)['pha_messddt'][-1])


def as_tensor(frame: np.ndarray) -> Tensor:
    """(H, W) or (H, W, 3) of uint8, uint16, or float in [0, 1] -> (1, C, H, W) float32 in [0, 1]."""
    scale = {'uint8': 255, 'uint16': 65535}.get(frame.dtype.name, 1)
    x = torch.from_numpy(np.ascontiguousarray(frame, np.float32) / scale)
    return x[None, None] if x.dim() == 2 else x.permute(2, 0, 1)[None]


def alpha_sums(pred: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """MAD, MSE, SAD and IoU of two (H, W) uint8 alphas."""
    absolute, squared = cv2.norm(pred, true, cv2.NORM_L1), cv2.norm(pred, true, cv2.NORM_L2SQR)
    union, both = np.count_nonzero((pred | true) > 127), np.count_nonzero((pred & true) > 127)     # bit 7: 0.5 and up
    return {'pha_mad': absolute / pred.size / 255 * 1e3, 'pha_mse': squared / pred.size / 255 ** 2 * 1e3,
            'pha_sad': absolute / 255 * 1e-3, 'pha_iou': float(both / union) if union else 1.}


def foreground_means(pred: np.ndarray, true: np.ndarray, true_pha: np.ndarray) -> dict[str, float]:
    """MAD and MSE of two (H, W, 3) uint8 foregrounds where the true alpha is above 0; NaN if it is nowhere."""
    x, y, w, h = cv2.boundingRect(true_pha)                       # the rectangle of the non-zero pixels
    if w == 0:
        return {'fgr_mad': math.nan, 'fgr_mse': math.nan}
    pred, true, mask = pred[y:y + h, x:x + w], true[y:y + h, x:x + w], true_pha[y:y + h, x:x + w]
    count = 3 * cv2.countNonZero(mask)
    return {'fgr_mad': cv2.norm(pred, true, cv2.NORM_L1, mask) / count / 255 * 1e3,
            'fgr_mse': cv2.norm(pred, true, cv2.NORM_L2SQR, mask) / count / 255 ** 2 * 1e3}


def gradient(pred: np.ndarray, true: np.ndarray, minmax: bool = False) -> float:
    """GRAD of two (H, W) uint8 alphas."""
    window = occupied(pred, true, margin=HALF)
    if window is None:
        return 0.
    scale_pred, scale_true = (_stretch(x) if minmax else 1 / 255 for x in (pred, true))
    magnitudes = _magnitude(pred[window], scale_pred), _magnitude(true[window], scale_true)
    return cv2.norm(*magnitudes, cv2.NORM_L2SQR) * 1e-3


def _stretch(pha: np.ndarray) -> float:
    """What min-max stretching multiplies bytes by; the offset it also applies has no gradient."""
    low, high, _, _ = cv2.minMaxLoc(pha)
    return 1 / (high - low) if high > low else 0.


def _magnitude(pha: np.ndarray, scale: float) -> np.ndarray:
    gx = cv2.sepFilter2D(pha, cv2.CV_32F, SLOPE * scale, SMOOTH, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.sepFilter2D(pha, cv2.CV_32F, SMOOTH * scale, SLOPE, borderType=cv2.BORDER_REPLICATE)
    return cv2.magnitude(gx, gy)


def connectivity(pred: np.ndarray, true: np.ndarray) -> float:
    """CONN of two (H, W) uint8 alphas."""
    window = occupied(pred, true)
    if window is None:
        return 0.
    pred, true = pred[window], true[window]
    level = connected_level(cv2.LUT(np.minimum(pred, true), LEVELS))
    at = np.flatnonzero(pred != true)                                  # equal alphas have equal degrees
    level, pred, true = level.ravel()[at], pred.ravel()[at], true.ravel()[at]
    return float(np.abs(DEGREES[level, pred] - DEGREES[level, true]).sum()) * 1e-3


def connected_level(reached: np.ndarray) -> np.ndarray:
    """(H, W) uint8 number of thresholds reached by both alphas -> (H, W) uint8 number before the body is left.

    Going down from threshold 10, a pixel outside the body of threshold i gets i - 1; the lowest such threshold is
    written last and wins, as the definition wants. Pixels below a threshold need no writing: `reached` says it.
    """
    level = np.ascontiguousarray(reached).copy()
    flat = level.reshape(-1)                                                                    # a view
    present = np.bincount(reached.ravel(), minlength=11)
    outside, seed = _NOWHERE, None
    for i in range(10, 0, -1):
        count = int(present[i:].sum())
        if present[i]:                            # else: the same pixels as one threshold higher, the same body
            outside, seed = _outside_body((reached >= i).view(np.uint8), count, seed)
        flat[outside] = i - 1
    return level


def _outside_body(inside: np.ndarray, count: int, seed: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, int]]:
    """Where pixels of a mask are not in its largest 4-connected component, and a pixel (x, y) that is.

    Args:
        inside: (H, W) uint8 of 0 and 1 with `count` ones; overwritten.
        seed: a pixel of the mask that is likely to lie in the largest component.
    Returns:
        Flat indices, and the seed for the next threshold.
    """
    if seed is not None:
        area, inside, _, _ = cv2.floodFill(inside, None, seed, 2, flags=4)
        if 2 * area > count:
            return (np.flatnonzero(inside == 1) if area < count else _NOWHERE), seed
        inside = (inside > 0).view(np.uint8)
    _, labels = cv2.connectedComponents(inside, connectivity=4)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    body = int(areas.argmax())
    at = int((labels == body).argmax())
    return np.flatnonzero((labels != body) & (labels > 0)), (at % inside.shape[1], at // inside.shape[1])


def occupied(pred: np.ndarray, true: np.ndarray, margin: int = 0) -> tuple[slice, slice] | None:
    """The rectangle where one of the two is not 0, grown by `margin`; None if both are 0 everywhere."""
    x, y, w, h = cv2.boundingRect(pred | true)
    if w == 0:
        return None
    return slice(max(y - margin, 0), y + h + margin), slice(max(x - margin, 0), x + w + margin)
