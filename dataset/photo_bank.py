"""Photos with alpha, and backgrounds, as uint8 tensors on one device, to be composed there (photo_composer.py)."""

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .clips import Clip, paired_clips, rgba_clips
from .files import Damage, UnreadableFrame, list_pictures, read_picture

CANVAS = (640, 448)   # (H, W) of a stored person; 4 x 640 x 448 bytes are 1.1 MB
OBJECT_CANVAS = (384, 384)   # of a thing that is not a person
BACKGROUND = 512      # side of a stored background
MARGIN = 0.04         # around the person, share of the longer side
SOLID = 0.02          # alpha above which a row or column belongs to the person
LEVELS = 3            # full, half, quarter: sampling a small person from the full picture would alias
COPIES = re.compile(r'_x([1-9])$')   # a stem like owl_x4: a background drawn four times as often


@dataclass(frozen=True)
class PhotoBank:
    """N cut-out people.

    Attributes:
        levels: (N, 4, H / 2^k, W / 2^k) uint8 for k = 0, 1, 2: straight foreground and alpha.
        boxes: (N, 4) float32 person in canvas pixels: left, top, right, bottom.
        cut: (N,) bool, the photo's lower edge cuts the person: below it must lie the edge of the frame.
    """

    levels: tuple[Tensor, ...]
    boxes: Tensor
    cut: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    def to(self, device: torch.device | str) -> 'PhotoBank':
        """The pictures on a device; boxes stay on the CPU, where the draws are made."""
        return PhotoBank(tuple(level.to(device) for level in self.levels), self.boxes, self.cut)

    @classmethod
    def from_pictures(cls, pictures: Iterable[tuple[np.ndarray, np.ndarray]],
                      canvas: tuple[int, int] = CANVAS) -> 'PhotoBank':
        """From (fgr (H, W, 3), pha (H, W)) uint8 of any size; photos without a person are left out."""
        stored = [entry for fgr, pha in pictures if (entry := _store(fgr, pha, canvas)) is not None]
        if not stored:
            raise ValueError('no picture shows anything: every alpha is empty')
        full = torch.from_numpy(np.stack([picture for picture, _, _ in stored]))
        return cls(tuple(_pyramid(full)), torch.tensor([box for _, box, _ in stored], dtype=torch.float32),
                   torch.tensor([cut for _, _, cut in stored]))

    @classmethod
    def from_folders(cls, fgr: Path, pha: Path | None = None, canvas: tuple[int, int] = CANVAS,
                     threads: int = 4) -> 'PhotoBank':
        """From fgr/<name> with pha/<name>, or one folder of pictures with alpha."""
        clips, _ = rgba_clips(Path(fgr)) if pha is None else paired_clips(Path(fgr), Path(pha))
        damage = Damage()

        def read(clip: Clip):
            try:
                return clip.read_one(0, 2 * canvas[1])
            except UnreadableFrame as error:
                damage.report(error)
        return cls.from_pictures((pair for pair in _parallel(read, clips, threads) if pair is not None), canvas)


def load_backgrounds(folder: Path, side: int = BACKGROUND, threads: int = 4) -> Tensor:
    """(M, 3, side, side) uint8: the centre square of every picture in and below a folder, NAME_xN.jpg N times."""
    names = [name for name in list_pictures(Path(folder)) for _ in range(copies(name))]
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
    pictures = [picture for picture in _parallel(read, names, threads) if picture is not None]
    if not pictures:
        raise FileNotFoundError(f'no readable pictures in {folder}')
    return torch.stack(pictures)


def copies(name: str) -> int:
    """How often a background counts, by its name."""
    return int(match[1]) if (match := COPIES.search(Path(name).stem)) else 1


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
