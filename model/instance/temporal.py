"""What the video network adds: a recurrent unit that runs both ways, a head for change, and the fusion over frames."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .spectral import spectral


class InstanceGRU(nn.Module):
    """Convolutional GRU over features at stride 8, forward from a given state, then backward from the last one."""

    def __init__(self, channels: int = 128):
        super().__init__()
        self.channels = channels
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, 3, padding=1), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.Tanh())

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """(B, C, h, w) twice -> the next state."""
        r, z = self.ih(torch.cat([x, h], 1)).chunk(2, 1)
        return (1 - z) * h + z * self.hh(torch.cat([x, r * h], 1))

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """
        Args:
            x: (B, T, C, h, w).
            h: (B, C, h, w) state before the first frame, zeros where None; a single zero is repeated.
        Returns:
            Features (B, T, C, h, w): the mean of both directions, the last frame forward alone. Forward states, same
            shape: state t goes into a window that starts at frame t + 1.
        """
        h = torch.zeros_like(x[:, 0]) if h is None else h.expand_as(x[:, 0])
        states = []
        for frame in x.unbind(1):
            h = self.step(frame, h)
            states.append(h)
        out, back = [states[-1]], states[-1]
        for frame, state in zip(reversed(x.unbind(1)[:-1]), reversed(states[:-1])):
            back = self.step(frame, back)
            out.append((state + back) / 2)
        return torch.stack(out[::-1], 1), torch.stack(states, 1)


class ChangeHead(nn.Sequential):
    """Probability that alpha changes from one frame to the next, from the enriched features of both."""

    def __init__(self, channels: int = 64):
        super().__init__(
            spectral(nn.Conv2d(2 * channels, channels, 1, bias=False)), nn.BatchNorm2d(channels), nn.ReLU(),
            spectral(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False)), nn.BatchNorm2d(channels // 2),
            nn.ReLU(), nn.Conv2d(channels // 2, 1, 3, padding=1, bias=False))

    def both_ways(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, C, h, w) -> logits (B, T, 1, 8h, 8w) of the change since the frame before, and until the next one.

        The first of the former and the last of the latter are 0: nothing is known there.
        """
        before, after = x[:, :-1].detach(), x[:, 1:].detach()
        return (self.maps(torch.cat([before, after], 2), first=True),
                self.maps(torch.cat([after, before], 2), first=False))

    def maps(self, pairs: Tensor, first: bool) -> Tensor:
        B, T, _, h, w = pairs.shape
        nothing = pairs.new_zeros(B, 1, 1, 8 * h, 8 * w)
        if T == 0:
            return nothing
        logits = F.interpolate(self(pairs.flatten(0, 1)), scale_factor=8, mode='bilinear').unflatten(0, (B, T))
        return torch.cat([nothing, logits] if first else [logits, nothing], 1)


def propagate(pha: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """Mean of alpha carried forward and backward where nothing changes; for looking at, it is not the answer.

    Args:
        pha: (B, T, N, H, W); forward, backward: (B, T, 1, H, W) change probabilities.
    """
    T = pha.size(1)
    ahead, behind = [pha[:, 0]], [pha[:, -1]]
    for t in range(1, T):
        ahead.append(ahead[-1] * (1 - forward[:, t]) + pha[:, t] * forward[:, t])
        s = T - 1 - t
        behind.append(behind[-1] * (1 - backward[:, s]) + pha[:, s] * backward[:, s])
    behind = behind[::-1]
    middle = [(a + b) / 2 for a, b in zip(ahead[1:-1], behind[1:-1])]
    return torch.stack([ahead[0], *middle, behind[-1]] if T > 1 else [pha[:, 0]], 1)


def fuse_frames(pha: Tensor, forward: Tensor, backward: Tensor, before: Tensor | None = None) -> Tensor:
    """The published fusion over three frames: unchanged pixels keep the answer of the frame before.

    It gains nothing measurable over the recurrent unit and carries errors where a change is missed, so nothing calls it
    unless asked.

    Args:
        pha: (B, 3, N, H, W); forward, backward: (B, 3, 1, H, W) change probabilities.
        before: (B, N, H, W) answer of frame 0 by the window before.
    """
    if pha.size(1) != 3:
        raise ValueError(f'the fusion over frames needs windows of 3 frames, got {pha.size(1)}')
    d1, d2, b1 = ((x > 0.5).to(pha) for x in (forward[:, 1], forward[:, 2], backward[:, 1]))
    start = pha[:, 0] if before is None else before
    ahead = start * (1 - d1) + pha[:, 1] * d1
    behind = pha[:, 2] * (1 - b1) + pha[:, 1] * b1
    middle = torch.where(ahead == behind, ahead, pha[:, 1])
    return torch.stack([pha[:, 0], middle, middle * (1 - d2) + pha[:, 2] * d2], 1)
