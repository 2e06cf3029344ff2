"""Folders of images and single images: reading in natural order, writing numbered frames."""

import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from files import IMAGE_SUFFIXES, WholeFile, WholeFolder, is_image_path, is_partial, natural_key

from .ffmpeg import sniff
from .frame import Frame, StreamInfo

LARGEST = 178_956_970           # [px] as Pillow's: a PNG of 100 kB may unpack to gigabytes
HEIF_SUFFIXES = {'.heic', '.heif'}
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)     # what is wrong is said by us, in one line
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """(images in natural order, everything else) in a folder, without hidden and unfinished files."""
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith('.') and not is_partial(p.name)),
                     key=natural_key)
    images = [p for p in entries if p.is_file() and is_image_path(p)]
    return images, [p for p in entries if p not in images]


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) RGB, uint8 or uint16: grey is repeated, alpha dropped, the EXIF orientation applied.

    Raises:
        FileNotFoundError, PermissionError: it cannot be read. ValueError: not a readable image of 8 or 16 bits, or one
            of more pixels than `LARGEST`.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file') from None
    except OSError as error:
        raise PermissionError(f'{path} cannot be read: {error.strerror}') from error
    if Path(path).suffix.lower() in HEIF_SUFFIXES:
        return _read_heif(path)
    _look_at_header(path)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        return _read_with_pillow(path)
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'{path} holds {image.dtype} values: expected an image of 8 or 16 bits per channel')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _look_at_header(path: Path) -> None:
    """Before anything is decoded.

    Raises:
        ValueError: a small file that would fill the memory.
    """
    try:
        with Image.open(path) as image:
            if image.size[0] * image.size[1] > LARGEST:
                raise Image.DecompressionBombError(f'{image.size[0]}x{image.size[1]}')
    except Image.DecompressionBombError as error:
        raise ValueError(f'{path} has more than {LARGEST / 1e6:.0f} million pixels: make it smaller first') from error
    except Exception:           # Pillow does not know it: OpenCV may
        return


def _read_heif(path: Path) -> np.ndarray:
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ValueError(f'{path}: reading {path.suffix} needs pillow-heif (pip install pillow-heif); or export it as '
                         'JPEG') from error
    register_heif_opener()
    _look_at_header(path)
    return _read_with_pillow(path)


def _read_with_pillow(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 of what OpenCV does not know."""
    try:
        with Image.open(path) as image:
            return np.ascontiguousarray(ImageOps.exif_transpose(image).convert('RGB'))
    except Exception as error:           # decoders of damaged files raise all kinds
        kind = sniff(path) or 'damaged, cut off, or another kind of file'
        raise ValueError(f'{path} is not an image that OpenCV or Pillow can read: {kind}') from error


def resize_pixels(pixels: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """(H, W, 3) at another size (width, height) [px]; None leaves it."""
    if size is None:
        return pixels
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if size[0] < pixels.shape[1] else cv2.INTER_LINEAR)


def read_ahead(files: list[Path], num_workers: int) -> Iterator[np.ndarray | Exception]:
    """The images in order, at most two per worker in memory; without workers each is read when it is asked for.

    In place of one that cannot be read stands the reason.
    """
    if num_workers < 1:
        yield from map(_image_or_reason, files)
        return
    with ThreadPoolExecutor(num_workers) as pool:
        pending = deque()
        for file in files:
            pending.append(pool.submit(_image_or_reason, file))
            if len(pending) >= 2 * num_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _image_or_reason(path: Path) -> np.ndarray | Exception:
    try:
        return read_image(path)
    except (ValueError, OSError) as error:
        return error


class ImageSequenceReader:
    """A folder of images as frames in natural order, or one image as a clip of one frame.

    The first must be readable; others that are not are left out, and `damage` says so.

    Args:
        path: the folder or the image.
        frame_rate: [1/s] nominal rate, for outputs that are videos.
        num_workers: threads that read ahead.
    Raises:
        FileNotFoundError: no such path, or no image in the folder.
    """

    def __init__(self, path: str | Path, frame_rate: Fraction | float = 30, num_workers: int = 0):
        self.path, self.notes, self.damage, self._num_workers = Path(path), [], '', num_workers
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
        """Of its first image."""
        return self._info

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: float = 0.0) -> Iterator[Frame]:
        """Read in order, from `start` [s] on."""
        first, lost = int(start * self._info.frame_rate), []
        self.damage = ''
        for index, pixels in enumerate(read_ahead(self.files[first:], self._num_workers), first):
            if isinstance(pixels, Exception):
                lost.append(pixels)
                self.damage = (f'{self.path} is damaged: {len(lost)} of {len(self.files)} pictures were left out '
                               f'({lost[0]})')
                continue
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
    """Numbered images, written beside the folder, which is swapped for the earlier one when all are there.

    Frames of an earlier run in the same folder are replaced; other files stay.

    Args:
        path: the folder.
        suffix: '.png', '.jpg', '.tif' or '.webp'.
        start_number: number of the first frame. Names get four digits, or as many as the last number needs.
        overwrite: replace an earlier run that is there by the time of `close`.
    """

    notes: list[str] = []

    def __init__(self, path: str | Path, suffix: str = '.png', start_number: int = 0, overwrite: bool = True):
        self.path, self.suffix, self.start_number, self.count = Path(path), suffix, start_number, 0
        self.whole = WholeFolder(self.path, overwrite, keep=lambda entry: not is_numbered(entry, suffix))
        self._finished = False

    bit_depth = 16      # deep frames stay deep; 8-bit ones come as 8-bit

    def write_frame(self, pixels: np.ndarray, pts: int = 0, duration: int | None = None) -> None:
        """(H, W, 1 | 3 | 4) uint8 or uint16; the time is not kept."""
        self._numbered(self.count).write_bytes(encode_image(pixels, self.suffix))
        self.count += 1

    def close(self) -> None:
        """Number the frames and give the folder its name."""
        if not self._finished:
            self.finish()
            self.whole.commit()

    def finish(self) -> None:
        """All but the name: the folder is complete at `whole.path`.

        Raises:
            ValueError: no frame was written.
        """
        if not self.count:
            self.abort()
            raise ValueError(f'{self.path}: no frame to write')
        digits = max(4, len(str(self.start_number + self.count - 1)))
        for i in range(self.count):
            self._numbered(i).rename(self.whole.path / f'{self.start_number + i:0{digits}d}{self.suffix}')
        self._finished = True

    def _numbered(self, index: int) -> Path:
        """Until the last number is known, and never one of the final names."""
        return self.whole.path / f'frame{index}{self.suffix}'

    def abort(self) -> None:
        """Leave nothing behind."""
        self.whole.discard()


def is_numbered(path: Path, suffix: str) -> bool:
    """Whether a run of this writer may have made it."""
    return path.suffix == suffix and path.stem.isdecimal() and len(path.stem) >= 4


def existing_frames(folder: Path, suffix: str) -> list[Path]:
    """Numbered images of an earlier run."""
    return [path for path in folder.iterdir() if is_numbered(path, suffix)] if folder.is_dir() else []


class ImageFileWriter:
    """One image under one name, complete or not there at all."""

    notes: list[str] = []
    bit_depth = 16

    def __init__(self, path: str | Path, overwrite: bool = True):
        self.path, self._written = Path(path), False
        if not cv2.haveImageWriter(f'a{self.path.suffix.lower()}'):
            raise ValueError(f'{self.path}: images of this kind can be read and not written: use .png')
        self.whole = WholeFile(self.path, overwrite)

    def write_frame(self, pixels: np.ndarray, pts: int = 0, duration: int | None = None) -> None:
        """The only frame."""
        if self._written:
            raise ValueError(f'{self.path} is one image, but the input has more than one frame: '
                             'name a folder or a video instead')
        self.whole.path.write_bytes(encode_image(pixels, self.path.suffix.lower()))
        self._written = True

    def close(self) -> None:
        """The file appears."""
        self.finish()
        self.whole.commit()

    def finish(self) -> None:
        """
        Raises:
            ValueError: no image was written.
        """
        if not self._written:
            self.abort()
            raise ValueError(f'{self.path}: no frame to write')

    def abort(self) -> None:
        """Leave nothing behind."""
        self.whole.discard()
