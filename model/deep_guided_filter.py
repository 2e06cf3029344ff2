"""Deep guided filter: the gain comes from a small per-pixel network that also sees the decoder's hidden features.

Papers: Fast End-to-End Trainable Guided Filter, arXiv 1803.05619; Robust Video Matting, arXiv 2108.11515, section 4.3.
"""

import torch
from torch import Tensor, nn

from .guided_filter import GuidedFilterRefiner


class DeepGuidedFilterRefiner(GuidedFilterRefiner):
    """The box filter is trainable and starts as a 3x3 mean; its zero padding counts, so borders are darker."""

    def __init__(self, hid_channels: int = 16):
        super().__init__()
        self.box_filter = nn.Conv2d(4, 4, 3, padding=1, bias=False, groups=4)
        nn.init.constant_(self.box_filter.weight, 1 / 9)
        self.conv = nn.Sequential(
            nn.Conv2d(4 * 2 + hid_channels, hid_channels, 1, bias=False), nn.BatchNorm2d(hid_channels), nn.ReLU(True),
            nn.Conv2d(hid_channels, hid_channels, 1, bias=False), nn.BatchNorm2d(hid_channels), nn.ReLU(True),
            nn.Conv2d(hid_channels, 4, 1))

    def box(self, x: Tensor) -> Tensor:
        """Mean over a window."""
        return torch.conv2d(x, self.box_filter.weight.float(), padding=1, groups=4)

    def gain(self, cov: Tensor, var: Tensor, hid: Tensor) -> Tensor:
        """The slope of the linear model."""
        return self.conv(torch.cat([cov.to(hid.dtype), var.to(hid.dtype), hid], dim=1)).float()
