"""MobileNetV3-Large as a dense encoder with output stride 16.

Papers: Searching for MobileNetV3, arXiv 1905.02244; dilated as in Robust Video Matting, arXiv 2108.11515, section 4.
"""

from pathlib import Path

from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

from .imagenet import load_imagenet, normalize_imagenet
from .time_axis import fold_time, unfold_time


class MobileNetV3LargeEncoder(nn.Module):
    """torchvision's features; the last three blocks are dilated instead of strided.

    Args:
        pretrained: start from torchvision's ImageNet weights: True downloads them, a path names the file.
    """

    def __init__(self, pretrained: bool | str | Path = False):
        super().__init__()
        self.features = mobilenet_v3_large(dilated=True).features
        if pretrained:
            load_imagenet(self, pretrained, MobileNet_V3_Large_Weights.IMAGENET1K_V1.url, unused=('classifier.',))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, [T,] 3, H, W) RGB in [0, 1] -> features of 16, 24, 40, 960 channels at strides 2, 4, 8, 16."""
        x, T = fold_time(x)
        x = normalize_imagenet(x)
        taps: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index == 1 or index == 3 or index == 6 or index == 16:
                taps.append(unfold_time(x, T))
        return taps
