"""From three predictions to one: coarse where it is sure, finer where it is not."""

from torch import Tensor

from .regions import FUSION_WIDTHS, dilate, dilate_each, uncertain


def fuse(os8: Tensor, os4: Tensor, os1: Tensor, detail: Tensor,
         widths: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """
    Args:
        os8, os4, os1: (..., H, W) alpha.
        detail: (..., H, W) of 0 and 1, where the detail branch was run.
        widths: ellipse widths of both steps, one for each map; those of evaluation where None.
    Returns:
        Alpha, and the 0/1 maps where os4 and os1 were taken.
    """
    w4 = around_uncertain(os8, FUSION_WIDTHS[0] if widths is None else widths[0]) * detail
    pha = w4 * os4 + (1 - w4) * os8
    w1 = around_uncertain(pha, FUSION_WIDTHS[1] if widths is None else widths[1]) * detail
    return w1 * os1 + (1 - w1) * pha, w4, w1


def around_uncertain(pha: Tensor, width: int | Tensor) -> Tensor:
    """1 near uncertain alpha of (..., H, W)."""
    unsure = uncertain(pha.detach())
    if isinstance(width, int):
        return dilate(unsure, width)
    return dilate_each(unsure.reshape(-1, *pha.shape[-2:]), width).reshape(pha.shape)
