"""Draw the same moments of several videos, one video a row: how a result goes on over a clip.

    python -m documentation.figures.draw_frames in.mp4 who.mp4 anna.mp4 ben.mp4 out.jpg
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from converter.preview import tile
from evaluation.networks import as_uint8
from files import whole_file
from video.reader import VideoReader

MOMENTS = 8             # evenly spaced, the first and the last frame among them
SCALE = 1 / 2           # of the preview's tiles


def moments(path: str) -> list[np.ndarray]:
    """(H, W, 3) uint8 frames."""
    frames = [tile(as_uint8(frame.pixels)) for frame in VideoReader(path)]
    return [frames[index] for index in np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)]


def main() -> None:
    """Draw the picture."""
    *videos, out = sys.argv[1:]
    sheet = np.vstack([np.hstack(moments(path)) for path in videos])
    sheet = cv2.resize(sheet, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA)
    with whole_file(Path(out)) as partial:
        cv2.imwrite(str(partial), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 86])


if __name__ == '__main__':
    main()
