"""The time axis in one place: frames (B, C, H, W) and clips (B, T, C, H, W) share every layer but the ConvGRU."""

from torch import Tensor


def fold_time(x: Tensor) -> tuple[Tensor, int]:
    """(B, T, C, H, W) -> (B*T, C, H, W) and T. Frames (B, C, H, W) pass through with T = 0."""
    if x.dim() == 5:
        return x.flatten(0, 1), x.size(1)
    return x, 0


def unfold_time(x: Tensor, T: int) -> Tensor:
    """Undo fold_time."""
    if T > 0:
        return x.unflatten(0, (x.size(0) // T, T))
    return x
