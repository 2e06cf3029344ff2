"""MobileOne: a plain chain of depthwise and pointwise convolutions, over-parameterised while it trains.

Paper: An Improved One millisecond Mobile Backbone, arXiv 2206.04040.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .imagenet import load_imagenet, normalize_imagenet
from .reparameterize import MergeableBlock, fold_batch_norm, merged_convolution, pad_kernel
from .time_axis import fold_time, unfold_time

PAIRS_PER_STAGE = (2, 8, 10, 1)  # stages 1..4; stage 0 is a single block
URL = 'https://docs-assets.developer.apple.com/ml-research/datasets/mobileone/mobileone_{size}_unfused.pth.tar'


@dataclass(frozen=True)
class MobileOneSize:
    """What differs between the published sizes."""

    widths: tuple[int, int, int, int, int]                     # channels of stages 0..4
    branches: int = 1                                          # parallel copies of each convolution
    gated_pairs: tuple[int, int, int, int] = (0, 0, 0, 0)      # how many last pairs of stages 1..4 have SE


SIZES: dict[str, MobileOneSize] = {
    's0': MobileOneSize((48, 48, 128, 256, 1024), branches=4),
    's1': MobileOneSize((64, 96, 192, 512, 1280)),
    's2': MobileOneSize((64, 96, 256, 640, 2048)),
    's3': MobileOneSize((64, 128, 320, 768, 2048)),
    's4': MobileOneSize((64, 192, 448, 896, 2048), gated_pairs=(0, 0, 5, 1)),
}


class SqueezeExcite(nn.Module):
    """Channel gate from the global mean (Squeeze-and-Excitation Networks, arXiv 1709.01507)."""

    def __init__(self, channels: int):
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 16, 1)
        self.expand = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Channels gated by the means of all."""
        gate = F.relu(self.reduce(x.mean([2, 3], keepdim=True)))
        return x * self.expand(gate).sigmoid()


class ConvBN(nn.Module):
    """Convolution without bias and its BatchNorm."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, groups: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups,
                              bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C_out, H/stride, W/stride)."""
        return self.bn(self.conv(x))


class MobileOneBlock(MergeableBlock):
    """Copies of one convolution, a 1x1 beside a 3x3, and a normalised skip where shapes allow; merged: one convolution.

    Absent branches are None rather than missing, so that both forms script.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1,
                 gated: bool = False, branches: int = 1):
        super().__init__()
        self.se = SqueezeExcite(out_channels) if gated else nn.Identity()
        self.rbr_skip = nn.BatchNorm2d(in_channels) if in_channels == out_channels and stride == 1 else None
        self.rbr_conv = nn.ModuleList(ConvBN(in_channels, out_channels, kernel_size, stride, groups)
                                      for _ in range(branches))
        self.rbr_scale = ConvBN(in_channels, out_channels, 1, stride, groups) if kernel_size > 1 else None
        self.reparam_conv = None

    def forward(self, x: Tensor) -> Tensor:
        """The sum of the branches, or the one convolution that they were merged to."""
        if self.reparam_conv is not None:
            out = self.reparam_conv(x)
        else:
            out = x
            for index, branch in enumerate(self.rbr_conv):
                out = branch(x) if index == 0 else out + branch(x)
            if self.rbr_scale is not None:
                out = out + self.rbr_scale(x)
            if self.rbr_skip is not None:
                out = out + self.rbr_skip(x)
        return F.relu(self.se(out))

    def merge(self) -> None:
        """See `MergeableBlock`."""
        like = self.rbr_conv[0].conv
        size = like.kernel_size[0]
        merged = [fold_batch_norm(branch.conv.weight, None, branch.bn) for branch in self.rbr_conv]
        if self.rbr_scale is not None:
            weight, bias = fold_batch_norm(self.rbr_scale.conv.weight, None, self.rbr_scale.bn)
            merged.append((pad_kernel(weight, size), bias))
        if self.rbr_skip is not None:
            merged.append(fold_batch_norm(identity_kernel(like), None, self.rbr_skip))
        self.reparam_conv = merged_convolution(like, sum(w for w, _ in merged), sum(b for _, b in merged))
        self.rbr_conv = self.rbr_scale = self.rbr_skip = None


def identity_kernel(like: nn.Conv2d) -> Tensor:
    """The kernel of `like`'s shape that returns its input."""
    kernel = torch.zeros_like(like.weight)
    centre = like.kernel_size[0] // 2
    channel = torch.arange(like.out_channels, device=kernel.device)
    kernel[channel, channel % kernel.size(1), centre, centre] = 1
    return kernel


class MobileOneEncoder(nn.Module):
    """Outputs of stages 0..3. Stage 4 is left out: at stride 32 it would need a fifth recurrent state.

    Args:
        size: a name in `SIZES`.
        pretrained: start from Apple's ImageNet weights: True downloads them, a path names an unfused checkpoint.
    """

    def __init__(self, size: str = 's0', pretrained: bool | str | Path = False):
        super().__init__()
        self.normalize = True
        spec = SIZES[size]
        self.stage0 = MobileOneBlock(3, spec.widths[0], 3, stride=2)
        self.stage1 = build_stage(spec, 1)
        self.stage2 = build_stage(spec, 2)
        self.stage3 = build_stage(spec, 3)
        if pretrained:
            load_imagenet(self, pretrained, URL.format(size=size), unused=('linear.', 'stage4.'))

    def features(self, x: Tensor) -> list[Tensor]:
        """Normalised (B, 3, H, W) -> the stages' outputs at strides 2, 4, 8, 16."""
        f1 = self.stage0(x)
        f2 = self.stage1(f1)
        f3 = self.stage2(f2)
        return [f1, f2, f3, self.stage3(f3)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, [T,] 3, H, W) RGB in [0, 1] -> features at strides 2, 4, 8, 16, widths as in `SIZES`."""
        x, T = fold_time(x)
        return [unfold_time(f, T) for f in self.features(normalize_imagenet(x) if self.normalize else x)]


def build_stage(spec: MobileOneSize, stage: int) -> nn.Sequential:
    """Pairs of a depthwise 3x3 and a pointwise block; the first pair halves the size and changes the width."""
    before, width = spec.widths[stage - 1:stage + 1]
    pairs = PAIRS_PER_STAGE[stage - 1]
    blocks = []
    for pair in range(pairs):
        gated = pair >= pairs - spec.gated_pairs[stage - 1]
        channels, stride = (before, 2) if pair == 0 else (width, 1)
        blocks.append(MobileOneBlock(channels, channels, 3, stride, channels, gated, spec.branches))
        blocks.append(MobileOneBlock(channels, width, 1, 1, 1, gated, spec.branches))
    return nn.Sequential(*blocks)
