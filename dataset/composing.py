"""What people and scenes are composed with: draws, motion, sampling, all on the device.

Parameters are drawn on the CPU for the whole batch, a few numbers per clip; every pixel is computed on the device.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import colour
from .easing import CURVES, linear, progress
from .photo_bank import Backgrounds, PhotoBank

EASINGS = [linear] * 8 + CURVES  # linear one time in five


@dataclass(frozen=True)
class ComposerConfig:
    """Size of the clips and probability of each effect, drawn per clip unless said otherwise."""

    size: int = 256
    seq_length: int = 8
    people: tuple[float, ...] = (0.62, 0.2, 0.1, 0.05, 0.03)  # probability of one, two, ... people
    empty: float = 0.06                          # nobody at all
    smallest: float = 0.15                       # body height, share of the frame's; of photos that show no legs twice
    largest: float = 4.5                         # that much: a face as large as the frame; drawn log-uniformly
    by_head: float = 0.65                        # framed by the head, else anywhere: torsos, hands, legs
    person_motion: float = 0.8                   # per person; who sits still must not flicker
    turned: float = 0.1                          # per person: by any angle, as raised arms and lying people are
    bend: float = 0.5                            # per person: a smooth field that swings, limbs are not rigid
    gaps: float = 0.2                            # per person: the background shows through, as between arm and body
    dyed: float = 0.35                           # per person: clothes in one plain colour, bright ones too
    camera_motion: float = 0.3                   # people and background together
    background_motion: float = 0.3
    generated: float = 0.1                       # of the backgrounds
    objects: float = 0.5                         # something that is not a person, behind people; of those
    another: float = 0.4                         # a second such thing
    cut_outs: float = 0.7                        # pictures of things where there are any, else an outline and a surface
    in_front: float = 0.03                       # something that is not a person before them: a cup, a microphone
    desk: float = 0.02                           # a flat edge from side to side before them: a table, a sill
    color_jitter: float = 0.5                    # per person, and background
    tone: float = 0.6                            # exposure, gamma and white balance of the whole picture
    defocus: float = 0.3                         # background only
    blur: float = 0.05                           # people and background
    noise: float = 0.4                           # of frames, person and background apart; cameras never are without
    grayscale: float = 0.02
    pause: float = 0.03
    compressed: float = 0.2                      # the composition, as by JPEG
    aspect: float = 0.5                          # per batch: a part of 16:9, 4:3, 3:4 or 9:16 instead of the square

    def __post_init__(self):
        if self.size < 1 or self.seq_length < 1:
            raise ValueError(f'size and seq_length must be at least 1, got {self.size} and {self.seq_length}')
        if not self.people or abs(sum(self.people) - 1) > 1e-6:
            raise ValueError(f'people must be probabilities that sum to 1, got {self.people}')


class Draw:
    """Random numbers: parameters from a generator on the CPU (alike on every machine), noise from one on the device."""

    def __init__(self, parameters: torch.Generator, noise: torch.Generator, device: torch.device):
        self.parameters, self._noise, self._device = parameters, noise, device

    def uniform(self, shape: int | tuple[int, ...], low: float = 0, high: float = 1) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.parameters)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self.parameters)

    def integers(self, count: int, below: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.parameters)

    def weighted(self, count: int, weights: Tensor) -> Tensor:
        """Indices, each as often as its weight says."""
        ends = weights.double().cumsum(0)
        drawn = torch.rand(count, generator=self.parameters, dtype=torch.float64) * ends[-1]
        return torch.searchsorted(ends, drawn, right=True).clamp(max=len(weights) - 1)

    def sign(self, count: int) -> Tensor:
        return (self.integers(count, 2) * 2 - 1).float()

    def chosen(self, count: int, chance: float) -> Tensor:
        """Indices of the clips that an effect falls on."""
        return torch.nonzero(self.uniform(count) < chance).squeeze(1)

    def noise(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._noise, device=self._device)

    def move(self, x: Tensor) -> Tensor:
        return x.to(self._device, non_blocking=True)


class Composing:
    """What the layers of a composer share.

    Args:
        photos: cut-out people. backgrounds: None: all are generated.
        objects: cut-out things that are not people, or None.
        device: where the pictures are kept and the batches are made.
    """

    def __init__(self, photos: PhotoBank, backgrounds: Backgrounds | None = None, config: ComposerConfig | None = None,
                 seed: int = 0, device: torch.device | str = 'cpu', objects: PhotoBank | None = None):
        self.config = ComposerConfig() if config is None else config
        self.objects = None if objects is None else objects.to(device)
        self.photos, self.seed, self.device = photos.to(device), seed, torch.device(device)
        self.backgrounds = None if backgrounds is None else backgrounds.to(device)
        self.eased = torch.tensor([progress(self.config.seq_length, easing) for easing in EASINGS])  # (39, T)

    def _motion(self, draw: Draw, B: int, chance: float) -> Tensor:
        """(B, T, 3, 3) from frame coordinates -1..1 to those before the motion: rotation up to 10 degrees,
        translation 10 % of the frame, scale 0.9 to 1.1, shear 5 degrees, eased between two draws."""
        ends = draw.uniform((B, 2, 1, 5), -1, 1) * torch.tensor([math.radians(10), 0.2, 0.2, 0.1, math.radians(5)])
        eased = self.eased[draw.integers(B, len(EASINGS))][..., None]  # (B, T, 1)
        angle, dx, dy, growth, lean = (ends[:, 0] + (ends[:, 1] - ends[:, 0]) * eased).unbind(-1)
        cos, sin, scale = angle.cos(), angle.sin(), 1 / (1 + growth)
        zero, one = torch.zeros_like(dx), torch.ones_like(dx)
        matrix = torch.stack([scale * cos, scale * (cos * lean.tan() - sin), dx,
                              scale * sin, scale * (sin * lean.tan() + cos), dy, zero, zero, one], -1)
        moving = draw.uniform(B) < chance
        return torch.where(moving[:, None, None, None], matrix.unflatten(-1, (3, 3)), torch.eye(3))

    def _place(self, draw: Draw, angle: Tensor, scale: Tensor) -> Tensor:
        """(B, 1, 3, 3) from the frame to a thing that is turned, 1 / scale large, and anywhere in it."""
        B = len(angle)
        cos, sin, zero, one = scale * angle.cos(), scale * angle.sin(), torch.zeros(B), torch.ones(B)
        x, y = draw.uniform((2, B), -0.8, 0.8)
        place = torch.stack([cos, -sin, -cos * x + sin * y, sin, cos, -sin * x - cos * y, zero, zero, one], -1)
        return place.view(B, 1, 3, 3)

    def _sample(self, bank: PhotoBank, picked: Tensor, grid: Tensor, pixels: Tensor) -> Tensor:
        """Foreground and alpha (b, T, 4, S, S) from the level that has about one pixel per pixel of the frame."""
        b, T, S = grid.shape[:3]
        level = pixels.log2().floor().clamp(0, len(bank.levels) - 1).long()
        out = torch.empty(b, T, 4, S, S, device=self.device)
        for k, pictures in enumerate(bank.levels):
            at = torch.nonzero(level == k).squeeze(1).to(self.device)
            if len(at):
                out[at] = sample(pictures[picked.to(self.device)[at]], grid[at], 'zeros')
        return out

    def _jitter(self, draw: Draw, clip: Tensor) -> Tensor:
        """A colour cast of its own per clip, drifting a little; (b, T, 3, S, S)."""
        b, T = clip.shape[:2]
        eased = self.eased[draw.integers(b, len(EASINGS))]
        cast, drift = (draw.normal((4, b, 1)) * amount for amount in (0.15, 0.02))
        change = draw.move((cast + drift * eased).view(4, b, T, 1, 1, 1))
        chosen = draw.move(draw.chosen(b, self.config.color_jitter))
        if not len(chosen):
            return clip
        brightness, contrast, saturation = (1 + change[:3, chosen]).clamp(min=0.1)
        hue = (change[3, chosen] * 0.1).clamp(-0.5, 0.5)
        clip = clip.clone()
        clip[chosen] = colour.jitter(clip[chosen], brightness, contrast, saturation, hue)
        return clip


def frame_grid(matrices: Tensor, size: int, device: torch.device) -> Tensor:
    """(b, T, 3, 3) from frame coordinates to others -> (b, T, S, S, 2) where each pixel of the frame comes from."""
    b, T = matrices.shape[:2]
    thetas = matrices[:, :, :2].flatten(0, 1).to(device)
    return F.affine_grid(thetas, (b * T, 1, size, size), align_corners=False).unflatten(0, (b, T))


def sample(pictures: Tensor, grid: Tensor, padding: str) -> Tensor:
    """One uint8 picture (b, C, h, w) per clip read at (b, T, S, S, 2) -> (b, T, C, S, S) in [0, 1].

    The frames lie below each other in one tall grid, so that the picture is not repeated T times.
    """
    b, T, S = grid.shape[:3]
    flat = F.grid_sample(pictures.float().div_(255), grid.reshape(b, T * S, S, 2), padding_mode=padding,
                         align_corners=False)  # (b, C, T * S, S)
    return flat.unflatten(2, (T, S)).transpose(1, 2).contiguous()


def lay_before(thing: Tensor, alpha: Tensor, fgr: Tensor, pha: Tensor, bgr: Tensor) -> tuple[Tensor, Tensor]:
    """New pha and bgr with a thing of (b, T, 3, S, S) colours and (b, T, 1, S, S) alpha before the person.

    fgr * pha + bgr * (1 - pha) of the new ones is the thing over the old composition.
    """
    left = pha * (1 - alpha)
    behind = thing * alpha + bgr * ((1 - alpha) * (1 - pha))
    rest = 1 - left
    return left, torch.where(rest > 1e-3, behind / rest.clamp(min=1e-3), bgr).clamp(0, 1)


def cut_gap(alpha: Tensor, grid: Tensor, wedges: Tensor) -> None:
    """Takes a soft wedge out of alpha (b, T, 1, S, S), in place: narrow above, wide and round below.

    Args:
        grid: (b, T, S, S, 2) where each pixel comes from, -1..1 of the canvas.
        wedges: (b, 6) x and y of the middle, half width and half length in the same units, lean [rad], height of the
            canvas per width; on the CPU. A width of 0: none.
    """
    chosen = torch.nonzero(wedges[:, 2] > 0).squeeze(1)
    if not len(chosen):
        return
    at = chosen.to(alpha.device)
    x, y, width, length, lean, tall = wedges[chosen].to(alpha.device)[:, :, None, None, None].unbind(1)
    dx, dy = (grid[at] - torch.stack([x, y], -1)).unbind(-1)
    dx, dy = dx * lean.cos() + dy * lean.sin() * tall, dy * lean.cos() - dx * lean.sin() / tall
    v = dy / length
    inside = 1 - ((dx / (width * (0.7 + 0.5 * v).clamp(min=0.05))) ** 2 + v ** 2).sqrt()  # 1: the middle, 0: the rim
    pixel = (grid[at][:, :, 1:2, 1:2] - grid[at][:, :, :1, :1]).abs().amax(-1) / width  # of the frame, in widths
    alpha[at] *= (0.5 - inside / (2.5 * pixel)).clamp(0, 1)[:, :, None]


def gaussian_blur(clip: Tensor, sigma: Tensor) -> Tensor:
    """(b, T, C, S, S) with one sigma [pixels] per clip; `sigma` on the CPU."""
    b, T, C, S = clip.shape[:4]
    radius = min(math.ceil(2.5 * float(sigma.max())), S - 1)
    if radius < 1:
        return clip
    x = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-x ** 2 / (2 * sigma.clamp(min=0.05)[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).to(clip.device)  # (b, 2 * radius + 1)
    # one channel per clip: its kernel is the same for all frames and colours
    image = clip.permute(1, 2, 0, 3, 4).reshape(T * C, b, S, S)
    image = F.pad(image, (radius,) * 4, mode='reflect')
    image = F.conv2d(image, kernel[:, None, None, :], groups=b)
    image = F.conv2d(image, kernel[:, None, :, None], groups=b)
    return image.view(T, C, b, S, S).permute(2, 0, 1, 3, 4).clamp(0, 1)
