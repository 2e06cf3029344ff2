"""A contact sheet: a few frames of a clip, matted at several ratios, to choose one by eye."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from engine.matter import Matter
from engine.sizes import auto_ratio
from video.images import ImageFileWriter
from video.inputs import Reader
from video.render import Renderer

MOMENTS = (0.15, 0.5, 0.85)       # of the clip's length
WARM_UP = 8                       # frames that the recurrent states see before the one that is shown
TILE_WIDTH = 360                  # [px]
LABEL_HEIGHT = 26                 # [px]


def write_preview(reader: Reader, make_matter: Callable[[float], Matter], path: str | Path,
                  inference_size: int) -> None:
    """Write the sheet: a row per moment; the source, then composition over green and alpha for each ratio.

    Args:
        reader: of the clip.
        make_matter: downsample ratio -> a Matter.
        path: of the PNG.
        inference_size: [px] of the ratio in the middle; the others are 0.6 and 1.5 times it.
    """
    info = reader.info
    sizes = [round(inference_size * factor) for factor in (0.6, 1, 1.5)]
    ratios = list(dict.fromkeys(round(auto_ratio(info.width, info.height, size), 3) for size in sizes))
    windows = [_window(reader, moment) for moment in MOMENTS]
    rows = [[label_strip('source')] + [tile for ratio in ratios for tile in
            (label_strip(f'ratio {ratio:g}: {int(info.width * ratio)}x{int(info.height * ratio)}'),
             label_strip('alpha'))]]
    matters = [make_matter(ratio) for ratio in ratios]
    renderer = Renderer([('composition', 8), ('alpha', 8)])
    for frames in windows:
        row = [tile(frames[-1])]
        for matter in matters:
            matter.reset()
            for frame in frames:
                prediction = matter.predict([frame])[0]
            rendered = renderer(prediction, frames[-1])
            row += [tile(rendered['composition', 8]), tile(rendered['alpha', 8])]
        rows.append(row)
    writer = ImageFileWriter(path)
    try:
        writer.write_frame(np.vstack([np.hstack(row) for row in rows]))
        writer.close()
    finally:
        writer.abort()


def _window(reader: Reader, moment: float) -> list[np.ndarray]:
    """The frames that lead up to a moment of the clip, the last one to be shown."""
    info = reader.info
    duration = float(getattr(reader, 'duration', None) or (info.frame_count or 0) / info.frame_rate)
    start = max(0.0, duration * moment - WARM_UP / float(info.frame_rate))
    frames = [frame.pixels for frame in islice(reader.frames(start), WARM_UP)]
    return frames or [next(iter(reader)).pixels]


def tile(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) of 8 or 16 bits -> RGB of 8 bits, as wide as a tile."""
    if pixels.itemsize == 2:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.shape[2] == 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    height = round(TILE_WIDTH * pixels.shape[0] / pixels.shape[1])
    return cv2.resize(pixels, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA)


def label_strip(text: str) -> np.ndarray:
    """A line of text as a picture."""
    label = np.full((LABEL_HEIGHT, TILE_WIDTH, 3), 32, np.uint8)
    return cv2.putText(label, text, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
