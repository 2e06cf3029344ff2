"""Layer normalisation over the channels of every pixel."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelNorm(nn.Module):
    """(B, C, H, W) -> the same shape. Costs no copy when the tensor lies channels-last in memory."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.channels, self.eps = channels, eps       # not x.size(1), which exporters take for a size of the input
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), each pixel over its channels."""
        x = F.layer_norm(x.permute(0, 2, 3, 1), [self.channels], self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)
