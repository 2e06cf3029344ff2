"""Draw moments of a clip matted with the plate that its first second shows: source, alpha, composition.

    python -m documentation.figures.draw_plate background_default walk_in_static_camera.mp4 out.jpg
"""

import sys
from pathlib import Path

import numpy as np

from converter.preview import label_strip, tile
from engine.matter import Matter
from model.weights import load_network
from video.background import ColorBackground
from video.plate import read_plate
from video.reader import VideoReader
from video.render import Renderer

from .sheet import write_sheet

MOMENTS, COLUMNS = 12, 2       # in which somebody is there, evenly spaced; blocks side by side
PRESENT = 0.01                 # mean alpha of a frame with somebody in it
EVERY = 12                     # frames: so many are looked at
BACKGROUND = 90, 140, 110
SCALE = 1 / 2                  # of the preview's tiles


def main() -> None:
    """Draw the picture."""
    checkpoint, clip, out = sys.argv[1:]
    matter = Matter(load_network(checkpoint), background_plate=read_plate('first:1.0', Path(clip)))
    renderer = Renderer([('alpha', 8), ('composition', 8)], ColorBackground(BACKGROUND))
    found = []
    for number, frame in enumerate(VideoReader(clip)):
        if number % EVERY == 0:
            prediction = matter.predict([frame.pixels])[0]
            if prediction.small_alpha().mean() > PRESENT:
                rendered = renderer(prediction, frame.pixels)
                found.append(np.hstack([tile(picture) for picture in (frame.pixels, rendered['alpha', 8],
                                                                      rendered['composition', 8])]))
    chosen = [found[index] for index in np.linspace(0, len(found) - 1, MOMENTS).round().astype(int)]
    head = np.hstack([label_strip(text) for text in ('source', 'alpha', 'composition')])
    blocks = [np.vstack([head, *chosen[start::COLUMNS]]) for start in range(COLUMNS)]
    write_sheet(np.hstack(blocks), out, SCALE)


if __name__ == '__main__':
    main()
