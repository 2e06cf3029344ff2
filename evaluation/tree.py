"""Test sets and predictions on disk: <root>/<set>/<clip>/{pha,fgr,com}/<frame>.png or .jpg."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from files import is_image_path, is_partial, natural_key

LAYOUT = '<set>/<clip>/pha/<frame>.png (or .jpg), and fgr beside pha'


@dataclass(frozen=True)
class Clip:
    """One clip of a tree. `folder` holds pha, fgr, com."""

    set_name: str
    name: str
    folder: Path

    def __str__(self) -> str:
        return f'{self.set_name}/{self.name}'

    def frames(self, kind: str) -> dict[str, Path]:
        """kind 'pha', 'fgr' or 'com' -> frame name without suffix -> file, in order; empty without the folder."""
        return list_frames(self.folder / kind)

    def fingerprint(self, *kinds: str) -> str:
        """Changes when a file of these kinds is added, removed or written again; contents are not read."""
        digest = hashlib.sha256()
        for kind in kinds:
            folder = self.folder / kind
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else ():
                stat = entry.stat(follow_symlinks=os.path.exists(entry.path))                # a dead link has its own
                digest.update(f'{kind}/{entry.name} {stat.st_size} {stat.st_mtime_ns}\n'.encode())
        return digest.hexdigest()


def list_frames(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name without suffix, numbers in numeric order (9 before 10).

    Raises:
        ValueError: two files of one name, which only differ in the suffix.
    """
    frames: dict[str, Path] = {}
    if not folder.is_dir():
        return frames
    for path in sorted(folder.iterdir(), key=natural_key):
        if is_image_path(path) and not path.name.startswith('.') and not is_partial(path.name):
            if path.stem in frames:
                raise ValueError(f'{folder}: {frames[path.stem].name} and {path.name} are the same frame: delete one')
            frames[path.stem] = path
    return frames


def find_clips(root: Path) -> list[Clip]:
    """Clips of a tree, sorted.

    Raises:
        FileNotFoundError: no folder, or nothing in it that looks like a clip; the message shows the layout.
    """
    if not root.is_dir():
        raise FileNotFoundError(f'{root}: no such folder; expected {LAYOUT}')
    folders = sorted(root.glob('*/*'), key=lambda path: natural_key(str(path)))
    clips = [Clip(path.parent.name, path.name, path) for path in folders
             if not is_partial(path) and any((path / kind).is_dir() for kind in ('pha', 'fgr', 'com'))]
    if not clips:
        raise FileNotFoundError(f'no clips in {root}: expected {LAYOUT}')
    return clips


def read_alpha(path: Path) -> np.ndarray:
    """(H, W) uint8 or uint16; colour files are turned to grey."""
    return _read(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)


def read_colour(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 or uint16 in OpenCV's order B, G, R: metrics do not mind, everything else converts."""
    return _read(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    return cv2.cvtColor(_read(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _read(path: Path, flags: int) -> np.ndarray:
    try:
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, flags) if data.size else None
    except (OSError, cv2.error) as error:                            # a dead link, no permission, an absurd header
        raise ValueError(f'cannot read {path}: {error}') from error
    if image is None:
        raise ValueError(f'cannot read {path}: damaged, or not an image')
    return image


def write_image(path: Path, image: np.ndarray, quality: int = 95) -> None:
    """(H, W) or (H, W, 3) RGB uint8 to .png (fast compression) or .jpg."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == '.jpg' else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if not cv2.imwrite(str(path), image, options):
        raise OSError(f'cannot write {path}')
