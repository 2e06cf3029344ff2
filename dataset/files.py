"""Reading pictures, listing folders once, and a limit on damaged files."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from files import is_image_path, is_video_path, natural_sorted, whole_file
from files.documents import read_json

log = logging.getLogger(__name__)

ORIENTATION = 0x0112  # EXIF tag
CACHE_VARIABLE = 'MATTING_CACHE'
SETTLED = 2.0  # seconds: a folder changed more recently could change again within one tick of its clock


class UnreadableFrame(Exception):
    """A picture that cannot be used, with its path and the reason."""

    def __init__(self, path: Path, reason: str):
        super().__init__(f'{path}: {reason}')
        self.path, self.reason = path, reason


class Damage:
    """Counts unreadable files of one data set; each is reported once, and over the limit training stops.

    Args:
        limit: distinct files that are skipped before RuntimeError; counted in each loader worker.
    """

    def __init__(self, limit: int = 100):
        self.limit, self.paths = limit, {}

    def report(self, error: UnreadableFrame) -> None:
        """Log a frame that cannot be read; RuntimeError when there are too many."""
        if error.path in self.paths:
            return
        self.paths[error.path] = error.reason
        log.warning('skipped unreadable frame %d of at most %d: %s', len(self.paths), self.limit, error)
        if len(self.paths) > self.limit:
            first = '; '.join(f'{path}: {reason}' for path, reason in list(self.paths.items())[:5])
            raise RuntimeError(f'more than {self.limit} unreadable frames, run `python -m dataset.check`: {first}')


def read_picture(path: Path, mode: str, size: int | None = None) -> np.ndarray:
    """One picture, upright (EXIF), at most `size` on its shorter side.

    Args:
        mode: 'RGB' -> (H, W, 3), 'L' -> (H, W), 'RGBA' -> (H, W, 4); uint8. An alpha of 16 bits is rounded to 8.
        size: shrink so that the shorter side has `size` pixels; never enlarge.
    Raises:
        UnreadableFrame: missing, damaged, cut off, or no alpha channel where one is needed.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
            full = image.size
            if size is not None:  # JPEG decodes to 1/2, 1/4, 1/8 for a fraction of the time, never below the target
                scale = size / min(full)
                image.draft(mode if mode != 'RGBA' else 'RGB', (int(full[0] * scale) + 1, int(full[1] * scale) + 1))
            if mode == 'RGBA' and 'A' not in image.getbands() and 'transparency' not in image.info:
                raise UnreadableFrame(path, f'has no alpha channel (mode {image.mode})')
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith('I'):  # 16 bits: convert() would clip them
                image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
            pixels = np.asarray(image.convert(mode))
            target = shrunk_size(full[::-1] if turned else full, size)
            # area means where the release takes PIL's bicubic filter: a tenth of the time, and no ringing around alpha
            return pixels if image.size == target else cv2.resize(pixels, target, interpolation=cv2.INTER_AREA)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableFrame(path, str(error) or type(error).__name__) from error


def shrunk_size(size: tuple[int, int], shorter: int | None) -> tuple[int, int]:
    """(w, h) scaled so that the shorter side is at most `shorter`, the other truncated."""
    w, h = size
    if shorter is None or min(w, h) <= shorter:
        return w, h
    scale = shorter / min(w, h)
    return (shorter, int(h * scale)) if w <= h else (int(w * scale), shorter)


# ------------------------------------------------------------------------------------------------------- indexing

def list_pictures(folder: Path) -> list[str]:
    """Names of the pictures in a folder and below it, relative to it, in natural order. Cached."""
    return cached(folder, 'pictures', lambda: _walk(folder))


def list_clips(folder: Path) -> dict[str, list[str]]:
    """Clip name -> names of its frames, both in natural order; one folder a clip. Cached."""
    def build():
        clips, folders = {}, [folder]
        for name in natural_sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith('.')):
            folders.append(folder / name)
            frames = natural_sorted(e.name for e in os.scandir(folder / name) if is_picture(e.name))
            if frames:
                clips[name] = frames
        return clips, folders
    return cached(folder, 'clips', build)


def list_videos(folder: Path) -> list[str]:
    """Names of the video files in a folder, in natural order."""
    return natural_sorted(e.name for e in os.scandir(folder) if is_video_path(e.name) and not e.name.startswith('.'))


def is_picture(name: str) -> bool:
    """By suffix; hidden files are none."""
    return not name.startswith('.') and is_image_path(name)


def cached(source: Path, kind: str, build: Callable[[], tuple[object, list[Path]]]):
    """What `build` returns, remembered in a JSON file until one of the folders or files it looked at changes.

    Args:
        source: folder or file that the index is about. `build()` -> (index, every path whose mtime guards it).
    """
    name = f'{source.resolve()}:{kind}'
    file = cache_folder() / f'{source.name}-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json'
    try:
        stored = json.loads(file.read_text())
        guards = stored['guards']
        if stored['name'] == name and guards and all(_mtime(path) == mtime for path, mtime in guards.items()):
            return stored['index']
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # no cache, or one written by another version: build it
    index, watched = build()
    guards = {str(path): _mtime(path) for path in watched}
    if time.time() - max((mtime or 0 for mtime in guards.values()), default=0) / 1e9 > SETTLED:
        _write_atomically(file, json.dumps({'name': name, 'guards': guards, 'index': index}))
    return index


def cache_folder() -> Path:
    """$MATTING_CACHE, else a folder of the user's cache: data folders are often read-only."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / '.cache' / 'video_matting_index')


def _walk(folder: Path) -> tuple[list[str], list[Path]]:
    names, folders = [], [folder]         # watched even where it is missing: it may come
    for here, below, files in os.walk(folder, followlinks=True):
        below[:] = [name for name in below if not name.startswith('.')]
        folders.append(Path(here))
        names += [os.path.relpath(os.path.join(here, name), folder) for name in files if is_picture(name)]
    return natural_sorted(names), folders


def _mtime(path: Path | str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _write_atomically(file: Path, text: str) -> None:
    """Several ranks may write at once; a cache that cannot be written costs time, not the run."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as partial:
            partial.write_text(text)
    except OSError as error:
        log.warning('the index of %s is not cached: %s', file.name, error)


def annotations_of(path: Path, *names: str) -> list[list[dict]]:
    """The lists of a COCO file.

    Raises:
        ValueError: another kind of file.
    """
    content = read_json(path, 'annotations')
    lists = [content.get(name) if isinstance(content, dict) else None for name in names]
    if not all(isinstance(items, list) and all(isinstance(item, dict) for item in items) for items in lists):
        raise ValueError(f'annotations {path} must hold the lists {", ".join(names)} of a COCO file')
    return lists
