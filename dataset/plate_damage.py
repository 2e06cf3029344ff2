"""What makes a picture of the empty scene differ from the background behind the person: the point of the method.

Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810, section 5. The clean plate is what the person
stands in front of; the network is shown the damaged one. The published code draws one misalignment, noise level and
shadow for all chosen samples of a batch, resamples with the nearest pixel and leaves black corners; here every sample
has draws of its own, resampling is bilinear, and borders are mirrored.
"""

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from . import colour
from .jpeg import jpeg


@dataclass(frozen=True)
class PlateDamage:
    """Probability of each kind of damage, per sample, and how far it goes (uniform draws up to it)."""

    shadow: float = 0.4            # the person darkens the scene; the plate does not know
    shadow_depth: float = 0.5      # share of the light that is taken
    noise: float = 0.4             # of frame and plate, each of its own
    noise_deviation: float = 0.03
    jitter: float = 0.8            # brightness, contrast, saturation of the plate
    jitter_factor: float = 0.18
    jitter_hue: float = 0.1
    light: float = 0.3             # the plate is brighter on one side, and a channel stronger: another lamp
    light_factor: float = 0.15
    gamma: float = 0.3             # of the plate, 1 - 0.15 to 1 + 0.15
    gamma_factor: float = 0.15
    misaligned: float = 0.4        # the camera moved: half of these by less than a pixel and a half
    angle: float = 1.              # [degrees]
    shift: float = 0.01            # share of the side
    scale: float = 0.01
    compressed: float = 0.3        # frame and plate as JPEG, each with a quality of its own

    def __post_init__(self):
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(f'plate damage {field.name} must be at least 0, got {getattr(self, field.name)}')


NONE = PlateDamage(shadow=0, noise=0, jitter=0, light=0, gamma=0, misaligned=0, compressed=0)
SUBPIXEL = 1.5      # [px] the smaller half of the shifts
QUALITY = (30., 95.)


@torch.no_grad()
def damaged_pair(fgr: Tensor, pha: Tensor, bgr: Tensor, generator: torch.Generator,
                 damage: PlateDamage | None = None) -> tuple[Tensor, Tensor]:
    """A frame, and the plate that the network gets to see.

    Args:
        fgr, pha, bgr: (B, 3, H, W), (B, 1, H, W), (B, 3, H, W) in [0, 1]; `bgr` is the scene as it is.
        generator: on the CPU; the same draws give the same batch.
        damage: the default one where None.
    Returns:
        src (B, 3, H, W) and the plate (B, 3, H, W), both in [0, 1].
    """
    damage = PlateDamage() if damage is None else damage
    draw = Draws(generator, bgr)
    behind = add_shadows(bgr, pha, draw, damage)
    src = behind.lerp(fgr, pha)
    plate = change_light(bgr, draw, damage)
    plate = misalign(plate, draw, damage)
    src, plate = (compress(add_noise(x, draw, damage), draw, damage) for x in (src, plate))
    return src, plate


class Draws:
    """Numbers per sample, on the device of the pictures."""

    def __init__(self, generator: torch.Generator, like: Tensor):
        self.generator, self.B, self.device = generator, len(like), like.device

    def uniform(self, low: float = 0., high: float = 1., *shape: int) -> Tensor:
        """(B, *shape)."""
        values = torch.rand(self.B, *shape, generator=self.generator)
        return (low + (high - low) * values).to(self.device)

    def around(self, reach: float) -> Tensor:
        """(B, 1, 1, 1) within `reach` of 0."""
        return self.uniform(-reach, reach, 1, 1, 1)

    def chosen(self, chance: float) -> Tensor:
        """(B, 1, 1, 1) bool."""
        return self.uniform(0, 1, 1, 1, 1) < chance

    def noise(self, *shape: int) -> Tensor:
        """(B, *shape) normal."""
        return torch.randn(self.B, *shape, generator=self.generator).to(self.device)


def add_shadows(bgr: Tensor, pha: Tensor, draw: Draws, damage: PlateDamage) -> Tensor:
    """The scene with the person's shadow on it: alpha moved, stretched and blurred takes a share of the light.

    It multiplies, as light does; the published one is subtracted, which turns dark rooms black.
    """
    chosen, depth = draw.chosen(damage.shadow), draw.uniform(0, damage.shadow_depth, 1, 1, 1)
    H, W = pha.shape[-2:]
    theta = affine(draw.uniform(-5, 5), draw.uniform(0.5, 1.5), draw.uniform(-5, 5),
                   draw.uniform(-0.2, 0.2, 2) * 2, H, W)
    radius = draw.uniform(0.01, 0.04)                        # of the blur, share of the longer side
    if not chosen.any():
        return bgr
    at = chosen.flatten().nonzero().squeeze(1)
    small = (max(1, H // 4), max(1, W // 4))                 # soft anyway
    shape = F.interpolate(pha[at], size=small, mode='area')
    grid = F.affine_grid(theta[at], list(shape.shape), align_corners=False)
    shape = F.grid_sample(shape, grid, padding_mode='zeros', align_corners=False)
    shape = torch.cat([box_blur(one[None], round(float(r) * max(small)))
                       for one, r in zip(shape, radius[at], strict=True)])
    shape = F.interpolate(shape, size=(H, W), mode='bilinear', align_corners=False)
    out = bgr.clone()
    out[at] = bgr[at] * (1 - depth[at] * shape)
    return out


def box_blur(x: Tensor, radius: int) -> Tensor:
    """(1, C, h, w), mean of 2 * radius + 1 pixels each way, borders repeated; twice, which leaves no corners."""
    radius = min(radius, *(side - 1 for side in x.shape[-2:]))
    if radius < 1:
        return x
    for _ in range(2):
        x = F.avg_pool2d(F.pad(x, (radius,) * 4, mode='replicate'), 2 * radius + 1, stride=1)
    return x


def change_light(plate: Tensor, draw: Draws, damage: PlateDamage) -> Tensor:
    """Another exposure, another lamp, another gamma than while the person was there."""
    factors = [1 + draw.around(damage.jitter_factor) for _ in range(3)]
    hue, chosen = draw.around(damage.jitter_hue), draw.chosen(damage.jitter)
    plate = torch.where(chosen, colour.jitter(plate, *factors, hue), plate)
    angle, reach = draw.uniform(0, 2 * math.pi, 1, 1, 1), draw.uniform(0, damage.light_factor, 1, 1, 1)
    gain = 1 + draw.uniform(-1, 1, 3, 1, 1) * damage.light_factor / 2
    y = torch.linspace(-1, 1, plate.size(-2), device=plate.device)[:, None]
    x = torch.linspace(-1, 1, plate.size(-1), device=plate.device)
    slope = 1 + reach * (angle.cos() * x + angle.sin() * y)
    plate = torch.where(draw.chosen(damage.light), (plate * gain * slope).clamp(0, 1), plate)
    gamma = 1 + draw.around(damage.gamma_factor)
    return torch.where(draw.chosen(damage.gamma), plate.clamp(min=1e-6) ** gamma, plate)


def misalign(plate: Tensor, draw: Draws, damage: PlateDamage) -> Tensor:
    """Turned, moved and zoomed a little; in one of two cases by fractions of a pixel only. No sample has a border."""
    H, W = plate.shape[-2:]
    chosen, fine = draw.chosen(damage.misaligned).flatten(), draw.uniform() < 0.5
    angle, zoom = draw.uniform(-damage.angle, damage.angle), 1 + draw.uniform(-damage.scale, damage.scale)
    # of affine_grid's frame, which is two units wide
    shift = draw.uniform(-2 * damage.shift, 2 * damage.shift, 2)
    size = torch.tensor([W, H], dtype=torch.float32, device=plate.device)
    subpixel = draw.uniform(-2 * SUBPIXEL, 2 * SUBPIXEL, 2) / size
    angle, zoom = torch.where(fine, 0., angle), torch.where(fine, 1 + (zoom - 1) / 5, zoom)
    theta = affine(angle, zoom, torch.zeros_like(angle), torch.where(fine[:, None], subpixel, shift), H, W)
    if not chosen.any():
        return plate
    grid = F.affine_grid(theta, list(plate.shape), align_corners=False)
    moved = F.grid_sample(plate, grid, padding_mode='reflection', align_corners=False)
    return torch.where(chosen[:, None, None, None], moved, plate)


def affine(angle: Tensor, scale: Tensor, shear: Tensor, shift: Tensor, H: int, W: int) -> Tensor:
    """(B,) degrees, factors, degrees and (B, 2) shifts -> (B, 2, 3) for affine_grid, angles true in pixels."""
    turn, lean = angle.deg2rad(), shear.deg2rad().tan()
    cos, sin = turn.cos() / scale, turn.sin() / scale
    rows = [torch.stack([cos, (-sin + cos * lean) * (H / W), shift[:, 0]], 1),
            torch.stack([sin * (W / H), cos + sin * lean, shift[:, 1]], 1)]
    return torch.stack(rows, 1)


def add_noise(x: Tensor, draw: Draws, damage: PlateDamage) -> Tensor:
    """Of a sensor."""
    deviation = draw.uniform(0, damage.noise_deviation, 1, 1, 1) * draw.chosen(damage.noise)
    return (x + draw.noise(*x.shape[1:]) * deviation).clamp(0, 1) if deviation.any() else x


def compress(x: Tensor, draw: Draws, damage: PlateDamage) -> Tensor:
    """As a JPEG of some quality."""
    chosen, quality = draw.chosen(damage.compressed).flatten(), draw.uniform(*QUALITY)
    at = chosen.nonzero().squeeze(1)
    if not len(at):
        return x
    x = x.clone()
    x[at] = jpeg(x[at], quality[at])
    return x
