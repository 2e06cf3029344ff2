"""Folders of images and single images: reading in natural order, writing numbered frames."""

import os
import re
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from .formats import IMAGE_SUFFIXES, is_image_path
from .frame import Frame, StreamInfo


def natural_key(path: Path) -> list:
    """Sort key that counts: frame2 before frame10."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r'(\d+)', path.name)]


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """(images in natural order, everything else) in a folder, hidden files left out."""
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith('.')), key=natural_key)
    images = [p for p in entries if p.is_file() and is_image_path(p)]
    return images, [p for p in entries if p not in images]


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) RGB, uint8 or uint16: grey is repeated, alpha dropped, the EXIF orientation applied.

    Raises:
        ValueError: not a readable image of 8 or 16 bits.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise ValueError(f'{path} is not an image that OpenCV can read: damaged, cut off, or another kind of file')
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'{path} holds {image.dtype} values: expected an image of 8 or 16 bits per channel')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def resize_pixels(pixels: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """(H, W, 3) at another size (width, height) [px]; None leaves it."""
    if size is None:
        return pixels
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if size[0] < pixels.shape[1] else cv2.INTER_LINEAR)


def read_ahead(files: list[Path], num_workers: int) -> Iterator[np.ndarray]:
    """The images in order, at most two per worker in memory; without workers each is read when it is asked for."""
    if num_workers < 1:
        yield from map(read_image, files)
        return
    with ThreadPoolExecutor(num_workers) as pool:
        pending = deque()
        for file in files:
            pending.append(pool.submit(read_image, file))
            if len(pending) >= 2 * num_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class ImageSequenceReader:
    """A folder of images as frames in natural order, or one image as a clip of one frame.

    Args:
        path: the folder or the image.
        frame_rate: [1/s] nominal rate, for outputs that are videos.
        num_workers: threads that read ahead.
    Raises:
        FileNotFoundError: no such path, or no image in the folder.
    """

    damage = ''

    def __init__(self, path: str | Path, frame_rate: Fraction | float = 30, num_workers: int = 0):
        self.path, self.notes, self._num_workers = Path(path), [], num_workers
        if self.path.is_dir():
            self.files, others = list_images(self.path)
            if not self.files:
                raise FileNotFoundError(f'{path} has no images: expected files like 0001.png '
                                        f'({" ".join(sorted(IMAGE_SUFFIXES))})')
            if others:
                names = ', '.join(p.name for p in others[:3]) + (', ...' if len(others) > 3 else '')
                self.notes.append(f'{path}: ignored {len(others)} entries that are not images ({names})')
        elif self.path.is_file():
            self.files = [self.path]
        else:
            raise FileNotFoundError(f'{path}: no such file or folder')
        first = read_image(self.files[0])
        rate = Fraction(frame_rate).limit_denominator(1001)
        self._info = StreamInfo(first.shape[1], first.shape[0], rate, 1 / rate, bit_depth=first.itemsize * 8,
                                frame_count=len(self.files), is_video=False)

    @property
    def info(self) -> StreamInfo:
        return self._info

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: float = 0.0) -> Iterator[Frame]:
        """Read in order, from `start` [s] on."""
        first = int(start * self._info.frame_rate)
        for index, pixels in enumerate(read_ahead(self.files[first:], self._num_workers), first):
            if pixels.itemsize * 8 != self._info.bit_depth:     # a folder of mixed depths takes that of its first image
                deep = self._info.bit_depth > 8
                pixels = (pixels * np.uint16(257)) if deep else ((pixels + 128.) / 257).astype(np.uint8)
            yield Frame(pixels, index, index, self.files[index].name)


def encode_image(pixels: np.ndarray, suffix: str) -> bytes:
    """(H, W, 1 | 3 | 4) RGB(A) uint8 or uint16 -> the bytes of an image file."""
    if pixels.shape[2] >= 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    if pixels.itemsize == 2 and suffix not in ('.png', '.tif', '.tiff'):
        pixels = ((pixels + 128.) / 257).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix in ('.jpg', '.jpeg', '.jpe') else []
    done, data = cv2.imencode(suffix, pixels, options)
    if not done:
        raise ValueError(f'OpenCV cannot write {suffix} images of {pixels.shape[2]} channels')
    return data.tobytes()


class ImageFolderWriter:
    """Numbered images, written beside the folder and moved into it when all are there.

    Frames of an earlier run in the same folder are replaced, those beyond the new last one removed; other files stay.

    Args:
        path: the folder.
        suffix: '.png', '.jpg', '.tif' or '.webp'.
        start_number: number of the first frame. Names get four digits, or as many as the last number needs.
    """

    notes: list[str] = []

    def __init__(self, path: str | Path, suffix: str = '.png', start_number: int = 0):
        self.path, self.suffix, self.start_number, self.count = Path(path), suffix, start_number, 0
        self.partial = self.path.with_name(f'{self.path.name}.partial')
        shutil.rmtree(self.partial, ignore_errors=True)
        try:
            self.partial.mkdir(parents=True)
        except OSError as error:
            raise PermissionError(f'{self.path} cannot be written: {error.strerror}') from error

    bit_depth = 16      # deep frames stay deep; 8-bit ones come as 8-bit

    def write_frame(self, pixels: np.ndarray, pts: int = 0) -> None:
        """(H, W, 1 | 3 | 4) uint8 or uint16; the time is not kept."""
        (self.partial / f'{self.count:012d}{self.suffix}').write_bytes(encode_image(pixels, self.suffix))
        self.count += 1

    def close(self) -> None:
        """Number the frames and move them to their folder."""
        if not self.partial.is_dir():
            return
        digits = max(4, len(str(self.start_number + self.count - 1)))
        if not self.path.is_dir():
            for source, name in self._names(digits):
                source.rename(self.partial / name)
            os.replace(self.partial, self.path)
            return
        for stale in existing_frames(self.path, self.suffix):
            stale.unlink()
        for source, name in self._names(digits):
            os.replace(source, self.path / name)
        self.partial.rmdir()

    def _names(self, digits: int) -> list[tuple[Path, str]]:
        return [(self.partial / f'{i:012d}{self.suffix}', f'{self.start_number + i:0{digits}d}{self.suffix}')
                for i in range(self.count)]

    def abort(self) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)


def existing_frames(folder: Path, suffix: str) -> list[Path]:
    """Numbered images of an earlier run."""
    return [p for p in folder.iterdir() if p.suffix == suffix and p.stem.isdigit()] if folder.is_dir() else []


class ImageFileWriter:
    """One image under one name, complete or not there at all."""

    notes: list[str] = []
    bit_depth = 16

    def __init__(self, path: str | Path):
        self.path, self._data = Path(path), b''
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f'{self.path}: the folder {self.path.parent} does not exist')

    def write_frame(self, pixels: np.ndarray, pts: int = 0) -> None:
        if self._data:
            raise ValueError(f'{self.path} is one image, but the input has more than one frame: '
                             'name a folder or a video instead')
        self._data = encode_image(pixels, self.path.suffix.lower())

    def close(self) -> None:
        if not self._data:
            return
        partial = self.path.with_name(f'{self.path.stem}.partial{self.path.suffix}')
        try:
            partial.write_bytes(self._data)
            os.replace(partial, self.path)
        finally:
            partial.unlink(missing_ok=True)
        self._data = b''

    def abort(self) -> None:
        self._data = b''
