"""What stands behind the people."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from tests.clips import picture, write_clip
from video.background import BlurBackground, MovingBackground, fit_image, parse_background


@pytest.mark.parametrize('text, color', [
    (None, (120, 255, 155)), ('white', (255, 255, 255)), ('#ff8000', (255, 128, 0)), ('1,2,3', (1, 2, 3)),
    ((4, 5, 6), (4, 5, 6))])
def test_background_colours(text, color):
    assert parse_background(text).color == color


@pytest.mark.parametrize('text, message', [
    ('no/such.png', 'which is none of them'), ('1,2,300', 'three numbers 0-255'), ('1,b,3', 'three numbers 0-255'),
    ('blur:0', r'in \(0, 50\]'), ('blur:x', r'in \(0, 50\]'), ((1, 2), 'three numbers 0-255')])
def test_bad_backgrounds(text, message):
    with pytest.raises(ValueError, match=message):
        parse_background(text)


def test_bad_fit_and_loop():
    with pytest.raises(ValueError, match='background_fit must be one of cover, contain, stretch'):
        parse_background('red', fit='crop')
    with pytest.raises(ValueError, match='background_loop must be one of loop, hold, error'):
        parse_background('red', loop='bounce')


def test_fits():
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255                                       # white middle third
    assert fit_image(image, (100, 100), 'cover').min() == 1       # the middle only
    contain = fit_image(image, (300, 300), 'contain')
    assert contain[:95].max() == 0 and contain[205:].max() == 0 and contain[150, 150].tolist() == [1, 1, 1]
    stretched = fit_image(image, (30, 90), 'stretch')
    assert stretched[:, 15].min() == 1 and stretched[:, 2].max() == 0
    for fit in ('cover', 'contain', 'stretch'):
        assert fit_image(image, (33, 77), fit).shape == (77, 33, 3)


def shown(background: MovingBackground, times: list[float]) -> list[int]:
    """Red value of the background at each time."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    return [round(float(background.at(Fraction(time).limit_denominator(1000), (4, 4), pixels, None)[0, 0, 0] * 255))
            for time in times]


@pytest.fixture
def five_frames(tmp_path):
    folder = tmp_path / 'backgrounds'
    folder.mkdir()
    for index in range(5):
        cv2.imwrite(str(folder / f'{index}.png'), np.full((4, 4, 3), 10 * index, np.uint8))
    return folder                                                  # 30 frames per second


def test_moving_background_keeps_its_own_clock(five_frames):
    assert shown(MovingBackground(five_frames), [0, 1 / 60, 2 / 60, 4 / 60, 5 / 60]) == [0, 0, 10, 20, 20]


def test_moving_background_at_its_end(five_frames):
    times = [0, 4 / 30, 5 / 30, 6 / 30, 14 / 30, 15.1 / 30]
    assert shown(MovingBackground(five_frames, loop='loop'), times) == [0, 40, 0, 10, 40, 0]
    assert shown(MovingBackground(five_frames, loop='hold'), times) == [0, 40, 40, 40, 40, 40]
    with pytest.raises(ValueError, match='ends after 0.17 s, before the source'):
        shown(MovingBackground(five_frames, loop='error'), times)


def test_video_background(tmp_path):
    clip = write_clip(tmp_path / 'b.mp4', 4, (64, 48))
    background = parse_background(clip, 'stretch')
    pixels = np.zeros((48, 64, 3), np.uint8)
    shown_frame = background.at(Fraction(2, 25), (64, 48), pixels, None)
    assert abs(shown_frame * 255 - picture(2, 64, 48)).mean() < 3


def test_blur_hides_detail_and_leaves_no_halo_of_the_person():
    H, W = 180, 320
    scene = np.tile(np.float32([[40, 80]]), (H, W // 2))[..., None].repeat(3, axis=2)       # fine stripes
    person = np.zeros((H, W), np.float32)
    person[60:, 130:190] = 1
    source = np.where(person[..., None] > 0, 255, scene).astype(np.uint8)
    blurred = BlurBackground(3).at(Fraction(0), (W, H), source, person) * 255
    assert blurred.shape == (H, W, 3)
    outside = blurred[person == 0]
    assert np.ptp(outside) < 15 and abs(outside.mean() - 60) < 5   # a plain blur would be white beside the person
