"""What the two guided filters share: a local linear model fitted at the small size and applied at the full size.

Papers: Fast Guided Filter, arXiv 1505.00996; Fast End-to-End Trainable Guided Filter, arXiv 1803.05619.

At every pixel the four outputs (foreground residual RGB, alpha) are `A * guide + b`; the guide is the source with the
mean of its channels as the fourth. `coefficients` are A and b stacked, (B, [T,] 8, h, w), always float32: they come
from differences of nearly equal means, which half precision would wipe out.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .time_axis import fold_time, unfold_time


class GuidedFilterRefiner(nn.Module):
    """Base of the two filters, which add `box` (a local mean) and `gain` (A from the statistics)."""

    def statistics(self, base_src: Tensor, base_out: Tensor) -> list[Tensor]:
        """Local means of guide and output, their covariance and the guide's variance, in float32."""
        x, y = make_guide(base_src.float()), base_out.float()
        mean_x, mean_y = self.box(x), self.box(y)
        return [mean_x, mean_y, self.box(x * y) - mean_x * mean_y, self.box(x * x) - mean_x * mean_x]

    def coefficients(self, base_src: Tensor, base_fgr: Tensor, base_pha: Tensor, base_hid: Tensor) -> Tensor:
        """Small source, foreground residual, alpha, hidden features (B, [T,] C, h, w) -> A, b (B, [T,] 8, h, w)."""
        base_src, T = fold_time(base_src)
        base_hid = fold_time(base_hid)[0]
        base_out = torch.cat([fold_time(base_fgr)[0], fold_time(base_pha)[0]], dim=1)
        if torch.jit.is_scripting():
            mean_x, mean_y, cov, var = self.statistics(base_src, base_out)
        else:
            with torch.autocast(base_src.device.type, enabled=False):
                mean_x, mean_y, cov, var = self.statistics(base_src, base_out)
        A = self.gain(cov, var, base_hid)
        return unfold_time(torch.cat([A, mean_y - A * mean_x], dim=1), T)

    def forward(self, fine_src: Tensor, base_src: Tensor, base_fgr: Tensor, base_pha: Tensor,
                base_hid: Tensor) -> list[Tensor]:
        """Full-size source and the small results -> full-size [foreground residual, alpha], not clamped."""
        coefficients = self.coefficients(base_src, base_fgr, base_pha, base_hid)
        fine_src, T = fold_time(fine_src)
        fgr, pha = apply_coefficients(fold_time(coefficients)[0], fine_src)
        return [unfold_time(fgr, T), unfold_time(pha, T)]


def make_guide(src: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 4, H, W): RGB and its mean."""
    return torch.cat([src, src.mean(1, keepdim=True)], dim=1)


def apply_coefficients(coefficients: Tensor, src: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate the local linear model at the size of the source.

    Args:
        coefficients: (N, 8, h, w) A and b.
        src: (N, 3, H, W) full-size source in [0, 1].
    Returns:
        Foreground residual (N, 3, H, W) and alpha (N, 1, H, W), neither clamped, in the dtype of `src`.
    """
    full = F.interpolate(coefficients, (src.size(2), src.size(3)), mode='bilinear', align_corners=False)
    out = (full[:, :4] * make_guide(src) + full[:, 4:]).to(src.dtype)
    return out[:, :3], out[:, 3:]
