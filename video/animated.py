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
        with Image.open(path) as image:
            self._numbers, paged = _pages(image), image.format == 'TIFF'
            first = self._read(image, self._numbers[0])
            self._durations = [self._duration(image, number, paged, Fraction(frame_rate)) for number in self._numbers]
        rate = Fraction(len(self._numbers) * 1000, sum(self._durations)).limit_denominator(1001)
        self.info = StreamInfo(first.shape[1], first.shape[0], rate, Fraction(1, 1000), bit_depth=8,
                               frame_count=len(self._numbers), is_video=False)
        self.notes.append(f'{path}: {len(self._numbers)} {"pages" if paged else "frames"}, read as a clip')

    @staticmethod
    def _duration(image: Image.Image, number: int, paged: bool, rate: Fraction) -> int:
        """[ms]"""
        if paged:
            return max(1, round(1000 / rate))
        image.seek(number)
        duration = round(image.info.get('duration') or 0)
        return duration if duration > SHORTEST else USUAL

    def _read(self, image: Image.Image, number: int) -> np.ndarray:
        try:
            image.seek(number)
            return np.ascontiguousarray(ImageOps.exif_transpose(image).convert('RGB'))
        except Exception as error:       # whatever decoders raise
            raise ValueError(f'{self.path}: picture {number} cannot be read: {error}') from error

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: float = 0.0) -> Iterator[Frame]:
        """Read in order, from `start` [s] on. What cannot be read ends the clip, and `damage` says so."""
        pts = 0
        with Image.open(self.path) as image:
            for index, (number, duration) in enumerate(zip(self._numbers, self._durations, strict=True)):
                if pts >= start * 1000:
                    try:
                        pixels = self._read(image, number)
                    except ValueError as error:
                        self.damage = f'{self.path} is damaged: read {index} of {len(self)} pictures ({error})'
                        return
                    yield Frame(pixels, index, pts, duration=duration)
                pts += duration
