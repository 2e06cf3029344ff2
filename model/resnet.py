"""ResNet-50 and ResNet-101 as dense encoders with output stride 16.

Papers: Deep Residual Learning, arXiv 1512.03385; dilated as in Robust Video Matting, arXiv 2108.11515, section 4.
"""

from pathlib import Path

from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, ResNet101_Weights, resnet50, resnet101

from .imagenet import load_imagenet
from .time_axis import fold_time, unfold_time

TRUNKS = {50: (resnet50, ResNet50_Weights), 101: (resnet101, ResNet101_Weights)}


class ResNetEncoder(nn.Module):
    """torchvision's trunk; the last stage is dilated instead of strided.

    The input is *not* normalised to ImageNet statistics, although the ImageNet weights were trained so: the published
    matting weights were trained on plain RGB in [0, 1] and need it.

    Args:
        depth: 50 or 101.
        pretrained: start from torchvision's ImageNet weights: True downloads them, a path names the file.
    """

    normalize = False

    def __init__(self, depth: int = 50, pretrained: bool | str | Path = False):
        super().__init__()
        build, weights = TRUNKS[depth]
        trunk = build(replace_stride_with_dilation=[False, False, True])
        self.conv1, self.bn1, self.relu, self.maxpool = trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4
        if pretrained:
            load_imagenet(self, pretrained, weights.IMAGENET1K_V1.url, unused=('fc.',))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, [T,] 3, H, W) RGB in [0, 1] -> features of 64, 256, 512, 2048 channels at strides 2, 4, 8, 16."""
        x, T = fold_time(x)
        f1 = self.relu(self.bn1(self.conv1(x)))
        f2 = self.layer1(self.maxpool(f1))
        f3 = self.layer2(f2)
        f4 = self.layer4(self.layer3(f3))
        return [unfold_time(f1, T), unfold_time(f2, T), unfold_time(f3, T), unfold_time(f4, T)]
