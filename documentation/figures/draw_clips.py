"""Draw one frame of several clips: source, alpha and composition, and those of a reference: the picture of a card.

    python -m documentation.figures.draw_clips default RVM.pth clips/book.mkv clips/night.mkv out.jpg
"""

import sys
from itertools import islice

import numpy as np
from torch import nn

from converter.preview import label_strip, tile
from engine.matter import Matter
from model.weights import load_network
from video.background import ColorBackground
from video.reader import VideoReader
from video.render import Renderer

from .sheet import write_sheet

FRAME = 30                     # of each clip, or its last: memory is full by then
BACKGROUND = 90, 140, 110      # a colour that no wall has
SCALE = 2 / 3                  # of the preview's tiles


def matted(model: nn.Module, frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (H, W, 1) and composition of the last of (H, W, 3) uint8 frames."""
    matter = Matter(model, inference_size='auto', reset_on_cut=True)
    for frame in frames:
        prediction = matter.predict([frame])[0]
    rendered = Renderer([('alpha', 8), ('composition', 8)], ColorBackground(BACKGROUND))(prediction, frames[-1])
    return rendered['alpha', 8], rendered['composition', 8]


def main() -> None:
    """Draw the picture."""
    ours, reference, *clips, out = sys.argv[1:]
    networks = load_network(ours), load_network(reference)
    heads = 'source', 'alpha', 'composition', 'reference: alpha', 'composition'
    rows = [np.hstack([label_strip(text) for text in heads])]
    for clip in clips:
        frames = [frame.pixels for frame in islice(VideoReader(clip), FRAME)]
        pictures = frames[-1], *matted(networks[0], frames), *matted(networks[1], frames)
        rows.append(np.hstack([tile(picture) for picture in pictures]))
    write_sheet(np.vstack(rows), out, SCALE)


if __name__ == '__main__':
    main()
