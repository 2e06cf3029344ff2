"""Alpha errors of a clip, as in the published benchmark, on predictions that were not rounded to 8 bits."""

from torch import Tensor


def mad(pred_pha: Tensor, true_pha: Tensor) -> float:
    """Mean absolute difference of (..., H, W) mattes in [0, 1]; the benchmark prints it times 1000."""
    return (pred_pha - true_pha).abs().mean().item()


def mse(pred_pha: Tensor, true_pha: Tensor) -> float:
    """Mean squared difference; the benchmark prints it times 1000."""
    return (pred_pha - true_pha).square().mean().item()


def dtssd(pred_pha: Tensor, true_pha: Tensor) -> float | None:
    """Flicker of (B, T, 1, H, W): root mean square of the error's change, mean over pairs of frames; None for T = 1.

    The benchmark prints it times 100. Its released script counts a 0 for each clip's first frame; this does not.
    """
    if pred_pha.size(1) == 1:
        return None
    change = (pred_pha - true_pha).diff(dim=1)
    return change.square().mean(dim=(2, 3, 4)).sqrt().mean().item()


def alpha_metrics(pred_pha: Tensor, true_pha: Tensor) -> dict[str, float]:
    """Of one clip; those that cannot be computed are left out."""
    values = {'mad': mad(pred_pha, true_pha), 'mse': mse(pred_pha, true_pha), 'dtssd': dtssd(pred_pha, true_pha)}
    return {name: value for name, value in values.items() if value is not None}
