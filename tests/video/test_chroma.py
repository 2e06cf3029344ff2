"""Where colour lies: it stays at its place through any number of conversions."""

from fractions import Fraction

import av
import numpy as np
import pytest

from video.chroma import move_chroma_left, plane
from video.formats import CODECS
from video.frame import StreamInfo
from video.reader import VideoReader
from video.writer import VideoFileWriter

H, W = 64, 128
COLUMNS = np.arange(W)


def bump(depth: int) -> np.ndarray:
    """A soft blue stripe in the middle."""
    pixels = np.full((H, W, 3), 60, np.uint8)
    pixels[:, :, 2] = (60 + 150 * np.exp(-((COLUMNS - 63.5) / 9.) ** 2)).round()
    return pixels if depth == 8 else pixels.astype(np.uint16) * 257


def place(pixels: np.ndarray) -> float:
    """Centre of what is bluer than green [px]."""
    blue = pixels[..., 2].astype(float).mean(0) - pixels[..., 1].astype(float).mean(0)
    blue[blue < 0.03 * blue.max()] = 0
    return float((blue * COLUMNS).sum() / blue.sum())


@pytest.mark.parametrize('suffix, codec, depth', [('.mp4', 'h264', 8), ('.mp4', 'hevc', 8), ('.mp4', 'hevc', 10),
                                                  ('.webm', 'vp9', 8), ('.mov', 'prores', 8), ('.mkv', 'ffv1', 8)])
def test_colour_stays_in_four_conversions(tmp_path, suffix, codec, depth):
    info = StreamInfo(W, H, Fraction(25), Fraction(1, 25), bit_depth=depth)
    pixels = bump(depth)
    for turn in range(4):
        path = tmp_path / f'{turn}{suffix}'
        with_codec = {} if CODECS[codec].quality is None else {'crf': 2}
        writer = VideoFileWriter(path, info, codec=codec, **with_codec)
        for t in range(3):           # libx265 fails now and then on clips of two
            writer.write_frame(pixels, t)
        writer.close()
        pixels = next(iter(VideoReader(path))).pixels
    assert abs(place(pixels) - place(bump(depth))) < 0.06


@pytest.mark.parametrize('pixel_format, top', [('yuv420p', 255), ('yuv420p10le', 1023)])
def test_a_line_is_read_half_a_column_further_left(pixel_format, top):
    frame = av.VideoFrame(64, 16, pixel_format)
    for index in range(3):
        plane(frame, index)[:] = 0
    slope, between = top // 80, 2 * np.arange(32) + 0.5                  # luma columns of the samples
    plane(frame, 2)[:] = (slope * between + 20).round()
    move_chroma_left(frame)
    expected = slope * (2 * np.arange(32)) + 20
    assert np.abs(plane(frame, 2)[:, 1:-1] - expected[1:-1].astype(float)).max() <= 1
    assert not plane(frame, 0).any() and not plane(frame, 1).any()
