"""The metrics of 8-bit frames on one CPU core, fast: the same numbers as `reference`, which is the readable one.

Everything that can be is exact integer arithmetic on bytes. The two expensive metrics look only at the rectangle where
one of the alphas is not 0: outside it both gradients and both degrees agree. Connectivity fills the body from a seed
instead of labelling all components: the body at a high threshold lies inside one component of every lower one, and a
fill that covers more than half of the pixels has found the largest. Only what is left open is labelled.
"""

import math
from functools import cached_property

import cv2
import numpy as np

from .reference import THRESHOLDS, gradient_taps

SMOOTH, SLOPE = gradient_taps()
HALF = len(SMOOTH) // 2
# byte -> number of thresholds 0.1 .. 1 it reaches, 0..10: v / 255 >= i / 10 in integers
LEVELS = np.array([sum(10 * v >= 255 * i for i in range(1, 11)) for v in range(256)], np.uint8)
_ABOVE = np.arange(256)[None] / 255 - np.array(THRESHOLDS)[:, None]
DEGREES = 1 - _ABOVE * (_ABOVE >= 0.15)                                              # (level, byte) -> degree

_NOWHERE = np.zeros(0, np.intp)


class Frame:
    """One frame of a prediction and its truth; sums that several metrics share are taken once.

    Args:
        pred_pha, true_pha: (H, W) uint8; pred_fgr, true_fgr: (H, W, 3) uint8, of one channel order.
        before: the frame before it, or None.
    """

    def __init__(self, pred_pha: np.ndarray, true_pha: np.ndarray, pred_fgr: np.ndarray | None = None,
                 true_fgr: np.ndarray | None = None, before: 'Frame | None' = None):
        self.pred_pha, self.true_pha, self.pred_fgr, self.true_fgr = pred_pha, true_pha, pred_fgr, true_fgr
        self.before = before

    @cached_property
    def absolute(self) -> float:
        """Sum of absolute differences of alpha, in bytes."""
        return cv2.norm(self.pred_pha, self.true_pha, cv2.NORM_L1)

    @cached_property
    def error(self) -> np.ndarray:
        """(H, W) int16."""
        return np.subtract(self.pred_pha, self.true_pha, dtype=np.int16)

    @cached_property
    def foreground(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Both foregrounds and true alpha in the rectangle where true alpha is above 0; None if it is nowhere."""
        x, y, w, h = cv2.boundingRect(self.true_pha)                  # the rectangle of the non-zero pixels
        if w == 0:
            return None
        return tuple(image[y:y + h, x:x + w] for image in (self.pred_fgr, self.true_fgr, self.true_pha))

    @cached_property
    def magnitudes(self) -> dict[bool, float]:
        """GRAD of stretched alphas or not, as it is asked for."""
        return {}


def mad(frame: Frame) -> float:
    """Mean absolute difference, times 1e3."""
    return frame.absolute / frame.true_pha.size / 255 * 1e3


def mse(frame: Frame) -> float:
    """Mean squared difference, times 1e3."""
    return cv2.norm(frame.pred_pha, frame.true_pha, cv2.NORM_L2SQR) / frame.true_pha.size / 255 ** 2 * 1e3


def sad(frame: Frame) -> float:
    """Sum of absolute differences, divided by 1000."""
    return frame.absolute / 255 * 1e-3


def iou(frame: Frame) -> float:
    """Intersection over union of the alphas cut at one half."""
    union = np.count_nonzero((frame.pred_pha | frame.true_pha) > 127)                     # bit 7: 0.5 and up
    return float(np.count_nonzero((frame.pred_pha & frame.true_pha) > 127) / union) if union else 1.


def dtssd(frame: Frame) -> float:
    """NaN without a frame before it."""
    if frame.before is None:
        return math.nan
    # subtracted here: the two-array norm of OpenCV 5.0.0 is wrong by up to 3 in the last pixels of int16
    squared = cv2.norm(frame.error - frame.before.error, cv2.NORM_L2SQR)
    return math.sqrt(squared / frame.error.size) / 255 * 1e2


def foreground_mad(frame: Frame) -> float:
    """Where the true alpha is above 0; NaN if it is nowhere."""
    return _foreground(frame, cv2.NORM_L1) / 255 * 1e3


def foreground_mse(frame: Frame) -> float:
    """Arguments and result as in `foreground_mad`."""
    return _foreground(frame, cv2.NORM_L2SQR) / 255 ** 2 * 1e3


def _foreground(frame: Frame, norm: int) -> float:
    if frame.foreground is None:
        return math.nan
    pred, true, mask = frame.foreground
    return cv2.norm(pred, true, norm, mask) / (3 * cv2.countNonZero(mask))


def gradient(frame: Frame, minmax: bool = False) -> float:
    """GRAD, of stretched alphas or not."""
    if minmax not in frame.magnitudes:
        frame.magnitudes[minmax] = _gradient(frame.pred_pha, frame.true_pha, minmax)
    return frame.magnitudes[minmax]


def _gradient(pred: np.ndarray, true: np.ndarray, minmax: bool) -> float:
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


def connectivity(frame: Frame) -> float:
    """CONN; see `reference.connectivity`."""
    pred, true = frame.pred_pha, frame.true_pha
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
