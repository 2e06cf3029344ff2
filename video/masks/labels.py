"""Pictures of labels: indexed PNGs, 16-bit PNGs, grey ones, and the colours that DAVIS gives to people."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

VOID = 255          # of 8-bit label pictures: nobody decided
MOST_PEOPLE = 64    # more labels than this in a picture are no labels
GREY_SPREAD = 24    # colours whose channels differ by less are grey


def davis_palette() -> np.ndarray:
    """(256, 3) uint8: colour of each label. The bits of a label are dealt out to the channels, highest bit first."""
    labels = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((labels >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def read_picture(path: Path) -> np.ndarray:
    """(h, w) integers of an indexed or grey picture, (h, w, 3 | 4) uint8 of a coloured one.

    Raises:
        ValueError: not a picture.
    """
    try:
        with Image.open(path) as image:
            if image.mode == 'LA':
                image = image.convert('L')
            elif image.mode not in ('P', 'L', '1', 'I', 'I;16', 'I;16B', 'RGB', 'RGBA'):
                image = image.convert('RGB')
            pixels = np.array(image)
    except FileNotFoundError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f'mask {path} is not a picture that can be read: {error}') from error
    return pixels.astype(np.int32) if pixels.dtype != np.uint8 and pixels.ndim == 2 else pixels


def read_labels(path: Path) -> np.ndarray:
    """(h, w) uint16 labels, 0 nobody: of an indexed picture its indices, of a grey one its values.

    A grey picture of 0 and 255 alone is the mask of one person, label 1. A coloured one is read by the palette.

    Raises:
        ValueError: more labels than people could be.
    """
    pixels = read_picture(path)
    if pixels.ndim == 3:
        return colours_to_labels(pixels[..., :3], davis_palette()[:MOST_PEOPLE + 1])
    values = np.unique(pixels)
    if set(values.tolist()) <= {0, 255}:
        return (pixels > 0).astype(np.uint16)
    if pixels.dtype == np.uint8:
        pixels = np.where(pixels == VOID, 0, pixels)
    if len(values) > MOST_PEOPLE + 1 or values.min() < 0:
        raise ValueError(f'mask {path} has {len(values)} different values, which are no labels of people: for soft '
                         'masks use a folder for each person')
    return pixels.astype(np.uint16)


def read_mask(path: Path) -> tuple[np.ndarray, bool]:
    """One person's (h, w) bool mask, and whether it had to be made binary.

    Of a picture with transparency its opacity counts, of others their brightness, from the middle on.
    """
    pixels = read_picture(path)
    if pixels.ndim == 3:
        transparent = pixels.shape[2] == 4 and pixels[..., 3].min() < 255
        pixels = pixels[..., 3] if transparent else pixels[..., :3].max(2)
    largest = int(pixels.max()) if pixels.size else 0
    if pixels.dtype == bool or largest <= 1:
        return pixels > 0, False
    full = 65535 if largest > 255 else 255
    if 1 < largest < 64 and len(np.unique(pixels)) == 2:
        return pixels > 0, False            # one label of an indexed picture
    binary = pixels > full // 2
    return binary, bool(np.any((pixels > 0) & (pixels < full)))


def colours_to_labels(pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (h, w) uint16: the nearest of (L, 3) colours, by index."""
    flat = pixels.reshape(-1, 3)
    colours, back = np.unique(flat.astype(np.uint32) @ (1 << 16, 1 << 8, 1), return_inverse=True)
    rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1).astype(np.int32)
    nearest = np.empty(len(rgb), np.uint16)
    for start in range(0, len(rgb), 4096):
        part = rgb[start:start + 4096]
        nearest[start:start + 4096] = np.square(part[:, None] - palette[None].astype(np.int32)).sum(2).argmin(1)
    return nearest[back.reshape(-1)].reshape(pixels.shape[:2])


def is_grey(pixels: np.ndarray) -> bool:
    """Whether (h, w, 3) uint8 has no colour worth mentioning."""
    spread = pixels.max(2).astype(np.int16) - pixels.min(2)
    return float((spread > GREY_SPREAD).mean()) < 1e-3
