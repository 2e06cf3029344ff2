"""What the ending of a name says about a file, and the order in which people count."""

import re
from collections.abc import Iterable
from pathlib import Path

IMAGE_SUFFIXES = {'.png', '.jpg', '.jpeg', '.jpe', '.jfif', '.bmp', '.tif', '.tiff', '.webp', '.jp2', '.ppm', '.pgm',
                  '.pnm', '.avif', '.heic', '.heif'}
VIDEO_SUFFIXES = {'.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.m2ts', '.mts', '.mxf',
                  '.wmv', '.flv', '.3gp', '.ogv', '.y4m', '.gif', '.apng'}


def is_image_path(path: str | Path) -> bool:
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def is_video_path(path: str | Path) -> bool:
    """Whether it is read as a video; what can be written is `video.formats.CONTAINERS`."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def natural_key(name: str | Path) -> tuple[list, str]:
    """Sort key that counts: frame2 before frame10. Case decides only between names that are else equal.

    Args:
        name: text, or a path, of which only the last part counts.
    """
    text = name.name if isinstance(name, Path) else name
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r'(\d+)', text)], text


def natural_sorted(names: Iterable[str | Path]) -> list:
    """In the order of `natural_key`."""
    return sorted(names, key=natural_key)
