"""MobileNetV3-Large as a dense encoder with output stride 16.

Papers: Searching for MobileNetV3, arXiv 1905.02244; dilated as in Robust Video Matting, arXiv 2108.11515, section 4.
"""

from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large
from torchvision.transforms.functional import normalize

from .time_axis import fold_time, unfold_time


class MobileNetV3LargeEncoder(nn.Module):
    """torchvision's features; the last three blocks are dilated instead of strided.

    Args:
        pretrained: start from torchvision's ImageNet weights (downloaded to the torch hub cache).
    """

    def __init__(self, pretrained: bool = False):
        super().__init__()
        weights = MobileNet_V3_Large_Weights.IMAGENET1K_V1 if pretrained else None
        self.features = mobilenet_v3_large(weights=weights, dilated=True).features

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, [T,] 3, H, W) RGB in [0, 1] -> features of 16, 24, 40, 960 channels at strides 2, 4, 8, 16."""
        x, T = fold_time(x)
        x = normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])  # ImageNet's
        taps: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index == 1 or index == 3 or index == 6 or index == 16:
                taps.append(unfold_time(x, T))
        return taps
