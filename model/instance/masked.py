"""Sparse convolutions as masked dense ones.

A sparse convolution computes at active sites only and sees zeros elsewhere. With M the 0/1 map of active sites that is
`conv(x * M) * M`, exactly. Inside small boxes around the active sites this is also fast. Every layer here expects its
input to be zero where it is not active and leaves its output so.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def coarser(active: Tensor) -> Tensor:
    """(K, 1, H, W) -> (K, 1, ceil(H/2), ceil(W/2)): a coarse site is active when one of its 3x3 fine sites is."""
    return F.max_pool2d(active, 3, 2, 1)


class MaskedConv2d(nn.Conv2d):
    """A convolution that keeps the active sites: 1x1 or 3x3, same size."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = False):
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)

    def forward(self, x: Tensor, active: Tensor) -> Tensor:  # (K, C, H, W), (K, 1, H, W)
        """(K, C, H, W) and active sites (K, 1, H, W)."""
        return super().forward(x) * active


class InverseConv2d(nn.ConvTranspose2d):
    """From the sites of stride 2s to those of stride s: undoes the sites of a 3x3 convolution of stride 2."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, 2, 1, output_padding=1, bias=False)

    def forward(self, x: Tensor, active: Tensor) -> Tensor:  # (K, C, H, W), (K, 1, 2H, 2W)
        """(K, C, H, W) and active sites (K, 1, 2H, 2W) of the output."""
        return super().forward(x) * active


class ActiveBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose mean and variance, in training, are those of the active sites alone.

    With a process group the sites of all ranks count when `synchronised` is set.
    """

    synchronised = False

    def forward(self, x: Tensor, active: Tensor) -> Tensor:
        """Normalise active sites; the others stay zero."""
        if self.training:
            mean, var = self.statistics(x.float(), active)
        else:
            mean, var = self.running_mean, self.running_var
        scale = torch.rsqrt(var + self.eps) * self.weight
        shift = self.bias - mean * scale
        return ((x * scale[:, None, None] + shift[:, None, None]) * active).to(x.dtype)

    def statistics(self, x: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance over active sites; the running ones follow."""
        count = self.total(active.sum().reshape(1)).clamp(min=1)
        mean = self.total(x.sum((0, 2, 3))) / count                 # x is zero elsewhere
        centred = (x - mean[:, None, None]) * active
        var = self.total(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(var.detach() * count / (count - 1).clamp(min=1), self.momentum)
        return mean, var

    def total(self, x: Tensor) -> Tensor:
        """Over all ranks, where it is synchronised."""
        if not self.synchronised:
            return x
        from torch.distributed.nn.functional import all_reduce
        return all_reduce(x)


class MaskedSequential(nn.Sequential):
    """Layers in a row; those that need to know the active sites are told."""

    def forward(self, x: Tensor, active: Tensor) -> Tensor:
        """Each layer with the active sites it needs."""
        for layer in self:
            x = layer(x, active) if isinstance(layer, MaskedConv2d | InverseConv2d | ActiveBatchNorm2d) else layer(x)
        return x
