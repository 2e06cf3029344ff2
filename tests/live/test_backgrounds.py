"""Backgrounds in order, each with a clock of its own."""

from fractions import Fraction

import numpy as np
import pytest

from live.backgrounds import BackgroundCycle
from tests.clips import write_clip
from video.reader import VideoReader

PIXELS = np.zeros((48, 64, 3), np.uint8)


def at(backgrounds, time):
    return backgrounds.at(Fraction(time), (64, 48), PIXELS, np.zeros((48, 64), np.float32))


def test_named_ones_first_then_the_built_in(tmp_path):
    clip = write_clip(tmp_path / 'wall.mp4', 3)
    backgrounds = BackgroundCycle([str(clip), 'blur:5', 'white'])
    names = []
    for _ in range(7):
        names.append(backgrounds.name)
        backgrounds.next()
    assert names == ['wall.mp4', 'blur:5', 'white', 'green', 'blur', 'black', 'wall.mp4']


def test_switching_changes_the_picture():
    backgrounds = BackgroundCycle(['#ff0000', '0,0,255'])
    np.testing.assert_allclose(at(backgrounds, 0)[0, 0], (1, 0, 0))
    backgrounds.next()
    np.testing.assert_allclose(at(backgrounds, 0)[0, 0], (0, 0, 1))


def test_a_video_stands_still_while_it_is_not_shown(tmp_path):
    clip = write_clip(tmp_path / 'wall.mkv', 20, rate=2, codec='ffv1', pix_fmt='bgr0')
    frames = [frame.pixels / np.float32(255) for frame in VideoReader(clip)]
    backgrounds = BackgroundCycle([str(clip)])
    np.testing.assert_allclose(at(backgrounds, 0), frames[0], atol=1e-6)
    np.testing.assert_allclose(at(backgrounds, 1), frames[2], atol=1e-6)
    for _ in backgrounds.names[1:]:                    # once around, with pauses
        backgrounds.next()
        at(backgrounds, 5)
    backgrounds.next()
    np.testing.assert_allclose(at(backgrounds, Fraction(11, 2)), frames[3], atol=1e-6)       # 0.5 s after where it was
    np.testing.assert_allclose(at(backgrounds, 500), frames[5], atol=1e-6)                   # alpha was shown meanwhile


def test_bad_background():
    with pytest.raises(ValueError, match='background must be a colour'):
        BackgroundCycle(['no such colour'])
