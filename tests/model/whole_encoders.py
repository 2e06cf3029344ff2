"""Encoders with the stage at stride 32 that the product leaves out: as published, to compare every name and output."""

from torch import Tensor

from model.channel_norm import ChannelNorm
from model.mobileone import SIZES as MOBILEONE_SIZES
from model.mobileone import MobileOneEncoder, build_stage
from model.vssm_encoder import EPS, SIZES, VSSMEncoder, VSSStage


class WholeMobileOne(MobileOneEncoder):
    """With stage 4."""

    def __init__(self, size: str):
        super().__init__(size)
        self.stage4 = build_stage(MOBILEONE_SIZES[size], 4)

    def features(self, x: Tensor) -> list[Tensor]:
        features = super().features(x)
        return [*features, self.stage4(features[3])]


class WholeVSSM(VSSMEncoder):
    """With stage 3."""

    def __init__(self, size: str = 'tiny'):
        super().__init__(size)
        spec = SIZES[size]
        self.layers[2] = VSSStage(spec.depths[2], spec.channels << 2, spec.expand, last=False)
        self.layers.append(VSSStage(spec.depths[3], spec.channels << 3, spec.expand, last=True))
        self.outnorm3 = ChannelNorm(spec.channels << 3, EPS)

    def features(self, x: Tensor) -> list[Tensor]:
        return [*super().features(x), self.outnorm3(self.stage_outputs(x)[4])]
