"""MobileNets as dense encoders.

Papers: MobileNetV2, arXiv 1801.04381; Searching for MobileNetV3, arXiv 1905.02244; dilated as in Robust Video Matting,
arXiv 2108.11515, section 4, and Background Matting V2, arXiv 2012.07810. Attribute names are torchvision's.
"""

from pathlib import Path

from torch import Tensor, nn
from torchvision.models import (
    MobileNet_V2_Weights,
    MobileNet_V3_Large_Weights,
    MobileNet_V3_Small_Weights,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
)

from .imagenet import load_imagenet, normalize_imagenet
from .time_axis import fold_time, unfold_time


class TappedFeatures(nn.Module):
    """torchvision's `features`, read at four of their layers.

    Args:
        features: the layers.
        taps: indices of those whose outputs are f1..f4.
        pretrained: start from ImageNet weights: True downloads them from `url`, a path names the file.
        unused: layers that the weights have and this encoder does not.
    """

    normalize: bool

    def __init__(self, features: nn.Sequential, taps: tuple[int, int, int, int], pretrained: bool | str | Path,
                 url: str, unused: tuple[str, ...] = ()):
        super().__init__()
        self.features, self.taps, self.normalize = features, list(taps), True
        if pretrained:
            load_imagenet(self, pretrained, url, unused=('classifier.', *unused))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, [T,] 3, H, W) RGB in [0, 1] -> f1..f4."""
        x, T = fold_time(x)
        if self.normalize:
            x = normalize_imagenet(x)
        taps: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                taps.append(unfold_time(x, T))
        return taps


def mobilenetv2(pretrained: bool | str | Path = False) -> TappedFeatures:
    """The last stage is dilated instead of strided; the wide layer before the classifier is left out."""
    features = mobilenet_v2().features[:18]
    features[14].conv[1][0].stride = (1, 1)
    for block in features[15:]:
        block.conv[1][0].dilation = block.conv[1][0].padding = (2, 2)
    return TappedFeatures(features, (1, 3, 6, 17), pretrained, MobileNet_V2_Weights.IMAGENET1K_V1.url,
                          ('features.18.',))


def mobilenetv3_large(pretrained: bool | str | Path = False) -> TappedFeatures:
    """The last three blocks are dilated instead of strided."""
    return TappedFeatures(mobilenet_v3_large(dilated=True).features, (1, 3, 6, 16), pretrained,
                          MobileNet_V3_Large_Weights.IMAGENET1K_V1.url)


def mobilenetv3_small(pretrained: bool | str | Path = False) -> TappedFeatures:
    """As the re-implementation of Background Matting V2 publishes it, kept so that those weights load.

    There the dilation is set on a module that ignores it: the strides are 4, 8, 16, 32.
    """
    return TappedFeatures(mobilenet_v3_small().features, (1, 3, 6, 12), pretrained,
                          MobileNet_V3_Small_Weights.IMAGENET1K_V1.url)
