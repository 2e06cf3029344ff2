"""Exposure, gamma and white balance of a picture as a whole: low light, windows behind, warm lamps.

Jitter of person and background apart teaches that the two differ; a camera changes both together.
"""

import math

import torch
from torch import Tensor

DARKEST, BRIGHTEST = 0.33, 1.65     # exposure, drawn log-uniformly
GAMMA = 1.5                         # 1 / 1.5 to 1.5, log-uniformly
CAST = 0.12                         # standard deviation of the logarithm of each channel's gain


def draw_tone(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Gains (count, 3) and gammas (count, 1) for `tone`."""
    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, generator=generator) * (high - low) + low
    exposure = uniform(math.log(DARKEST), math.log(BRIGHTEST))
    cast = CAST * torch.randn(count, 3, generator=generator)
    cast = cast - cast.mean(1, keepdim=True)      # the exposure says how bright
    return (exposure + cast).exp(), uniform(-math.log(GAMMA), math.log(GAMMA)).exp()


def tone(clip: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
    """(B, T, 3, H, W) in [0, 1] -> gain * clip ** gamma, clipped to [0, 1]."""
    gains, gammas = (part.to(clip.device).view(len(clip), 1, -1, 1, 1) for part in drawn)
    return (gains * clip.clamp(min=1e-4) ** gammas).clamp(0, 1)
