"""Persons to segment: COCO panoptic, Supervisely persons. YouTubeVIS is in youtubevis.py."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from files.documents import below

from . import colour
from .affine import Affine, random_affine, random_resized_crop, to_tensor, warp
from .clips import pair_names
from .draws import SeededDataset
from .files import Damage, UnreadableFrame, annotations_of, cached, list_pictures, read_picture
from .matting import check_sizes
from .paths import Paths, exists, require

COCO_PERSON = 1
COCO_WORN = {1, 27, 32}  # person, backpack, tie: what a person wears belongs to the mask


@dataclass(frozen=True)
class SegmentationConfig:
    """One draw for all frames of an item."""

    angle: float                      # degrees; 0 angle, translate and shear: no affine
    translate: float
    shear: float
    area: tuple[float, float]         # of the resized crop, share of the picture
    ratio: tuple[float, float]
    jitter: tuple[float, float, float, float]  # brightness, contrast, saturation, hue
    grayscale: float = 0.


PICTURES = SegmentationConfig(20, 0.1, 10, (0.5, 1), (0.7, 1.3), (0.1, 0.1, 0.1, 0.1))
VIDEOS = SegmentationConfig(0, 0, 0, (0.8, 1), (0.9, 1.1), (0.3, 0.3, 0.3, 0.15), 0.05)


def augment(imgs: list[np.ndarray], segs: list[np.ndarray], size: int, config: SegmentationConfig,
            draws: random.Random) -> tuple[Tensor, Tensor]:
    """T pictures (H, W, 3) and masks (H, W) uint8 -> (T, 3, S, S) and (T, 1, S, S) in [0, 1].

    Masks are sampled nearest, also those of videos (the released code mixes both).
    """
    h, w = imgs[0].shape[:2]
    move = (random_affine(draws, (w, h), (1, 1), config.angle, config.translate, config.shear)
            if config.angle else Affine())
    matrix = random_resized_crop(draws, w, h, size, config.area, config.ratio) @ move.matrix(w, h)
    img = to_tensor([warp(frame, matrix, size) for frame in imgs])
    seg = to_tensor([warp(frame, matrix, size, nearest=True) for frame in segs])
    if draws.random() < 0.5:
        img, seg = img.flip(-1), seg.flip(-1)
    steps = [colour.adjust_brightness, colour.adjust_contrast, colour.adjust_saturation, colour.adjust_hue]
    changes = [(step, draws.uniform(-amount, amount) + (step is not colour.adjust_hue))
               for step, amount in zip(steps, config.jitter)]
    draws.shuffle(changes)
    for step, factor in changes:
        img = step(img, torch.tensor(factor).view(1, 1, 1, 1))
    if draws.random() < config.grayscale:
        img = colour.grey(img).repeat(1, 3, 1, 1)
    return img, seg


class PersonPictures(SeededDataset):
    """Single pictures with a mask. Items: img (3, S, S), seg (1, S, S), float32 in [0, 1]."""

    def __init__(self, sources: list['CocoPersons | PairedMasks'], size: int, seed: int = 0):
        super().__init__(seed)
        check_sizes(size=size)
        self.sources, self.size, self.damage = sources, size, Damage()

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(index)
        draws = self.draws(index)
        for attempt in range(len(self)):
            try:
                img, seg = self._read((index + attempt) % len(self))
                img, seg = augment([img], [seg], self.size, PICTURES, draws)
                return img[0], seg[0]
            except UnreadableFrame as error:
                self.damage.report(error)
        raise RuntimeError('no picture with a mask can be read')

    def _read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        for source in self.sources:
            if index < len(source):
                return source.read(index, self.size)
            index -= len(source)
        raise IndexError(index)


class CocoPersons:
    """COCO panoptic pictures with at least one person; the mask takes in backpacks and ties."""

    def __init__(self, imgdir: Path, anndir: Path, annfile: Path):
        self.imgdir, self.anndir = imgdir, anndir
        self.items = cached(annfile, 'coco-persons', lambda: (self._index(annfile), [annfile]))
        if not self.items:
            raise FileNotFoundError(f'{annfile} has no picture with a person (category {COCO_PERSON})')

    @staticmethod
    def _index(annfile: Path) -> list:
        """[panoptic file, ids of the segments to keep] of every picture with a person."""
        items = []
        for annotation in annotations_of(annfile, 'annotations')[0]:
            segments = annotation['segments_info']
            if any(segment['category_id'] == COCO_PERSON for segment in segments):
                worn = [segment['id'] for segment in segments if segment['category_id'] in COCO_WORN]
                items.append([below(annotation['file_name'], annfile), worn])
        return items

    def __len__(self) -> int:
        return len(self.items)

    def read(self, index: int, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) and (H, W) of 0 or 255, uint8."""
        name, ids = self.items[index]
        img = read_picture((self.imgdir / name).with_suffix('.jpg'), 'RGB', size)
        rgb = read_picture(self.anndir / name, 'RGB').astype(np.int32)
        seg = np.isin(rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2], ids)
        return img, fit_mask(seg, img)


class PairedMasks:
    """Folders of pictures and masks, paired by name. (Paired by rank, as released, one missing file shifts all.)"""

    def __init__(self, imgdir: Path, segdir: Path):
        self.imgdir, self.segdir = imgdir, segdir
        self.pairs, orphans = pair_names(list_pictures(imgdir), list_pictures(segdir))
        if any(orphans):
            raise ValueError(f'{len(orphans[0])} pictures in {imgdir} without mask, {len(orphans[1])} masks in '
                             f'{segdir} without picture, for example {(orphans[0] + orphans[1])[:3]}: complete or '
                             'remove them')
        if not self.pairs:
            raise FileNotFoundError(f'no pictures in {imgdir}: expected img/* with seg/*, paired by name')

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) and (H, W) of 0 or 255, uint8."""
        img, seg = self.pairs[index]
        img = read_picture(self.imgdir / img, 'RGB', size)
        mask = read_picture(self.segdir / seg, 'L')
        return img, fit_mask(mask >= max(1, int(mask.max()) // 2), img)  # masks of 0/1 as well as 0/255


def fit_mask(seg: np.ndarray, img: np.ndarray) -> np.ndarray:
    """Boolean (h, w) -> (H, W) of 0 or 255 at the size of `img`, nearest."""
    H, W = img.shape[:2]
    h, w = seg.shape
    rows, columns = (np.arange(H) * h + h // 2) // H, (np.arange(W) * w + w // 2) // W
    return seg[rows.clip(0, h - 1)][:, columns.clip(0, w - 1)].astype(np.uint8) * 255


def segmentation_image_dataset(paths: Paths, size: int, seed: int = 0) -> PersonPictures:
    """COCO and Supervisely persons together, whichever exists.

    Raises:
        FileNotFoundError: neither does.
    """
    sources = [kind(**require(paths, name, 'train')) for name, kind in (('coco_panoptic', CocoPersons),
                                                                        ('spd', PairedMasks))
               if exists(paths, name, 'train')]
    if not sources:
        require(paths, 'coco_panoptic', 'train')
    return PersonPictures(sources, size, seed)
