"""What `--background-plate` means: a picture, a video of the empty scene, or the first seconds of the clip itself.

Of moving pictures the median over time is taken: noise goes, and so does whoever walks through less than half of it.
"""

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import numpy as np

from files import VIDEO_SUFFIXES, is_image_path

from .frame import Frame
from .images import ImageSequenceReader, read_image
from .reader import VideoReader

FIRST = 'first:'
MEDIAN_FRAMES = 16          # at most so many, evenly taken: more noise is not worth more memory
BAND = 1 << 22              # [values] computed at a time


class PlateError(ValueError):
    """A plate that cannot be used; the message says what to give."""


def check_plate(plate: str | Path) -> None:
    """Refuse what cannot be a plate, before slow work.

    Raises:
        PlateError: first: without a number of seconds; a folder of neither pictures nor videos; FileNotFoundError.
    """
    if str(plate).startswith(FIRST):
        seconds_of(plate)
    elif not Path(plate).exists():
        raise FileNotFoundError(f'background plate {plate}: no such file; give a picture of the empty scene, a video '
                                'of it, or first:1.0 for the first second of the clip itself')


def seconds_of(plate: str | Path) -> float:
    """The number in first:SECONDS."""
    try:
        seconds = float(str(plate).removeprefix(FIRST))
    except ValueError:
        seconds = 0.
    if not 0 < seconds <= 3600:
        raise PlateError(f'background plate must be first: and seconds above 0, such as first:1.0, got {plate}')
    return seconds


def plate_for(plate: str | Path, clip: Path) -> str | Path:
    """The plate of one clip: in a folder of plates the one of the same name, whatever the suffix.

    Raises:
        PlateError: the folder has none, or several.
    """
    folder = Path(plate)
    if str(plate).startswith(FIRST) or not folder.is_dir():
        return plate
    stem = clip.resolve().name if clip.is_dir() else clip.stem
    found = [path for path in sorted(folder.iterdir())
             if path.stem == stem and (is_image_path(path) or path.suffix.lower() in VIDEO_SUFFIXES)]
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise PlateError(f'background plate {plate} is a folder: it must have one picture or video called {stem} with '
                         f'any suffix, has {names}')
    return found[0]


def read_plate(plate: str | Path | np.ndarray, clip: Path | None = None) -> np.ndarray:
    """The plate in its own size.

    Args:
        plate: a picture, a video, first:SECONDS, or pixels (H, W, 3) uint8 or uint16, which are passed on.
        clip: what first:SECONDS is the beginning of; also names the plate in a folder of plates.
    Returns:
        (H, W, 3) RGB, uint8 or uint16.
    Raises:
        PlateError, FileNotFoundError, ValueError: it cannot be read; one line.
    """
    if isinstance(plate, np.ndarray):
        if plate.ndim != 3 or plate.shape[2] != 3 or plate.dtype not in (np.uint8, np.uint16):
            raise PlateError(f'background plate must be (H, W, 3) uint8 or uint16, got {plate.dtype} '
                             f'{list(plate.shape)}')
        return plate
    check_plate(plate)
    plate = plate_for(plate, clip) if clip is not None else plate
    if str(plate).startswith(FIRST):
        if clip is None:
            raise PlateError(f'background plate {plate} needs a clip: here is none, give a picture')
        return median_of(first_frames(clip, seconds_of(plate)))
    path = Path(plate)
    if path.is_dir():
        raise PlateError(f'background plate {plate} is a folder: give one picture of the empty scene, or a video of it')
    return read_image(path) if is_image_path(path) else median_of(VideoReader(path))


def first_frames(clip: Path, seconds: float) -> Iterable[Frame]:
    reader = ImageSequenceReader(clip) if clip.is_dir() or is_image_path(clip) else VideoReader(clip)
    base, start = reader.info.time_base, None

    def early(frame: Frame) -> bool:
        nonlocal start
        start = frame.pts if start is None else start
        return (frame.pts - start) * base < seconds
    return takewhile(early, reader)


def plate_files(plate: str | Path | None) -> str | Path | None:
    """The file or folder that a plate is read from, for checks that no output replaces it."""
    return None if plate is None or str(plate).startswith(FIRST) else plate


def median_of(frames: Iterable[Frame], count: int = MEDIAN_FRAMES) -> np.ndarray:
    """Median over time of at most `count` frames, evenly taken from however many there are.

    Raises:
        PlateError: no frame; or the size changes.
    """
    kept: list[np.ndarray] = []
    stride = 1
    for index, frame in enumerate(frames):
        if index % stride:
            continue
        if kept and frame.pixels.shape != kept[0].shape:
            raise PlateError('background plate: the size of the video changes; give a picture')
        kept.append(frame.pixels)
        if len(kept) == count and count > 1:
            kept, stride = kept[::2], stride * 2
    if not kept:
        raise PlateError('background plate: the video has no frame')
    return median(kept)


def median(pictures: list[np.ndarray]) -> np.ndarray:
    """(H, W, 3) integers of one size -> their median, in bands of rows."""
    out = np.empty_like(pictures[0])
    H, W = out.shape[:2]
    rows = max(1, BAND // (W * 3 * len(pictures)))
    for top in range(0, H, rows):
        band = np.stack([picture[top:top + rows] for picture in pictures])
        out[top:top + rows] = np.rint(np.median(band, axis=0)).astype(out.dtype)
    return out
