"""VMamba's first generation as a backbone: 16 states per channel, gated layers, no MLP, patches without overlap.

Paper: VMamba, arXiv 2401.10166v1. It is the encoder of the five-state derivative of RVM. It is no variant of ours: its
scan has 32 times the elements of `VSSMEncoder`'s; it shows that our scan is right for many states too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.ss2d import SS2D

EPS = 1e-5
DEPTHS = (2, 2, 9, 2)
CHANNELS = 96  # of stage 0, doubling with every stage


class PatchEmbed(nn.Module):
    """4x4 patches; the image is padded to whole ones, so that sizes are ceil as everywhere."""

    def __init__(self, channels: int):
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 4, 4)
        self.norm = nn.LayerNorm(channels, EPS)

    def forward(self, x: Tensor) -> Tensor:  # (B, 3, H, W) -> (B, H/4, W/4, C)
        x = F.pad(x, [0, -x.size(3) % 4, 0, -x.size(2) % 4])
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """2x2 neighbours side by side, to twice the channels; an odd side gets a row of zeros."""

    def __init__(self, channels: int):
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels, EPS)

    def forward(self, x: Tensor) -> Tensor:  # (B, H, W, C) -> (B, H/2, W/2, 2C)
        x = F.pad(x, [0, 0, 0, x.size(2) % 2, 0, x.size(1) % 2])
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], dim=-1)
        return self.reduction(self.norm(x))


class Block(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(channels, EPS)
        self.self_attention = SS2D(channels, state_size=16, expand=2.0, gated=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.self_attention(self.ln_1(x))


class Stage(nn.Module):
    def __init__(self, depth: int, channels: int):
        super().__init__()
        self.blocks = nn.Sequential(*[Block(channels) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class VanillaVSSM(nn.Module):
    """Stage outputs at strides 4, 8, 16, 32 with 96, 192, 384, 768 channels, not normalised."""

    def __init__(self):
        super().__init__()
        self.patch_embed = PatchEmbed(CHANNELS)
        self.layers = nn.ModuleList([Stage(depth, CHANNELS << i) for i, depth in enumerate(DEPTHS)])
        self.downsamples = nn.ModuleList([PatchMerging(CHANNELS << i) for i in range(len(DEPTHS) - 1)])

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB in [0, 1], not normalised: the derivative trained it so."""
        x = self.patch_embed(x)
        outputs: list[Tensor] = []
        for index, stage in enumerate(self.layers):
            x = stage(x)
            outputs.append(x.permute(0, 3, 1, 2))
            if index < len(self.downsamples):
                x = self.downsamples[index](x)
        return outputs
