"""Pictures and clips of several people with the alpha of each, composed from cut-out people.

Paper: Masked Guided Gradual Human Instance Matting, arXiv 2404.16035, section 4 and supplement. Two to five people,
back to front, each with the alpha that is left of it: what others cover is not theirs. How much they cover is the
level: 'easy' stand side by side, 'medium' and 'hard' overlap within limits, drawn until they do.
"""

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .composing import frame_grid, sample
from .draws import item_draws, torch_generator
from .mask_damage import MaskDamageConfig, damaged_masks, removed_people
from .photo_bank import Backgrounds, PhotoBank

# level -> least and most of a person that others may cover on any frame, and most people
LEVELS: dict[str, tuple[float, float, int]] = {
    'easy': (0., 0.05, 3), 'medium': (0.05, 0.3, 5), 'hard': (0.5, 0.85, 5), 'any': (0., 0.85, 5),
}
ATTEMPTS = 40
SMALL = 48      # [px] side at which the overlap is looked at


@dataclass(frozen=True)
class PeopleConfig:
    """What is composed."""

    size: int = 256                      # [px] side of the square
    seq_length: int = 1                  # frames
    people: tuple[int, int] = (2, 5)     # least and most
    level: str = 'any'
    height: tuple[float, float] = (0.5, 1.3)    # of the frame; taller people are cut by its lower edge
    motion: float = 0.06                 # of the frame, between the first and the last frame
    grow: float = 0.1
    turn: float = 0.12                   # [rad]
    noise: float = 0.3                   # probability
    gamma: float = 0.5

    def __post_init__(self):
        if self.level not in LEVELS:
            raise ValueError(f'level must be one of {", ".join(LEVELS)}, got {self.level!r}')
        if not 1 <= self.people[0] <= self.people[1]:
            raise ValueError(f'people must be least and most, at least 1, got {self.people}')
        if self.size < SMALL or self.seq_length < 1:
            raise ValueError(f'size must be at least {SMALL} and seq_length at least 1, got {self.size} and '
                             f'{self.seq_length}')


@dataclass(frozen=True)
class PeopleClip:
    """One clip.

    Attributes:
        src: (T, 3, S, S) in [0, 1].
        pha: (T, N, S, S) alpha of each person, front to back; of sum at most 1.
        msk: (T, N, S, S) of 0 and 1, rough.
        covered: (N,) most of each person that others cover on any frame.
    """

    src: Tensor
    pha: Tensor
    msk: Tensor
    covered: Tensor


class PeopleComposer:
    """Clip `index` is always the same.

    Args:
        photos: cut-out people.
        backgrounds: pictures without people.
        damage: of the masks; None: clean masks, alpha above one half.
    """

    def __init__(self, photos: PhotoBank, backgrounds: Backgrounds, config: PeopleConfig | None = None, seed: int = 0,
                 damage: MaskDamageConfig | None = None):
        self.photos, self.backgrounds, self.seed, self.damage = photos, backgrounds, seed, damage
        self.config = PeopleConfig() if config is None else config

    @torch.no_grad()
    def clip(self, index: int, epoch: int = 0) -> PeopleClip:
        """A clip whose overlap is that of the level, or nearest to it of forty attempts."""
        draws, config = item_draws(self.seed, epoch, index), self.config
        least, most, crowd = LEVELS[config.level]
        N = draws.randint(config.people[0], max(config.people[0], min(config.people[1], crowd)))
        picked = [draws.randrange(len(self.photos)) for _ in range(N)]
        best, matrices = float('inf'), None
        for _ in range(ATTEMPTS):
            spread = draws.uniform(0.1, 1.6 * (N - 1) / N)
            places = [spread * (2 * n / max(N - 1, 1) - 1) + draws.uniform(-0.15, 0.15) for n in range(N)]
            draws.shuffle(places)
            attempt = [self._path(draws, place, person) for place, person in zip(places, picked)]
            worst = float(occlusion(torch.stack([self._sample(person, path, SMALL)[:, 3]
                                                 for person, path in zip(picked, attempt)], 1)).max())
            miss = max(least - worst, worst - most, 0.)
            if miss < best:
                best, matrices = miss, attempt
            if miss == 0:
                break
        layers = [self._sample(person, path, config.size) for person, path in zip(picked, matrices)]
        alphas = torch.stack([layer[:, 3] for layer in layers], 1)                          # (T, N, S, S)
        src = self._background(draws)
        for layer in reversed(layers):
            src = src.lerp(self._gamma(draws, layer[:, :3]), layer[:, 3:])
        if draws.random() < config.noise:
            noise = torch.randn(src.shape, generator=torch_generator(draws))
            src = (src + draws.uniform(0, 0.03) * noise).clamp(0, 1)
        pha = visible(alphas)
        return PeopleClip(src, pha, self._masks(pha, draws), occlusion(alphas))

    def _path(self, draws: random.Random, place: float, person: int) -> Tensor:
        """(T, 3, 3) from the frame to the person's canvas, both -1..1; `place` is where they stand, -1..1."""
        config, (H, W) = self.config, self.photos.levels[0].shape[-2:]
        left, top, right, bottom = self.photos.boxes[person].tolist()
        cut = bool(self.photos.cut[person])
        share = draws.uniform(*config.height)
        if cut:
            share = max(share, 0.8)
        pixels = (bottom - top) / (share * config.size)                                     # of the canvas, per pixel
        # Feet on the lower edge or a little above it; half-length people and large ones are cut by it.
        lowest = draws.uniform(0.9, 1.) if share < 0.9 and not cut else share + draws.uniform(0.03, 0.15)
        head = 2 * (lowest - share) - 1
        scale = draws.choice((-1, 1)) * pixels * config.size / W, pixels * config.size / H      # or mirrored
        start, end = ((draws.uniform(-1, 1), draws.uniform(-1, 1), draws.uniform(-1, 1), draws.uniform(-1, 1))
                      for _ in range(2))
        path = []
        for t in range(config.seq_length):
            share_of_way = t / max(config.seq_length - 1, 1)
            dx, dy, grown, turned = (a + (b - a) * share_of_way for a, b in zip(start, end))
            angle, factor = config.turn * turned, 1 + config.grow * grown
            cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
            x, y = place + 2 * config.motion * dx, head + config.motion * dy
            rows = ((cos * scale[0], sin * scale[0], (left + right) / W - 1),
                    (-sin * scale[1], cos * scale[1], 2 * top / H - 1))
            path.append([[a, b, centre - a * x - b * y] for a, b, centre in rows] + [[0, 0, 1]])
        return torch.tensor(path, dtype=torch.float32)

    def _sample(self, person: int, path: Tensor, size: int) -> Tensor:
        """(T, 4, size, size): colour and alpha of one person, from the picture that is about as large."""
        pixels = float(path[:, 1, :2].norm(dim=1).mean()) * self.photos.levels[0].size(-2) / size
        level = min(max(int(math.log2(max(pixels, 1))), 0), len(self.photos.levels) - 1)
        grid = frame_grid(path[None], size, torch.device('cpu'))
        return sample(self.photos.levels[level][person][None], grid, 'zeros')[0]

    def _background(self, draws: random.Random) -> Tensor:
        """(T, 3, S, S): a part of a picture, the camera still."""
        S = self.config.size
        chosen, = draws.choices(range(len(self.backgrounds)), self.backgrounds.weights.tolist())
        picture = self.backgrounds.pictures[chosen]
        h, w = picture.shape[-2:]
        side = int(min(h, w) * draws.uniform(0.55, 1))
        top, left = draws.randint(0, h - side), draws.randint(0, w - side)
        part = picture[None, :, top:top + side, left:left + side].float() / 255
        part = F.interpolate(part, (S, S), mode='bilinear', antialias=True, align_corners=False).clamp(0, 1)
        if draws.random() < 0.5:
            part = part.flip(-1)
        return part.expand(self.config.seq_length, -1, -1, -1)

    def _gamma(self, draws: random.Random, colour: Tensor) -> Tensor:
        if draws.random() >= self.config.gamma:
            return colour
        return colour.clamp(min=1e-4) ** min(max(draws.gauss(1, 0.2), 0.5), 1.5)

    def _masks(self, pha: Tensor, draws: random.Random) -> Tensor:
        if self.damage is None:
            return (pha > 0.5).float()
        masks = torch.from_numpy(damaged_masks(pha.numpy(), draws, self.damage)).float()
        gone = torch.from_numpy(removed_people(*pha.shape[:2], draws, self.damage))
        return masks * ~gone[:, :, None, None]


def visible(alphas: Tensor) -> Tensor:
    """(T, N, H, W) alpha of each, front to back -> what is left of each behind those before; of sum at most 1."""
    behind = torch.cumprod(1 - alphas, 1)
    return alphas * torch.cat([torch.ones_like(alphas[:, :1]), behind[:, :-1]], 1)


def occlusion(alphas: Tensor) -> Tensor:
    """(N,) the largest share of each person, over the frames, that others cover."""
    own = alphas.sum((2, 3))
    return (1 - visible(alphas).sum((2, 3)) / own.clamp(min=1e-6)).mul(own > 1e-6).amax(0)
