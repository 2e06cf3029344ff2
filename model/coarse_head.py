"""Supervision at stride 4: most of what a network must learn (where people are) at less than half of the price.

The head reads the third step of the decoder, so a coarse pass stops there. It belongs to training: `add_coarse_head`
makes it a part of the network, so that optimizers, averages and states know it; `without_coarse_head` names the
weights that a checkpoint for inference holds.
"""

from torch import Tensor
from torch.nn import functional as F

from .decoder import RecurrentDecoder, pool_half
from .model import MattingNetwork, Projection
from .time_axis import fold_time, unfold_time

NAME = 'coarse'


def add_coarse_head(network: MattingNetwork) -> MattingNetwork:
    """The same network with a head for `coarse_pass`.

    Raises:
        ValueError: its decoder is not the published one.
    """
    if not isinstance(network.decoder, RecurrentDecoder):
        raise ValueError(f'{network.variant}: supervision at stride 4 needs the published decoder, this one is '
                         f'{type(network.decoder).__name__}')
    network.add_module(NAME, Projection(network.decoder.decode2.conv[0].out_channels, 5))
    return network


def without_coarse_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that a checkpoint for inference holds."""
    return {name: value for name, value in state.items() if not name.startswith(NAME + '.')}


def coarse_pass(network: MattingNetwork, src: Tensor, r2: Tensor | None = None, r3: Tensor | None = None,
                r4: Tensor | None = None) -> list[Tensor]:
    """(B, T, 3, H, W), sides divisible by 4 -> fgr (B, T, 3, H/4, W/4), pha and seg logits (B, T, 1, H/4, W/4), and
    the states r2, r3, r4 after the last frame.

    `fgr` and `pha` are not clamped: outside [0, 1] a clamped value would have no slope.
    """
    _, f2, f3, f4 = network.backbone(src)
    folded, T = fold_time(src)
    s1 = pool_half(folded)
    x, *rec = network.decoder.to_stride_4(s1, f2, f3, network.aspp(f4), T, r2, r3, r4)
    fgr, pha, seg = network.get_submodule(NAME)(unfold_time(x, T)).split([3, 1, 1], dim=-3)
    return [fgr + unfold_time(pool_half(s1), T), pha, seg, *rec]


def pool_quarter(clip: Tensor) -> Tensor:
    """Mean of 4x4 pixels: (B, T, C, H, W) -> (B, T, C, H/4, W/4)."""
    folded, T = fold_time(clip)
    return unfold_time(F.avg_pool2d(folded, 4), T)
