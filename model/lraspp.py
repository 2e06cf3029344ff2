"""LR-ASPP head without its segmentation skip (Searching for MobileNetV3, arXiv 1905.02244, section 6.3)."""

from torch import Tensor, nn

from .time_axis import fold_time, unfold_time


class LRASPP(nn.Module):
    """1x1 projection, gated per channel by the global mean of each frame."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.aspp1 = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False),
                                   nn.BatchNorm2d(out_channels), nn.ReLU(True))
        self.aspp2 = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, out_channels, 1, bias=False),
                                   nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(B, [T,] C_in, H, W) -> (B, [T,] C_out, H, W)."""
        x, T = fold_time(x)
        return unfold_time(self.aspp1(x) * self.aspp2(x), T)
