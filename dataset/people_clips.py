"""Training clips from sets with an alpha of each person: cropped, turned, darkened; masks are made from the result."""

import random
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from .affine import random_affine, warp
from .draws import SeededDataset
from .files import Damage, UnreadableFrame
from .instances import InstanceClip, large_people
from .mask_damage import MaskDamageConfig, damaged_masks, removed_people


@dataclass(frozen=True)
class ClipConfig:
    """Size and probability of each effect."""

    crop: int = 512              # [px] side of the square
    frames: int = 1
    step: int = 5                # frames of a clip come from at most so many times its length
    short: int = 576             # [px] shorter side that pictures are read at
    people: int = 10
    around: float = 0.9          # crop around a person, else the whole picture
    flip: float = 0.5
    gamma: float = 0.5
    noise: float = 0.3
    compressed: float = 0.1
    affine: float = 0.1
    reverse: float = 0.5


class PeopleClips(SeededDataset):
    """src (T, 3, S, S), pha and msk (T, people, S, S) float; slots that nobody has are zeros, at random places.

    Args:
        clips: of `instances.people_set`.
        slots: of the network.
    """

    def __init__(self, clips: list[InstanceClip], config: ClipConfig | None = None, slots: int = 10, seed: int = 0,
                 damage: MaskDamageConfig | None = None):
        super().__init__(seed)
        self.clips, self.slots = clips, slots
        self.config, self.damage = config or ClipConfig(), damage or MaskDamageConfig()
        self.unreadable = Damage()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        draws = self.draws(index)
        for attempt in range(len(self.clips)):
            clip = self.clips[(index + attempt) % len(self.clips)]
            try:
                src, pha, _ = clip.read(self._frames(draws, len(clip)), self.config.short)
                break
            except UnreadableFrame as error:
                self.unreadable.report(error)
        else:
            raise UnreadableFrame(clip.frames[0], 'no clip of the set can be read')
        kept = np.flatnonzero(large_people(pha))
        kept = sorted(draws.sample(kept.tolist(), min(len(kept), self.config.people, self.slots)))
        src, pha = self._geometry(draws, src, pha[:, kept])
        src = self._colour(draws, src)
        pha = np.where(pha < 5, 0, pha).astype(np.float32) / 255
        msk = damaged_masks(pha, draws, self.damage).astype(np.float32) if pha.shape[1] else pha
        if pha.shape[1]:
            msk *= ~removed_people(*pha.shape[:2], draws, self.damage)[:, :, None, None]
        places = draws.sample(range(self.slots), pha.shape[1])
        out = np.zeros((2, len(src), self.slots, *pha.shape[2:]), np.float32)
        out[0][:, places], out[1][:, places] = pha, msk
        return torch.from_numpy(src).permute(0, 3, 1, 2).float() / 255, *torch.from_numpy(out)

    def _frames(self, draws: random.Random, length: int) -> list[int]:
        """Chosen without replacement from a stretch of random length, in order or reversed."""
        T = self.config.frames
        if length <= T:
            return [min(t, length - 1) for t in range(T)]
        span = min(length, T * draws.randint(1, self.config.step))
        first = draws.randint(0, length - span)
        chosen = sorted(draws.sample(range(first, first + span), T))
        return chosen[::-1] if T > 1 and draws.random() < self.config.reverse else chosen

    def _geometry(self, draws: random.Random, src: np.ndarray, pha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A square around somebody, or everything; the same for frames and alphas."""
        S, (h, w) = self.config.crop, src.shape[1:3]
        seen = [n for n in range(pha.shape[1]) if (pha[:, n] > 0).any()]
        if draws.random() < self.config.around and seen and min(h, w) >= S:
            ys, xs = np.nonzero((pha[:, draws.choice(seen)] > 0).any(0))
            at = draws.randrange(len(ys))
            top, left = (int(np.clip(centre - draws.randint(S // 4, 3 * S // 4), 0, side - S))
                         for centre, side in ((ys[at], h), (xs[at], w)))
            scale = 1.
        else:
            top = left = 0
            scale = S / max(h, w)
        matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale], [0, 0, 1]])
        if draws.random() < self.config.flip:
            matrix = np.array([[-1, 0, S], [0, 1, 0], [0, 0, 1.]]) @ matrix
        if draws.random() < self.config.affine:
            matrix = random_affine(draws, (S, S), (0.95, 1.05), 10, 0., 5).matrix(S, S) @ matrix
        T, N = pha.shape[:2]
        pictures = np.stack([warp(frame, matrix, S) for frame in src])
        alphas = np.stack([warp(frame, matrix, S) for frame in pha.reshape(T * N, h, w)]) if N \
            else np.zeros((0, S, S), np.uint8)
        return pictures, alphas.reshape(T, N, S, S)

    def _colour(self, draws: random.Random, src: np.ndarray) -> np.ndarray:
        config = self.config
        if draws.random() < config.gamma:
            gamma = min(max(draws.gauss(1, 0.2), 0.5), 1.5)
            src = np.uint8((np.arange(256) / 255) ** gamma * 255 + 0.5)[src]
        if draws.random() < config.noise:
            noise = np.random.default_rng(draws.getrandbits(63)).normal(0, draws.uniform(0, 0.03) * 255, src.shape)
            src = np.uint8(np.clip(src + noise, 0, 255))
        if draws.random() < config.compressed:
            quality = draws.randint(20, 80)
            src = np.stack([cv2.imdecode(cv2.imencode('.jpg', frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
                            for frame in src])
        return src
