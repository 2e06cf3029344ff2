"""Encoders for frame and plate together: 6 channels in [0, 1], not normalised, four features.

Papers: ResNet, arXiv 1512.03385; MobileNetV2, arXiv 1801.04381; MobileNetV3, arXiv 1905.02244; the dilations are those
of Background Matting V2, arXiv 2012.07810. Attribute names are the file format of published checkpoints.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, mobilenet_v3_small, resnet101

from ..efficientnet import EfficientNetLite0Encoder
from ..resnet import ResNet50Encoder

IN_CHANNELS = 6     # frame, then plate


class TappedFeatures(nn.Module):
    """A torchvision `features` trunk for six channels, read at some of its layers.

    Args:
        features: the trunk; its first convolution is replaced by a fresh one.
        taps: indices of four layers.
    """

    def __init__(self, features: nn.Sequential, taps: tuple[int, int, int, int]):
        super().__init__()
        self.features, self.taps = features, list(taps)
        self.features[0][0] = six_channels(features[0][0])

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 6, H, W) -> the four features, largest first."""
        taps: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                taps.append(x)
        return taps


def six_channels(conv: nn.Conv2d) -> nn.Conv2d:
    """A fresh convolution like this one, for frame and plate."""
    return nn.Conv2d(IN_CHANNELS, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
                     bias=conv.bias is not None)


def start_from_difference(encoder: nn.Module) -> None:
    """Set the plate's half of a first convolution that knows frames: every second filter compares frame and plate.

    ImageNet weights know nothing about a plate; a filter of the frame minus the same filter of the plate is what the
    network would learn first.
    """
    conv = next(module for module in encoder.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        conv.weight[::2, 3:] = -conv.weight[::2, :3]


def resnet(depth: int) -> nn.Module:
    """ResNet-50 as everywhere here, or ResNet-101, which only has more blocks in its third stage."""
    encoder = ResNet50Encoder()
    if depth == 101:
        encoder.layer3 = resnet101().layer3
    encoder.conv1 = six_channels(encoder.conv1)
    return encoder


def mobilenetv2() -> nn.Module:
    """The last stage is dilated instead of strided."""
    features = mobilenet_v2().features[:18]
    features[14].conv[1][0].stride = (1, 1)
    for block in features[15:]:
        block.conv[1][0].dilation = block.conv[1][0].padding = (2, 2)
    return TappedFeatures(features, (1, 3, 6, 17))


def mobilenetv3_published() -> nn.Module:
    """MobileNetV3-Small as its re-implementation publishes it, kept so that those weights load.

    There the dilation is set on a module that ignores it: the strides are 4, 8, 16, 32, nothing is read at half size,
    and the last step of the decoder enlarges four times. For training take another backbone.
    """
    return TappedFeatures(mobilenet_v3_small().features, (1, 3, 6, 12))


@dataclass(frozen=True)
class Backbone:
    """A row: `build` takes pretrained (True: the known ImageNet weights; a path: those) where `pretrained` says so."""

    build: Callable[..., nn.Module]
    channels: tuple[int, int, int, int]              # at strides 2, 4, 8, 16
    strides: tuple[int, int, int, int] = (2, 4, 8, 16)
    can_start_pretrained: bool = False

    def create(self, pretrained: bool | str | Path = False) -> nn.Module:
        if pretrained and not self.can_start_pretrained:
            raise ValueError('this backbone starts from ImageNet weights for three channels nowhere here: '
                             'leave pretrained_backbone out, or take efficientnet_lite0')
        return self.build(pretrained) if self.can_start_pretrained else self.build()


BACKBONES: dict[str, Backbone] = {
    'resnet50': Backbone(partial(resnet, 50), (64, 256, 512, 2048)),
    'resnet101': Backbone(partial(resnet, 101), (64, 256, 512, 2048)),
    'mobilenetv2': Backbone(mobilenetv2, (16, 24, 32, 320)),
    'mobilenetv3': Backbone(mobilenetv3_published, (16, 24, 40, 576), (4, 8, 16, 32)),
    'efficientnet_lite0': Backbone(partial(EfficientNetLite0Encoder, in_channels=IN_CHANNELS, normalize=False),
                                   (16, 24, 40, 432), can_start_pretrained=True),
}
