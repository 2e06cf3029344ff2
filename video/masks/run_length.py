"""COCO's run-length encoding of masks."""

import cv2
import numpy as np


def decode(segmentation: dict | list, size: tuple[int, int] | None = None) -> np.ndarray:
    """A COCO segmentation -> (h, w) bool.

    Args:
        segmentation: {'size': [h, w], 'counts': list or string}, or a list of polygons.
        size: (h, w) [px] for polygons, which have none.
    Raises:
        ValueError: what is wrong with it.
    """
    if isinstance(segmentation, list):
        if size is None:
            raise ValueError('polygons need the height and width of their picture')
        canvas = np.zeros(size, np.uint8)
        for polygon in segmentation:
            points = np.asarray(polygon, np.float64).reshape(-1, 2)
            cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], 1)
        return canvas > 0
    if not isinstance(segmentation, dict) or not {'size', 'counts'} <= segmentation.keys():
        raise ValueError("expected {'size': [height, width], 'counts': ...}")
    height, width = (int(side) for side in segmentation['size'])
    if not (0 < height <= 1 << 15 and 0 < width <= 1 << 15):
        raise ValueError(f'size [{height}, {width}] is no size of a picture')
    counts = segmentation['counts']
    counts = unpack(counts) if isinstance(counts, str | bytes) else [int(count) for count in counts]
    if sum(counts) != height * width or min(counts, default=0) < 0:
        raise ValueError(f'runs of {sum(counts)} pixels for a mask of {height}x{width}')
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T         # column by column


def unpack(text: str | bytes) -> list[int]:
    """The compressed form: five bits a character, and from the fourth on differences to the run two before."""
    data = text.encode('ascii') if isinstance(text, str) else text
    counts, position = [], 0
    while position < len(data):
        value, shift, more = 0, 0, True
        while more:
            if position >= len(data):
                raise ValueError('the run-length text ends in the middle of a number')
            byte = data[position] - 48
            value |= (byte & 0x1F) << shift
            more = bool(byte & 0x20)
            position, shift = position + 1, shift + 5
        if byte & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts
