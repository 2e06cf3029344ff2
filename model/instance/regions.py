"""Where alpha is uncertain, widened by ellipses, and the boxes around such regions. Everything stays on its device."""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

UNSURE = 1 / 255        # alpha strictly between this and 1 minus this is uncertain
REGION_WIDTH = 15       # [px] ellipses: of the detail region, and of both steps of the fusion in evaluation
FUSION_WIDTHS = (13, 7)


@lru_cache(maxsize=64)
def ellipse(width: int) -> Tensor:
    """(width, width) of 0 and 1: the filled ellipse that OpenCV draws for `MORPH_ELLIPSE`."""
    half = width // 2
    kernel = torch.zeros(width, width)
    for row in range(width):
        dy = row - half
        if abs(dy) > half or half == 0:
            kernel[row, half] = 1
            continue
        dx = round(half * (1 - dy * dy / half ** 2) ** 0.5)
        kernel[row, max(half - dx, 0):min(half + dx + 1, width)] = 1
    return kernel


def dilate(msk: Tensor, width: int) -> Tensor:
    """(..., H, W) of 0 and 1, widened by the ellipse as OpenCV does; float32.

    Each row of the ellipse is a difference of running sums: ten times faster on a CPU than a convolution, which is what
    a graph is given.
    """
    if torch.jit.is_tracing():
        return dilate_by_convolution(msk, width)
    H, W = msk.shape[-2:]
    half = width // 2
    sums = F.pad(msk.float().reshape(-1, H, W), (half + 1, half, half, half)).cumsum(-1)
    hits = torch.zeros_like(sums[:, :H, :W])
    for row, (start, end) in enumerate(spans(width)):
        rows = sums[:, row:row + H]
        hits = hits + (rows[..., end:end + W] - rows[..., start:start + W])
    return (hits > 0.5).float().reshape(msk.shape)


def dilate_by_convolution(msk: Tensor, width: int) -> Tensor:
    """The reference: as `dilate`."""
    before, after = width // 2, width - 1 - width // 2
    flat = F.pad(msk.float().reshape(-1, 1, *msk.shape[-2:]), (before, after, before, after))
    kernel = ellipse(width).to(flat.device)
    return (F.conv2d(flat, kernel[None, None]) > 0.5).float().reshape(msk.shape)


@lru_cache(maxsize=64)
def spans(width: int) -> tuple[tuple[int, int], ...]:
    """For each row of the ellipse the first column of it and one past the last."""
    columns = [row.nonzero()[:, 0] for row in ellipse(width)]
    return tuple((int(own[0]), int(own[-1]) + 1) for own in columns)


def dilate_each(msk: Tensor, widths: Tensor) -> Tensor:
    """As `dilate`, with a width of its own for each map.

    Args:
        msk: (K, H, W) of 0 and 1.
        widths: (K,) integers on the CPU.
    """
    out = torch.empty_like(msk, dtype=torch.float32)
    for width in widths.unique().tolist():
        own = (widths == width).nonzero()[:, 0].to(msk.device)
        out[own] = dilate(msk[own], width)
    return out


def uncertain(pha: Tensor, inclusive: bool = False) -> Tensor:
    """1 where alpha is neither nearly 0 nor nearly 1, else 0; same shape, float32."""
    if inclusive:
        return ((pha >= UNSURE) & (pha <= 1 - UNSURE)).float()
    return ((pha > UNSURE) & (pha < 1 - UNSURE)).float()


def bounds(msk: Tensor) -> list[tuple[int, int, int, int] | None]:
    """(top, bottom, left, right), ends exclusive, of the ones of each (K, H, W) map; None where there are none.

    All maps together cost one wait for the device.
    """
    K, H, W = msk.shape
    if K == 0:
        return []
    ys, xs = torch.arange(H, device=msk.device), torch.arange(W, device=msk.device)
    rows, columns = msk.amax(2) > 0, msk.amax(1) > 0
    found = torch.stack([torch.where(rows, ys, H).amin(1), torch.where(rows, ys, -1).amax(1) + 1,
                         torch.where(columns, xs, W).amin(1), torch.where(columns, xs, -1).amax(1) + 1], 1)
    return [tuple(box) if box[1] else None for box in found.tolist()]


def keep_near(pha: Tensor, threshold: float = 0.1, margin: int = 30) -> Tensor:
    """1 inside the box of alpha above the threshold, enlarged by the margin [px]; shape of (..., H, W) alpha.

    Alpha is averaged over 7x7 pixels first, so that specks do not stretch the box.
    """
    H, W = pha.shape[-2:]
    found = (F.avg_pool2d(pha.reshape(-1, 1, H, W), 7, 1, 3, count_include_pad=False) > threshold).float()
    rows, columns = (filled(found.amax(axis), margin) for axis in (3, 2))              # (K, 1, H), (K, 1, W)
    return (rows[..., None] * columns[..., None, :]).reshape(pha.shape)


def filled(line: Tensor, margin: int) -> Tensor:
    """(K, 1, L) of 0 and 1 -> 1 from `margin` before the first one to as far behind the last."""
    before = line.cumsum(-1)
    behind = before[..., -1:] - before + line
    return F.max_pool1d(((before > 0) & (behind > 0)).float(), 2 * margin + 1, 1, margin)
