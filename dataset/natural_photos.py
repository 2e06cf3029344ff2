"""Natural photos as they are, with masks that say where people are, where none are, and where nobody knows.

The folder layout is photos/NAME.jpg (or .webp) and masks/NAME.png; a mask is 255 on people, 0 elsewhere and 128 where
it is not sure: no loss there. persons.txt and empty.txt list photos with people and those without anybody, where
unknown things are known not to be people. Compositions teach edges, these teach scenes: groups, limbs, animals, rooms.
The segmentation pass of Robust Video Matting (arXiv 2108.11515, section 5) has the same purpose.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from files.documents import read_names

from .draws import item_draws
from .files import list_pictures, read_picture
from .picture_tone import draw_tone, tone

PERSON, NOBODY, UNKNOWN = 255, 0, 128
LISTS = ('persons.txt', 'empty.txt')     # of a folder: the photos with people, and those without any
HELD_OUT_EVERY = 20
EMPTY = 0.001        # share of person pixels below which a photo counts as one without people


@dataclass(frozen=True)
class NaturalConfig:
    """Crops and the chance of each effect."""

    size: int = 256
    with_people: float = 0.8
    around_person: float = 0.75       # of those with people: the crop's centre lies on one
    smallest: float = 0.35            # crop side, share of the short side of the photo
    largest: float = 1.25             # beyond 1 the photo is mirrored at its border, where nothing is known
    stretch: float = 0.15             # of the crop's width over its height, either way
    tone: float = 0.6


class NaturalPhotos:
    """Crops of photos; the batch of (seed, index) is always the same.

    Args:
        root: the folder; or several, whose photos are joined.
        chosen: (folder, stem) -> whether to use a photo; all where None.
    Raises:
        FileNotFoundError: no photos, or one without a mask; the message has the layout.
    """

    def __init__(self, root: Path | Sequence[Path], config: NaturalConfig | None = None, seed: int = 0,
                 chosen: Callable[[Path, str], bool] | None = None):
        self.config, self.seed = NaturalConfig() if config is None else config, seed
        roots = [root] if isinstance(root, (str, Path)) else root
        self.photos, self.masks = [], []
        for folder in map(Path, roots):
            self._read(folder, chosen)
        if not self.photos:
            raise FileNotFoundError(f'no photos in {", ".join(map(str, roots))}: expected photos/NAME.jpg and '
                                    'masks/NAME.png')
        shares = np.array([(mask == PERSON).mean() for mask in self.masks])
        self.people, self.empty = np.flatnonzero(shares > EMPTY), np.flatnonzero(shares <= EMPTY)

    def __len__(self) -> int:
        return len(self.photos)

    def _read(self, folder: Path, chosen: Callable[[Path, str], bool] | None) -> None:
        masks = {Path(name).stem: name for name in list_pictures(folder / 'masks')}
        empty = set(read_list(folder, 'empty.txt'))
        for name in list_pictures(folder / 'photos'):
            stem = Path(name).stem
            if chosen is not None and not chosen(folder, stem):
                continue
            if stem not in masks:
                raise FileNotFoundError(f'{folder / "photos" / name} has no mask: expected masks/{stem}.png')
            photo = read_picture(folder / 'photos' / name, 'RGB')
            mask = read_picture(folder / 'masks' / masks[stem], 'L')
            if mask.shape != photo.shape[:2]:
                raise ValueError(f'{folder}: mask {masks[stem]} is {mask.shape[1]}x{mask.shape[0]}, its photo '
                                 f'{photo.shape[1]}x{photo.shape[0]}')
            self.photos.append(photo)
            self.masks.append(np.zeros_like(mask) if stem in empty else mask)

    def batch(self, index: int, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
        """src (B, 1, 3, S, S) in [0, 1], seg (B, 1, 1, S, S) share of person, known (B, 1, 1, S, S) 0 or 1."""
        draws = item_draws(self.seed, 0, index)
        crops = [self._crop(draws) for _ in range(batch_size)]
        src, mask, known = (np.stack(part) for part in zip(*crops))
        src = torch.from_numpy(src).permute(0, 3, 1, 2)[:, None].float() / 255
        generator = torch.Generator().manual_seed(draws.getrandbits(62))
        toned = torch.rand(batch_size, generator=generator) < self.config.tone
        src = torch.where(toned.view(-1, 1, 1, 1, 1), tone(src, draw_tone(batch_size, generator)), src)
        seg, known = (torch.from_numpy(part)[:, None, None] for part in (mask, known))
        return src, seg, known

    def _crop(self, draws: random.Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(S, S, 3) uint8, and (S, S) float32 twice: person, known."""
        config = self.config
        people = draws.random() < config.with_people
        pool = (self.people if people else self.empty) if len(self.people) and len(self.empty) else range(len(self))
        item = int(pool[draws.randrange(len(pool))])
        photo, mask = self.photos[item], self.masks[item]
        h, w = mask.shape
        short = min(h, w)
        side = short * draws.uniform(config.smallest, config.largest)
        stretch = 1 + draws.uniform(-config.stretch, config.stretch)
        x, y = draws.uniform(0, w), draws.uniform(0, h)
        if people and draws.random() < config.around_person:
            spots = np.flatnonzero(mask == PERSON)
            if len(spots):
                y, x = divmod(int(spots[draws.randrange(len(spots))]), w)
                x, y = x + draws.uniform(-0.3, 0.3) * side, y + draws.uniform(-0.3, 0.3) * side
        # as much of the photo as the crop can hold
        half = side / 2
        x = w / 2 if side >= w else min(max(x, half), w - half)
        y = h / 2 if side >= h else min(max(y, half), h - half)
        scale = config.size / side
        sx, sy = scale * stretch ** 0.5 * draws.choice((-1, 1)), scale / stretch ** 0.5
        if scale < 0.75:
            shrink = 1 / scale / 1.2
            photo = cv2.blur(photo, (max(1, round(shrink)),) * 2)
        matrix = np.float32([[sx, 0, config.size / 2 - sx * x], [0, sy, config.size / 2 - sy * y]])
        size = (config.size,) * 2
        src = cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        person = cv2.warpAffine((mask == PERSON).astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR)
        sure = cv2.warpAffine((mask != UNKNOWN).astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR)
        return src, person, (sure > 0.99).astype(np.float32)


@cache
def held_out_names(folder: Path) -> frozenset[str]:
    """Stems for validation, never trained on: every 20th of each list of a folder, from the first on."""
    names: set[str] = set()
    for listing in LISTS:
        names.update(read_list(folder, listing)[::HELD_OUT_EVERY])
    return frozenset(names)


def read_list(folder: Path, name: str) -> list[str]:
    """Stems in a list of a folder; none where the folder has no such list."""
    path = folder / name
    return read_names(path, 'list') if path.is_file() else []
