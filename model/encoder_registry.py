"""The table of encoders: name -> what the rest of the network must know before it is built.

A new encoder is one file and one row; command-line choices, hub doors and tests read this table.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from .mobilenetv3 import MobileNetV3LargeEncoder
from .resnet import ResNet50Encoder


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder takes RGB in [0, 1], normalises inside if its weights want it, and returns [f1, f2, f3, f4]."""

    build: Callable[[bool], nn.Module]           # pretrained -> module
    channels: tuple[int, int, int, int]          # f1..f4 at strides 2, 4, 8, 16
    aspp_channels: int                           # f4 after LR-ASPP
    decoder_channels: tuple[int, int, int, int]  # at strides 8, 4, 2, 1


ENCODERS: dict[str, EncoderSpec] = {
    'mobilenetv3': EncoderSpec(MobileNetV3LargeEncoder, (16, 24, 40, 960), 128, (80, 40, 32, 16)),
    'resnet50': EncoderSpec(ResNet50Encoder, (64, 256, 512, 2048), 256, (128, 64, 32, 16)),
}
