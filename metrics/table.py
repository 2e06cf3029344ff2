"""The table of metrics, and the protocols that combine them. A new metric is one function and one row."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from . import fast, reference
from .fast import Frame


@dataclass(frozen=True)
class Protocol:
    """What published numbers leave to the implementation.

    Args:
        minmax_gradient: stretch both alphas of a frame to 0..1 before GRAD; a flat alpha becomes all 0.
        first_dtssd: dtSSD of the first frame, which has no predecessor: 0, or NaN, which averages leave out.
        average: 'columns' is the mean over frame indices of the mean over clips, 'frames' the mean over all frames.
        metrics: measured when the user names none.
    """

    minmax_gradient: bool
    first_dtssd: float
    average: str
    metrics: tuple[str, ...]

    def dtssd(self, frame: Frame) -> float:
        """The fast form, with this protocol's value where there is no frame before."""
        return fast.dtssd(frame) if frame.before is not None else self.first_dtssd


PROTOCOLS: dict[str, Protocol] = {
    # The released scripts, quirks included: a 0 for the first dtSSD of each clip (99/100 of the value for clips of 100
    # frames), GRAD of stretched alphas in the low-resolution one only. Numbers printed in papers are these.
    'rvm_lr': Protocol(True, 0., 'columns',
                       ('pha_mad', 'pha_mse', 'pha_grad', 'pha_conn', 'pha_dtssd', 'fgr_mad', 'fgr_mse')),
    'rvm_hr': Protocol(False, 0., 'columns', ('pha_mad', 'pha_mse', 'pha_grad', 'pha_dtssd', 'fgr_mse')),
    'strict': Protocol(False, math.nan, 'frames',
                       ('pha_mad', 'pha_mse', 'pha_sad', 'pha_grad', 'pha_conn', 'pha_dtssd', 'pha_iou',
                        'fgr_mad', 'fgr_mse')),
}


@dataclass(frozen=True)
class Clip:
    """What is compared.

    Args:
        pred_pha, true_pha: (T, 1, H, W); pred_fgr, true_fgr: (T, 3, H, W), compared where true alpha is above 0.
        mask: (T, 1, H, W) for the metrics of alpha, for example the unknown band of a trimap. Not used by MESSDdt.
        grey_src: (T, H, W) uint8 source frames.
    """

    pred_pha: Tensor
    true_pha: Tensor
    pred_fgr: Tensor | None = None
    true_fgr: Tensor | None = None
    mask: Tensor | None = None
    grey_src: np.ndarray | None = None

    @property
    def alphas(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Prediction, truth and mask."""
        return self.pred_pha, self.true_pha, self.mask

    @property
    def foregrounds(self) -> tuple[Tensor, Tensor, Tensor]:
        """Prediction, truth and where they are compared."""
        return self.pred_fgr, self.true_fgr, self.true_pha > 0

    @cached_property
    def flow(self) -> Tensor:
        """(T-1, 2, H, W) motion of the scene [px]."""
        return reference.optical_flow(self.grey_src)


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    Args:
        reference: (clip, protocol) -> (T,) float64, NaN where a frame has no value. The value of a frame may depend on
            the frame before it, and on nothing further away.
        fast: (8-bit frame, protocol) -> the same number; None: the reference takes its place.
        needs: what of a `Clip` it reads beside the alphas.
        better: min or max.
    """

    reference: Callable[[Clip, Protocol], Tensor]
    fast: Callable[[Frame, Protocol], float] | None = None
    needs: tuple[str, ...] = ()
    better: Callable = min


FOREGROUND = ('pred_fgr', 'true_fgr')
METRICS: dict[str, Metric] = {
    'pha_mad': Metric(lambda clip, _: reference.mad(*clip.alphas), lambda frame, _: fast.mad(frame)),
    'pha_mse': Metric(lambda clip, _: reference.mse(*clip.alphas), lambda frame, _: fast.mse(frame)),
    'pha_sad': Metric(lambda clip, _: reference.sad(*clip.alphas), lambda frame, _: fast.sad(frame)),
    'pha_grad': Metric(lambda clip, rules: reference.gradient(*clip.alphas, minmax=rules.minmax_gradient),
                       lambda frame, rules: fast.gradient(frame, rules.minmax_gradient)),
    'pha_conn': Metric(lambda clip, _: reference.connectivity(*clip.alphas), lambda frame, _: fast.connectivity(frame)),
    'pha_dtssd': Metric(lambda clip, rules: reference.dtssd(*clip.alphas, first=rules.first_dtssd),
                        lambda frame, rules: rules.dtssd(frame)),
    'pha_messddt': Metric(lambda clip, _: reference.messddt(clip.pred_pha, clip.true_pha, clip.flow),
                          needs=('grey_src',)),
    'pha_iou': Metric(lambda clip, _: reference.iou(*clip.alphas), lambda frame, _: fast.iou(frame), better=max),
    'fgr_mad': Metric(lambda clip, _: reference.mad(*clip.foregrounds), lambda frame, _: fast.foreground_mad(frame),
                      FOREGROUND),
    'fgr_mse': Metric(lambda clip, _: reference.mse(*clip.foregrounds), lambda frame, _: fast.foreground_mse(frame),
                      FOREGROUND),
}


def measure_clip(clip: Clip, metrics: tuple[str, ...] | None = None, protocol: str = 'strict') -> dict[str, Tensor]:
    """Metrics of a whole clip, by their references.

    Args:
        metrics: names in `METRICS`; None takes the protocol's own, without those of the foreground if there is none.
    Returns:
        name -> (T,) float64; NaN where a frame has no value.
    Raises:
        ValueError: unknown names, shapes that differ, values that are not finite, a missing foreground or source.
    """
    rules = protocol_named(protocol)
    if metrics is None:
        metrics = tuple(name for name in rules.metrics if clip.true_fgr is not None or not METRICS[name].needs)
    check_metrics(metrics)
    for name in metrics:
        missing = [part for part in METRICS[name].needs if getattr(clip, part) is None]
        if missing:
            raise ValueError(f'{name} needs {" and ".join(missing)}')
    return {name: METRICS[name].reference(clip, rules) for name in metrics}


def protocol_named(name: str) -> Protocol:
    """The protocol of that name; ValueError lists the known ones."""
    if name not in PROTOCOLS:
        raise ValueError(f'protocol must be one of {", ".join(PROTOCOLS)}, got {name!r}')
    return PROTOCOLS[name]


def check_metrics(names: tuple[str, ...]) -> None:
    """ValueError for a name that is not in the table."""
    for name in names:
        if name not in METRICS:
            raise ValueError(f'metrics must be among {", ".join(METRICS)}, got {name!r}')


def needing(part: str, names: tuple[str, ...] | None = None) -> set[str]:
    """Which of the metrics read a part of a `Clip`, 'pred_fgr' or 'grey_src'."""
    return {name for name in (METRICS if names is None else names) if part in METRICS[name].needs}
