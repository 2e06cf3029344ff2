"""A short clip of a real person: the astronaut picture that scikit-image ships, swaying over a scene that scrolls, then
as close as a webcam on a laptop sees a face.

    python demo/sample_clip.py clip.mp4

The picture (NASA, Eileen Collins) is in the public domain. Its outline was drawn by hand here, generously, so that
what a network cuts out can be told from what it was given.
"""

import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))      # run as a file, its own folder stands there

from files import whole_file

SIZE = 854, 480                  # [px]
RATE, SECONDS = 25, 3            # [1/s], [s]
CLOSE_FROM = 1.6                 # [s] where the close-up begins
FACE = 226, 100                  # [px] middle of the face in the picture
SHADES = np.random.default_rng(3).uniform(-1, 1, (8, 97))      # of the books, by shelf and column
TONE = 440, 48000                # [Hz], samples per second
OUTLINE = [(170, 45), (190, 28), (215, 17), (245, 16), (275, 28), (293, 50), (302, 80), (298, 105), (280, 128),
           (268, 140), (262, 165), (258, 178), (280, 190), (298, 215), (305, 235), (325, 245), (343, 265), (350, 290),
           (355, 310), (362, 340), (375, 348), (400, 345), (430, 352), (465, 375), (488, 410), (495, 440), (497, 456),
           (510, 470), (511, 511), (25, 511), (24, 470), (20, 420), (25, 370), (28, 330), (40, 290), (50, 260),
           (70, 238), (105, 215), (115, 205), (113, 190), (122, 180), (132, 162), (150, 152), (184, 148), (184, 135),
           (172, 125), (158, 105), (154, 85), (155, 65)]


def read_astronaut() -> tuple[np.ndarray, np.ndarray]:
    """(512, 512, 3) uint8 RGB and a (512, 512, 1) float32 matte in [0, 1]."""
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise RuntimeError('the demo clip needs scikit-image: pip install -r requirements/demo.txt') from error
    matte = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(matte, [np.int32(OUTLINE)], 255, cv2.LINE_AA)
    return astronaut(), cv2.GaussianBlur(matte, (0, 0), 2)[..., None].astype(np.float32) / 255


def scene(time: float) -> np.ndarray:
    """(H, W, 3) float32 0-255: a wall of shelves that scrolls sideways, with light that wanders over it."""
    width, height = SIZE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = x + 60 * time
    shelf, column = np.floor(y / 96), np.floor(x / 27 + np.floor(y / 96) * 2.3)
    shade = SHADES[shelf.astype(int) % len(SHADES), column.astype(int) % SHADES.shape[1]]
    books = np.stack([120 + 70 * shade, 110 + 45 * np.sin(column), 100 + 50 * np.cos(column * 1.7)], axis=-1)
    books[(y % 96) < 8 + 20 * np.abs(shade)] = (70, 52, 40)
    light = 0.75 + 0.25 * np.cos((x - 60 * time) / width * 3 - time) * np.cos(y / height * 2)
    return cv2.GaussianBlur(np.clip(books * light[..., None], 0, 255), (0, 0), 1.5)


def frame_at(time: float, person: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8."""
    width, height = SIZE
    if time < CLOSE_FROM:
        scale = height / 512 * (0.95 + 0.02 * np.sin(1.7 * time))
        left, top = (width - 512 * scale) / 2 + 60 * np.sin(2.1 * time), height - 511 * scale
    else:
        scale = 2.6 + 0.08 * np.sin(1.7 * time)
        left, top = width / 2 - FACE[0] * scale + 30 * np.sin(2.1 * time), height / 2 - FACE[1] * scale
    place = np.float32([[scale, 0, left], [0, scale, top]])
    foreground = cv2.warpAffine(person.astype(np.float32), place, SIZE, flags=cv2.INTER_AREA)
    alpha = cv2.warpAffine(matte, place, SIZE)[..., None]
    return (foreground * alpha + scene(time) * (1 - alpha)).round().astype(np.uint8)


def sample_frames(count: int) -> list[np.ndarray]:
    """The first frames of the clip before a codec has seen them, (H, W, 3) uint8."""
    person, matte = read_astronaut()
    return [frame_at(index / RATE, person, matte) for index in range(count)]


def write_sample_clip(path: Path) -> None:
    """Write the clip, with a tone as its sound."""
    person, matte = read_astronaut()
    frequency, sampling_rate = TONE
    with whole_file(path) as partial, av.open(f'file:{partial}', 'w') as container:
        stream = container.add_stream('libx264', rate=RATE, options={'crf': '16', 'preset': 'veryfast'})
        (stream.width, stream.height), stream.pix_fmt = SIZE, 'yuv420p'
        sound = container.add_stream('aac', rate=sampling_rate)
        sound.layout = 'mono'
        for index in range(RATE * SECONDS):
            frame = av.VideoFrame.from_ndarray(frame_at(index / RATE, person, matte), 'rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        samples = 0.1 * np.sin(2 * np.pi * frequency * np.arange(sampling_rate * SECONDS) / sampling_rate)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), 'fltp', 'mono')
        frame.sample_rate, frame.pts, frame.time_base = sampling_rate, 0, Fraction(1, sampling_rate)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit('usage: python demo/sample_clip.py CLIP.mp4')
    if Path(sys.argv[1]).exists():
        sys.exit(f'error: {sys.argv[1]} exists: name a new file')
    write_sample_clip(Path(sys.argv[1]))
    print(f'wrote {sys.argv[1]}')
