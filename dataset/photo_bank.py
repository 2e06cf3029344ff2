"""Photos with alpha, and backgrounds, as uint8 tensors on one device, to be composed there (photo_composer.py)."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from files.documents import read_rows

from .clips import Clip, paired_clips, rgba_clips
from .files import Damage, UnreadableFrame, list_pictures, read_picture

CANVAS = (640, 448)   # (H, W) of a stored person; 4 x 640 x 448 bytes are 1.1 MB
OBJECT_CANVAS = (384, 384)   # of a thing that is not a person
BACKGROUND = 512      # side of a stored background
MARGIN = 0.04         # around the person, share of the longer side
SOLID = 0.02          # alpha above which a row or column belongs to the person
LEVELS = 3            # full, half, quarter: sampling a small person from the full picture would alias
WEIGHTS = 'weights.csv'   # beside pictures: how often each is drawn


@dataclass(frozen=True)
class PhotoBank:
    """N cut-out people.

    Attributes:
        levels: (N, 4, H / 2^k, W / 2^k) uint8 for k = 0, 1, 2: straight foreground and alpha.
        boxes: (N, 4) float32 person in canvas pixels: left, top, right, bottom.
        cut: (N,) bool, the photo's lower edge cuts the person: below it must lie the edge of the frame.
        weights: (N,) float32, how often each is drawn.
    """

    levels: tuple[Tensor, ...]
    boxes: Tensor
    cut: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    def to(self, device: torch.device | str) -> 'PhotoBank':
        """The pictures on a device; boxes stay on the CPU, where the draws are made."""
        return PhotoBank(tuple(level.to(device) for level in self.levels), self.boxes, self.cut,
                         self.weights)

    @classmethod
    def from_pictures(cls, pictures: Iterable[tuple[np.ndarray, np.ndarray]], canvas: tuple[int, int] = CANVAS,
                      weights: Iterable[float] | None = None) -> 'PhotoBank':
        """From (fgr (H, W, 3), pha (H, W)) uint8 of any size; photos without a person are left out."""
        stored, kept = [], []
        for (fgr, pha), weight in zip(pictures, repeat(1.) if weights is None else weights):
            if (entry := _store(fgr, pha, canvas)) is not None:
                stored.append(entry)
                kept.append(weight)
        if not stored:
            raise ValueError('no picture shows anything: every alpha is empty')
        full = torch.from_numpy(np.stack([picture for picture, _, _ in stored]))
        return cls(tuple(_pyramid(full)), torch.tensor([box for _, box, _ in stored], dtype=torch.float32),
                   torch.tensor([cut for _, _, cut in stored]), torch.tensor(kept))

    @classmethod
    def from_folders(cls, fgr: Path, pha: Path | None = None, canvas: tuple[int, int] = CANVAS,
                     threads: int = 4) -> 'PhotoBank':
        """From fgr/<name> with pha/<name>, or one folder of pictures with alpha; `read_weights` of the first folder."""
        clips, _ = rgba_clips(Path(fgr)) if pha is None else paired_clips(Path(fgr), Path(pha))
        damage = Damage()

        def read(clip: Clip):
            try:
                return clip.read_one(0, 2 * canvas[1])
            except UnreadableFrame as error:
                damage.report(error)
        weights = read_weights(Path(fgr))
        pairs = zip(_parallel(read, clips, threads), (weights.get(Path(clip.name).stem, 1.) for clip in clips))
        readable = [(pair, weight) for pair, weight in pairs if pair is not None]
        check_mattes([alpha for (_, alpha), _ in readable], Path(pha or fgr))
        return cls.from_pictures((pair for pair, _ in readable), canvas, [weight for _, weight in readable])


def check_mattes(alphas: list[np.ndarray], folder: Path) -> None:
    """
    Raises:
        ValueError: masks of 0 and 1, or masks that show everything but the people.
    """
    if alphas and 0 < max(alpha.max() for alpha in alphas) <= 1:
        raise ValueError(f'{folder}: the values of alpha are 0 and 1, expected 0 to 255: multiply them by 255')
    around = [alpha for alpha in alphas if alpha[0].mean() > 128 and alpha[:, [0, -1]].mean() > 128 and
              alpha[len(alpha) // 4:-len(alpha) // 4, alpha.shape[1] // 4:-alpha.shape[1] // 4].mean() < 128]
    if len(around) > len(alphas) / 2:
        raise ValueError(f'{folder}: in {len(around)} of {len(alphas)} pictures alpha shows what is around the middle: '
                         'are the masks inverted? White must be the person')


@dataclass(frozen=True)
class Backgrounds:
    """M pictures without people: (M, 3, side, side) uint8, and how often each is drawn (M,)."""

    pictures: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    def to(self, device: torch.device | str) -> 'Backgrounds':
        """The pictures on a device; the draws are made on the CPU."""
        return Backgrounds(self.pictures.to(device), self.weights)


def read_weights(folder: Path) -> dict[str, float]:
    """How often pictures of a folder are drawn, by stem: the rows `name,weight` of its weights.csv; others count 1.

    Raises:
        ValueError: a row is not a name and a number of at least 0; the message names the line.
    """
    path, weights = folder / WEIGHTS, {}
    if not path.is_file():
        return weights
    for number, row in enumerate(read_rows(path, 'list'), 1):
        name = ''
        try:
            name, weight = row[0], float(row[1])
        except (IndexError, ValueError):
            weight = -1.
        if len(row) != 2 or name != Path(name).name or not 0 <= weight < float('inf'):
            raise ValueError(f'{path}, line {number}: expected name,weight with a weight of at least 0, got '
                             f'{",".join(row)[:80]!r}')
        weights[name] = weight
    return weights


def load_backgrounds(folder: Path, side: int = BACKGROUND, threads: int = 4) -> Backgrounds:
    """The centre square of every picture in and below a folder; `read_weights` of the folder."""
    names = list_pictures(Path(folder))
    damage = Damage()

    def read(name: str):
        try:
            picture = read_picture(Path(folder) / name, 'RGB', side)
        except UnreadableFrame as error:
            return damage.report(error)
        h, w = picture.shape[:2]
        s = min(h, w)
        picture = picture[(h - s) // 2:(h + s) // 2, (w - s) // 2:(w + s) // 2]
        return torch.from_numpy(cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)).permute(2, 0, 1)
    weights = read_weights(Path(folder))
    pairs = zip(_parallel(read, names, threads), (weights.get(Path(name).stem, 1.) for name in names))
    pictures = [(picture, weight) for picture, weight in pairs if picture is not None]
    if not pictures:
        raise FileNotFoundError(f'no readable pictures in {folder}')
    return Backgrounds(torch.stack([picture for picture, _ in pictures]),
                       torch.tensor([weight for _, weight in pictures]))


def _store(fgr: np.ndarray, pha: np.ndarray, canvas: tuple[int, int]) -> tuple[np.ndarray, list[float], bool] | None:
    """The person cut out with a margin and scaled into the canvas: (4, H, W) uint8, its box, and whether it is cut."""
    rows, columns = (np.flatnonzero(pha.max(axis) > 255 * SOLID) for axis in (1, 0))
    if not len(rows):
        return None
    (top, bottom), (left, right) = (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)
    margin = round(MARGIN * max(bottom - top, right - left))
    y0, y1 = max(top - margin, 0), min(bottom + margin, len(pha))
    x0, x1 = max(left - margin, 0), min(right + margin, pha.shape[1])
    cut = bottom >= len(pha) - 1
    H, W = canvas
    scale = min(H / (y1 - y0), W / (x1 - x0))
    h, w = min(H, round((y1 - y0) * scale)), min(W, round((x1 - x0) * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = np.zeros((H, W, 4), np.uint8)
    dx = (W - w) // 2
    # colours run on beside the person, so that filtering never mixes in black; alpha ends at the photo's edge
    colours = cv2.resize(fgr[y0:y1, x0:x1], (w, h), interpolation=method)
    picture[..., :3] = cv2.copyMakeBorder(colours, 0, H - h, dx, W - w - dx, cv2.BORDER_REPLICATE)
    picture[:h, dx:dx + w, 3] = cv2.resize(pha[y0:y1, x0:x1], (w, h), interpolation=method)
    box = [dx + (left - x0) * scale, (top - y0) * scale, dx + (right - x0) * scale, (bottom - y0) * scale]
    return picture.transpose(2, 0, 1), box, bool(cut)


def _pyramid(full: Tensor, chunk: int = 64) -> list[Tensor]:
    levels = [full]
    for _ in range(LEVELS - 1):
        halves = [F.avg_pool2d(part.float(), 2).round().to(torch.uint8) for part in levels[-1].split(chunk)]
        levels.append(torch.cat(halves))
    return levels


def _parallel(read: Callable, items: Iterable, threads: int) -> Iterable:
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(read, items)
