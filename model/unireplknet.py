"""UniRepLKNet: few, very large depthwise kernels, each trained together with small dilated ones.

Paper: UniRepLKNet, arXiv 2311.15599. Global response normalisation: ConvNeXt V2, arXiv 2301.00808, section 3.
The arrangement of strides follows the large-kernel derivative of RVM (its own decoder: large_kernel_decoder.py).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .channel_norm import ChannelNorm
from .imagenet import load_imagenet, normalize_imagenet
from .reparameterize import MergeableBlock, fold_batch_norm, merged_convolution, pad_kernel, undilate
from .time_axis import fold_time, unfold_time

EPS = 1e-6
URL = 'https://huggingface.co/DingXiaoH/UniRepLKNet/resolve/main/{file}'
KERNEL_SIZES = (3, 13, 13, 13)  # per stage
LAYER_SCALE = 1e-6              # initial weight of every block

# large kernel -> (kernel, dilation) of the branches beside it; no branch reaches further than the large kernel
BRANCHES: dict[int, tuple[tuple[int, int], ...]] = {
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}


@dataclass(frozen=True)
class UniRepLKNetSize:
    """What differs between the published sizes."""

    depths: tuple[int, int, int, int]
    channels: int  # of stage 0, doubling with every stage
    file: str      # published ImageNet weights


SIZES: dict[str, UniRepLKNetSize] = {
    'a': UniRepLKNetSize((2, 2, 6, 2), 40, 'unireplknet_a_in1k_224_acc77.03.pth'),
    'f': UniRepLKNetSize((2, 2, 6, 2), 48, 'unireplknet_f_in1k_224_acc78.58.pth'),
    'p': UniRepLKNetSize((2, 2, 6, 2), 64, 'unireplknet_p_in1k_224_acc80.23.pth'),
    'n': UniRepLKNetSize((2, 2, 8, 2), 80, 'unireplknet_n_in1k_224_acc81.64.pth'),
}


class DilatedReparamBlock(MergeableBlock):
    """A large kernel and dilated small ones side by side, each with its BatchNorm, summed; merged: one convolution.

    Children come in pairs (convolution, BatchNorm); forward walks over them because TorchScript knows no getattr.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int):
        super().__init__()
        self.lk_origin = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups,
                                   bias=False)
        self.origin_bn = nn.BatchNorm2d(out_channels)
        self.branches = BRANCHES[kernel_size]
        for k, dilation in self.branches:
            self.add_module(f'dil_conv_k{k}_{dilation}',
                            nn.Conv2d(in_channels, out_channels, k, padding=dilation * (k - 1) // 2, dilation=dilation,
                                      groups=groups, bias=False))
            self.add_module(f'dil_bn_k{k}_{dilation}', nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of the branches, or the one convolution that they were merged to."""
        if self.merged:
            return self.lk_origin(x)
        out, branch = x, x
        for index, child in enumerate(self.children()):
            if index % 2 == 0:
                branch = child(x)
            else:
                out = child(branch) if index == 1 else out + child(branch)
        return out

    def merge(self) -> None:
        """See `MergeableBlock`."""
        size = self.lk_origin.kernel_size[0]
        weight, bias = fold_batch_norm(self.lk_origin.weight, None, self.origin_bn)
        for k, dilation in self.branches:
            conv, norm = f'dil_conv_k{k}_{dilation}', f'dil_bn_k{k}_{dilation}'
            branch_weight, branch_bias = fold_batch_norm(getattr(self, conv).weight, None, getattr(self, norm))
            weight = weight + pad_kernel(undilate(branch_weight, dilation), size)
            bias = bias + branch_bias
            delattr(self, conv)
            delattr(self, norm)
        self.lk_origin = merged_convolution(self.lk_origin, weight, bias)
        del self.origin_bn


class SqueezeExcite(nn.Module):
    """Channel gate from the global mean (Squeeze-and-Excitation Networks, arXiv 1709.01507)."""

    def __init__(self, channels: int):
        super().__init__()
        self.down = nn.Conv2d(channels, channels // 4, 1)
        self.up = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Channels gated by the means of all."""
        gate = F.relu(self.down(x.mean([2, 3], keepdim=True)))
        return x * self.up(gate).sigmoid()


class GlobalResponseNorm(nn.Module):
    """Gain per channel: its strength over the whole image against the mean strength of all channels, plus one."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta: nn.Parameter | None = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:  # (B, H, W, C)
        """(B, H, W, C)."""
        # a sum of squares over an image leaves the range of half precision
        strength = torch.linalg.vector_norm(x, 2, [1, 2], True, dtype=torch.promote_types(x.dtype, torch.float32))
        gain = self.gamma * (strength / (strength.mean(-1, keepdim=True) + 1e-6)).to(x.dtype) + 1
        if self.beta is not None:
            return torch.addcmul(self.beta.to(x.dtype), x, gain)
        else:
            return x * gain


class ToChannelsLast(nn.Module):
    """(B, C, H, W) -> (B, H, W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class ToChannelsFirst(nn.Module):
    """(B, H, W, C) -> (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


class UniRepLKNetBlock(MergeableBlock):
    """x + gamma * f(x): depthwise convolution, gate, then a 4x wide layer per pixel with GELU and GRN.

    Merging folds every BatchNorm, GRN's beta and the layer scale into neighbouring weights.
    """

    def __init__(self, channels: int, kernel_size: int):
        super().__init__()
        self.gamma: nn.Parameter | None = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        if kernel_size >= 7:
            self.dwconv = DilatedReparamBlock(channels, channels, kernel_size, groups=channels)
        else:
            self.dwconv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels,
                                    bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.se = SqueezeExcite(channels)
        self.pwconv1 = nn.Sequential(ToChannelsLast(), nn.Linear(channels, 4 * channels))
        self.act = nn.Sequential(nn.GELU(), GlobalResponseNorm(4 * channels))
        self.pwconv2 = nn.Sequential(nn.Linear(4 * channels, channels, bias=False), ToChannelsFirst(),
                                     nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W)."""
        y = self.pwconv2(self.act(self.pwconv1(self.se(self.norm(self.dwconv(x))))))
        if self.gamma is not None:
            y = y * self.gamma.reshape(1, -1, 1, 1)
        return x + y

    def merge(self) -> None:
        """See `MergeableBlock`."""
        if isinstance(self.dwconv, DilatedReparamBlock):
            self.dwconv.merge_branches()
            conv = self.dwconv.lk_origin
            self.dwconv.lk_origin = merged_convolution(conv, *fold_batch_norm(conv.weight, conv.bias, self.norm))
        else:
            self.dwconv = merged_convolution(self.dwconv, *fold_batch_norm(self.dwconv.weight, None, self.norm))
        self.norm = nn.Identity()
        linear, _, norm = self.pwconv2
        grn, gamma = self.act[1], self.gamma.double()
        from_beta = linear.weight.double() @ grn.beta.double().flatten()
        weight, bias = fold_batch_norm(linear.weight, from_beta, norm)
        merged = nn.Linear(linear.in_features, linear.out_features, device=linear.weight.device,
                           dtype=linear.weight.dtype).requires_grad_(False)
        merged.weight.copy_(weight * gamma[:, None])
        merged.bias.copy_(bias * gamma)
        self.pwconv2 = nn.Sequential(merged, ToChannelsFirst())
        self.gamma = grn.beta = None


class UniRepLKNet(nn.Module):
    """Stem and four stages, each stage with its own output norm. Names are those of the published checkpoints.

    Args:
        size: a name in `SIZES`.
        stem_stride: of the second stem convolution. 2 as published: stages at strides 4, 8, 16, 32; 1: at 2, 4, 8, 16.
        stages: how many to build.
    """

    def __init__(self, size: str, stem_stride: int, stages: int = 4):
        super().__init__()
        spec = SIZES[size]
        C = spec.channels
        self.downsample_layers = nn.ModuleList([nn.Sequential(
            nn.Conv2d(3, C // 2, 3, 2, 1), ChannelNorm(C // 2, EPS), nn.GELU(),
            nn.Conv2d(C // 2, C, 3, stem_stride, 1), ChannelNorm(C, EPS))])
        self.stages = nn.ModuleList()
        for i in range(stages):
            if i > 0:
                self.downsample_layers.append(nn.Sequential(nn.Conv2d(C << i - 1, C << i, 3, 2, 1),
                                                            ChannelNorm(C << i, EPS)))
            self.stages.append(nn.Sequential(*[UniRepLKNetBlock(C << i, KERNEL_SIZES[i])
                                               for _ in range(spec.depths[i])]))
        self.norm0 = ChannelNorm(C, EPS)
        self.norm1 = ChannelNorm(2 * C, EPS)
        self.norm2 = ChannelNorm(4 * C, EPS)
        self.norm3 = ChannelNorm(8 * C, EPS) if stages == 4 else None

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """Normalised (B, 3, H, W) -> half-resolution activation of the stem, then the stages' outputs, unnormalised."""
        outputs: list[Tensor] = []
        for index, layer in enumerate(self.downsample_layers[0]):
            x = layer(x)
            if index == 2:
                outputs.append(x)
        for index, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages)):
            x = stage(downsample(x) if index > 0 else x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised (B, 3, H, W) -> half-resolution activation of the stem, then the stages' normalised outputs."""
        outputs = self.stage_outputs(x)
        features = [outputs[0], self.norm0(outputs[1]), self.norm1(outputs[2]), self.norm2(outputs[3])]
        if self.norm3 is not None:
            features.append(self.norm3(outputs[4]))
        return features


class UniRepLKNetEncoder(nn.Module):
    """Four features at strides 2, 4, 8, 16.

    Args:
        size: a name in `SIZES`.
        pretrained: start from the ImageNet weights: True downloads them, a path names a checkpoint.
        native: keep the published strides: f1 is the stem's activation, f2..f4 stages 0..2, stage 3 is not built.
            Otherwise the second stem convolution has stride 1 and the four stages are the four features, at four times
            the cost, as in the large-kernel derivative of RVM. Both load the same checkpoint.
    """

    def __init__(self, size: str = 'a', pretrained: bool | str | Path = False, native: bool = False):
        super().__init__()
        self.native, self.normalize = native, True
        self.unirep = UniRepLKNet(size, stem_stride=2 if native else 1, stages=3 if native else 4)
        if pretrained:
            not_built = ('stages.3.', 'downsample_layers.3.') if native else ()
            load_imagenet(self.unirep, pretrained, URL.format(file=SIZES[size].file),
                          unused=('norm.', 'head.', *not_built), fresh=('norm0.', 'norm1.', 'norm2.', 'norm3.'))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, [T,] 3, H, W) RGB in [0, 1] -> features at strides 2, 4, 8, 16."""
        x, T = fold_time(x)
        features = self.unirep(normalize_imagenet(x) if self.normalize else x)
        return [unfold_time(f, T) for f in (features if self.native else features[1:])]
