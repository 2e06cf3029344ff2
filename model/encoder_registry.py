"""The table of encoders: name -> what the rest of the network must know before it is built.

A new encoder is one file and one row; command-line choices, hub doors and tests read this table. A decoder other than
RVM's is a property of its row and not an argument of the network: it changes the names in the checkpoint, and the
variant is what names a checkpoint everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from .decoder import RecurrentDecoder
from .efficientnet import EfficientNetLite0Encoder
from .large_kernel_decoder import LargeKernelDecoder
from .mobilenetv3 import MobileNetV3LargeEncoder
from .mobileone import MobileOneEncoder
from .resnet import ResNet50Encoder
from .unireplknet import UniRepLKNetEncoder
from .vssm_encoder import VSSMEncoder


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder takes RGB in [0, 1], normalises inside if its weights want it, and returns [f1, f2, f3, f4].

    Widths: LR-ASPP narrows f4 to about a quarter, because f4 is the only wide feature and the decoder pays for it at
    once; the decoder then follows RVM's MobileNetV3 (80, 40, 32, 16), or is wider where the skip features are, so that
    no step throws away more than two thirds of what it is given. All but the last must be even (half recurs).
    """

    build: Callable[[bool | str | Path], nn.Module]  # pretrained (True: download, path: load) -> module
    channels: tuple[int, int, int, int]              # f1..f4 at strides 2, 4, 8, 16
    aspp_channels: int                               # f4 after LR-ASPP
    decoder_channels: tuple[int, int, int, int]      # at strides 8, 4, 2, 1
    decoder: Callable[..., nn.Module] = RecurrentDecoder


LIGHT = (80, 40, 32, 16)
MEDIUM = (96, 64, 32, 16)
WIDE = (128, 64, 32, 16)

ENCODERS: dict[str, EncoderSpec] = {
    'mobilenetv3': EncoderSpec(MobileNetV3LargeEncoder, (16, 24, 40, 960), 128, LIGHT),
    'resnet50': EncoderSpec(ResNet50Encoder, (64, 256, 512, 2048), 256, WIDE),
    'efficientnet_lite0': EncoderSpec(EfficientNetLite0Encoder, (16, 24, 40, 432), 128, LIGHT),
    'mobileone': EncoderSpec(partial(MobileOneEncoder, 's0'), (48, 48, 128, 256), 128, LIGHT),
    'mobileone_s1': EncoderSpec(partial(MobileOneEncoder, 's1'), (64, 96, 192, 512), 128, MEDIUM),
    'mobileone_s2': EncoderSpec(partial(MobileOneEncoder, 's2'), (64, 96, 256, 640), 128, MEDIUM),
    'mobileone_s3': EncoderSpec(partial(MobileOneEncoder, 's3'), (64, 128, 320, 768), 256, WIDE),
    'mobileone_s4': EncoderSpec(partial(MobileOneEncoder, 's4'), (64, 192, 448, 896), 256, WIDE),
    'mamba': EncoderSpec(partial(VSSMEncoder, 'tiny'), (48, 96, 192, 384), 128, MEDIUM),
    'mamba_small': EncoderSpec(partial(VSSMEncoder, 'small'), (48, 96, 192, 384), 128, MEDIUM),
    # strides of the large-kernel derivative of RVM; with its own decoder it loads the weights that it publishes
    'unireplknet': EncoderSpec(partial(UniRepLKNetEncoder, 'a'), (40, 80, 160, 320), 128, LIGHT),
    'unireplknet_large_kernel': EncoderSpec(partial(UniRepLKNetEncoder, 'a'), (40, 80, 160, 320), 128, LIGHT,
                                            LargeKernelDecoder),
    # published strides: a quarter of the work
    'unireplknet_a': EncoderSpec(partial(UniRepLKNetEncoder, 'a', native=True), (20, 40, 80, 160), 128, LIGHT),
    'unireplknet_f': EncoderSpec(partial(UniRepLKNetEncoder, 'f', native=True), (24, 48, 96, 192), 128, LIGHT),
    'unireplknet_p': EncoderSpec(partial(UniRepLKNetEncoder, 'p', native=True), (32, 64, 128, 256), 128, LIGHT),
    'unireplknet_n': EncoderSpec(partial(UniRepLKNetEncoder, 'n', native=True), (40, 80, 160, 320), 128, LIGHT),
}
