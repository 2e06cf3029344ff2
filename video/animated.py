"""Pictures that move or have pages: animated WebP, AVIF and PNG, several pages of a TIFF."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .frame import Frame, StreamInfo

SUFFIXES = {'.webp', '.avif', '.png', '.apng', '.tif', '.tiff'}
SHORTEST, USUAL = 10, 100        # [ms] browsers show what claims to be shorter for a tenth of a second
THUMBNAIL = 254, 1               # tag and bit of a TIFF page that is a small version of another


def is_animated(path: str | Path) -> bool:
    """Whether an image file holds more than one picture. Files that cannot be read hold none."""
    if Path(path).suffix.lower() not in SUFFIXES:
        return False
    try:
        with Image.open(path) as image:
            return len(_pages(image)) > 1
    except Exception:           # whatever decoders raise: who reads it as one picture is told then
        return False


def _pages(image: Image.Image) -> list[int]:
    """Numbers of the pictures, without the thumbnails of a TIFF."""
    count = getattr(image, 'n_frames', 1)
    if count == 1 or image.format != 'TIFF':
        return list(range(count))
    pages = []
    for number in range(count):
        image.seek(number)
        if not image.tag_v2.get(THUMBNAIL[0], 0) & THUMBNAIL[1]:
            pages.append(number)
    return pages


class AnimatedImageReader:
    """The pictures of one file as frames, with the times that it gives them; pages of a TIFF at `frame_rate`.

    Args:
        path: for which `is_animated`.
        frame_rate: [1/s] of pages.
    Raises:
        ValueError: the first picture cannot be read.
    """

    def __init__(self, path: str | Path, frame_rate: Fraction | float = 30):
        self.path, self.notes, self.damage = Path(path), [], ''
        self._rate = Fraction(frame_rate)
        with Image.open(path) as image:
            self._numbers, self._paged = _pages(image), image.format == 'TIFF'
            first, duration = self._read(image, self._numbers[0])
        rate = self._rate if self._paged else Fraction(1000, duration)
        self.info = StreamInfo(first.shape[1], first.shape[0], rate.limit_denominator(1001), Fraction(1, 1000),
                               frame_count=len(self), is_video=False)
        self.notes.append(f'{path}: {len(self)} {"pages" if self._paged else "frames"}, read as a clip')

    def _read(self, image: Image.Image, number: int) -> tuple[np.ndarray, int]:
        """(H, W, 3) uint8, and how long it is shown [ms], which WebP says only when it is decoded."""
        try:
            image.seek(number)
            pixels = np.ascontiguousarray(ImageOps.exif_transpose(image).convert('RGB'))
        except Exception as error:       # whatever decoders raise
            raise ValueError(f'{self.path}: picture {number} cannot be read: {error}') from error
        if self._paged:
            return pixels, max(1, round(1000 / self._rate))
        duration = round(image.info.get('duration') or 0)
        return pixels, duration if duration > SHORTEST else USUAL

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: float = 0.0) -> Iterator[Frame]:
        """Read in order, from `start` [s] on. What cannot be read ends the clip, and `damage` says so."""
        pts, self.damage = 0, ''
        with Image.open(self.path) as image:
            for index, number in enumerate(self._numbers):
                try:
                    pixels, duration = self._read(image, number)
                except ValueError as error:
                    self.damage = f'{self.path} is damaged: read {index} of {len(self)} pictures ({error})'
                    return
                if pts >= start * 1000:
                    yield Frame(pixels, index, pts, duration=duration)
                pts += duration
