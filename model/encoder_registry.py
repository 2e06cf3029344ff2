"""Two tables: encoders, and the variants of the matting network, each of which names one.

A new encoder is one file and one row of `ENCODERS`; a network of ours on top of it is one row of `VARIANTS`, which
command-line choices, hub doors and tests read. A decoder other than RVM's is a property of the variant and not an
argument of the network: it changes the names in the checkpoint, and the variant is what names a checkpoint everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from .decoder import RecurrentDecoder
from .efficientnet import EfficientNetLite0Encoder
from .large_kernel_decoder import LargeKernelDecoder
from .mobilenet import mobilenetv2, mobilenetv3_large, mobilenetv3_small
from .mobileone import MobileOneEncoder
from .resnet import ResNetEncoder
from .stem import widen_stem
from .unireplknet import UniRepLKNetEncoder
from .vssm_encoder import VSSMEncoder


@dataclass(frozen=True)
class EncoderSpec:
    """What is known of an encoder before it is built.

    Args:
        build: pretrained (True: ImageNet weights as their publisher gives them, a path: those, False: none) -> a
            module that takes RGB in [0, 1], normalises inside if it was trained so, and returns [f1, f2, f3, f4].
        channels: of f1..f4.
        strides: of f1..f4.
    """

    build: Callable[[bool | str | Path], nn.Module]
    channels: tuple[int, int, int, int]
    strides: tuple[int, int, int, int] = (2, 4, 8, 16)

    def create(self, pretrained: bool | str | Path = False, in_channels: int = 3, normalize: bool = True) -> nn.Module:
        """
        Args:
            in_channels: of the input. Pretrained weights of further channels than three start at zero.
            normalize: False takes the input as it is.
        Raises:
            ValueError: statistics of ImageNet for other channels than RGB.
        """
        encoder = self.build(pretrained)
        if in_channels != 3 and encoder.normalize and normalize:
            raise ValueError(f'normalize must be False for {in_channels} channels: ImageNet has statistics of RGB')
        if in_channels != 3:
            widen_stem(encoder, in_channels, keep=bool(pretrained))
        encoder.normalize = encoder.normalize and normalize
        return encoder


ENCODERS: dict[str, EncoderSpec] = {
    'mobilenetv2': EncoderSpec(mobilenetv2, (16, 24, 32, 320)),
    'mobilenetv3': EncoderSpec(mobilenetv3_large, (16, 24, 40, 960)),
    'mobilenetv3_small': EncoderSpec(mobilenetv3_small, (16, 24, 40, 576), (4, 8, 16, 32)),
    'resnet50': EncoderSpec(partial(ResNetEncoder, 50), (64, 256, 512, 2048)),
    'resnet101': EncoderSpec(partial(ResNetEncoder, 101), (64, 256, 512, 2048)),
    'efficientnet_lite0': EncoderSpec(EfficientNetLite0Encoder, (16, 24, 40, 432)),
    'mobileone_s0': EncoderSpec(partial(MobileOneEncoder, 's0'), (48, 48, 128, 256)),
    'mobileone_s1': EncoderSpec(partial(MobileOneEncoder, 's1'), (64, 96, 192, 512)),
    'mobileone_s2': EncoderSpec(partial(MobileOneEncoder, 's2'), (64, 96, 256, 640)),
    'mobileone_s3': EncoderSpec(partial(MobileOneEncoder, 's3'), (64, 128, 320, 768)),
    'mobileone_s4': EncoderSpec(partial(MobileOneEncoder, 's4'), (64, 192, 448, 896)),
    'vssm_tiny': EncoderSpec(partial(VSSMEncoder, 'tiny'), (48, 96, 192, 384)),
    'vssm_small': EncoderSpec(partial(VSSMEncoder, 'small'), (48, 96, 192, 384)),
    # strides of the large-kernel derivative of RVM
    'unireplknet': EncoderSpec(partial(UniRepLKNetEncoder, 'a'), (40, 80, 160, 320)),
    # published strides: a quarter of the work
    'unireplknet_a': EncoderSpec(partial(UniRepLKNetEncoder, 'a', native=True), (20, 40, 80, 160)),
    'unireplknet_f': EncoderSpec(partial(UniRepLKNetEncoder, 'f', native=True), (24, 48, 96, 192)),
    'unireplknet_p': EncoderSpec(partial(UniRepLKNetEncoder, 'p', native=True), (32, 64, 128, 256)),
    'unireplknet_n': EncoderSpec(partial(UniRepLKNetEncoder, 'n', native=True), (40, 80, 160, 320)),
}


@dataclass(frozen=True)
class Variant:
    """What RVM makes of an encoder.

    Widths: LR-ASPP narrows f4 to about a quarter, because f4 is the only wide feature and the decoder pays for it at
    once; the decoder then follows RVM's MobileNetV3 (80, 40, 32, 16), or is wider where the skip features are, so that
    no step throws away more than two thirds of what it is given. All but the last must be even (half recurs).
    """

    encoder: str                                     # a name in ENCODERS
    aspp_channels: int                               # f4 after LR-ASPP
    decoder_channels: tuple[int, int, int, int]      # at strides 8, 4, 2, 1
    decoder: Callable[..., nn.Module] = RecurrentDecoder

    @property
    def spec(self) -> EncoderSpec:
        """Of its encoder."""
        return ENCODERS[self.encoder]

    def build_decoder(self) -> nn.Module:
        """For the widths of its encoder."""
        return self.decoder((*self.spec.channels[:3], self.aspp_channels), self.decoder_channels)


LIGHT = (80, 40, 32, 16)
MEDIUM = (96, 64, 32, 16)
WIDE = (128, 64, 32, 16)

VARIANTS: dict[str, Variant] = {
    'mobilenetv3': Variant('mobilenetv3', 128, LIGHT),
    'resnet50': Variant('resnet50', 256, WIDE),
    'efficientnet_lite0': Variant('efficientnet_lite0', 128, LIGHT),
    'mobileone': Variant('mobileone_s0', 128, LIGHT),
    'mobileone_s1': Variant('mobileone_s1', 128, MEDIUM),
    'mobileone_s2': Variant('mobileone_s2', 128, MEDIUM),
    'mobileone_s3': Variant('mobileone_s3', 256, WIDE),
    'mobileone_s4': Variant('mobileone_s4', 256, WIDE),
    'mamba': Variant('vssm_tiny', 128, MEDIUM),
    'mamba_small': Variant('vssm_small', 128, MEDIUM),
    # with its own decoder the derivative loads the weights that it publishes
    'unireplknet': Variant('unireplknet', 128, LIGHT),
    'unireplknet_large_kernel': Variant('unireplknet', 128, LIGHT, LargeKernelDecoder),
    'unireplknet_a': Variant('unireplknet_a', 128, LIGHT),
    'unireplknet_f': Variant('unireplknet_f', 128, LIGHT),
    'unireplknet_p': Variant('unireplknet_p', 128, LIGHT),
    'unireplknet_n': Variant('unireplknet_n', 128, LIGHT),
}
