"""Draw the same moments of several videos, one video a row: how a result goes on over a clip.

    python -m documentation.figures.draw_frames in.mp4 who.mp4 anna.mp4 ben.mp4 out.jpg
"""

import sys

import numpy as np

from converter.preview import tile
from evaluation.networks import as_uint8
from video.reader import VideoReader

from .sheet import write_sheet

MOMENTS = 8             # evenly spaced, the first and the last frame among them
SCALE = 1 / 2           # of the preview's tiles


def moments(path: str) -> list[np.ndarray]:
    """(H, W, 3) uint8 frames."""
    frames = [tile(as_uint8(frame.pixels)) for frame in VideoReader(path)]
    return [frames[index] for index in np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)]


def main() -> None:
    """Draw the picture."""
    *videos, out = sys.argv[1:]
    write_sheet(np.vstack([np.hstack(moments(path)) for path in videos]), out, SCALE)


if __name__ == '__main__':
    main()
