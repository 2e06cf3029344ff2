"""Strips against whole frames, alpha conventions, backgrounds."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from engine.prediction import DensePrediction, LinearPrediction, row_mix
from model.guided_filter import apply_coefficients
from tests.clips import picture, write_clip
from video.background import BlurBackground, ColorBackground, MovingBackground, fit_image, parse_background
from video.render import KINDS, Renderer

RNG = np.random.default_rng(0)


def reference(coefficients, pixels):
    """The readable form: whole frame, torch's own interpolation, as MattingNetwork.forward does it."""
    src = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / float(np.iinfo(pixels.dtype).max)
    residual, pha = apply_coefficients(coefficients[None], src)
    return (residual + src).clamp(0, 1)[0], pha.clamp(0, 1)[0]


@settings(max_examples=40, deadline=None)
@given(h=st.integers(1, 20), w=st.integers(1, 20), H=st.integers(1, 80), W=st.integers(1, 80), deep=st.booleans())
def test_linear_prediction_equals_the_reference_at_any_size(h, w, H, W, deep):
    torch.manual_seed(h * 1000 + w)
    coefficients = torch.randn(8, h, w) * 0.4
    pixels = RNG.integers(0, 65536 if deep else 256, (H, W, 3)).astype(np.uint16 if deep else np.uint8)
    prediction = LinearPrediction(coefficients, pixels, torch.rand(3, h, w))
    fgr, pha = reference(coefficients, pixels)
    step = max(1, H // 3)
    for start in range(0, H, step):
        stop = min(start + step, H)
        strip_fgr, strip_pha = prediction.rows(start, stop).values()
        torch.testing.assert_close(strip_fgr, fgr[:, start:stop], atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(strip_pha, pha[:, start:stop], atol=2e-5, rtol=1e-5)


def test_row_weights_are_bilinear():
    column = torch.rand(1, 1, 13, 1)
    first, mix = row_mix(13, 40, 7, 29)
    expected = F.interpolate(column, (40, 1), mode='bilinear')[0, 0, 7:29]
    torch.testing.assert_close(mix @ column[0, 0, first:first + mix.size(1)], expected)


@pytest.mark.parametrize('kind', [name for name, kind in KINDS.items() if {'fgr', 'pha'} >= set(kind.needs)])
@pytest.mark.parametrize('depth', [8, 16])
def test_both_predictions_render_the_same_and_round(kind, depth):
    H, W = 700, 301          # several strips
    pixels = cv2.resize(RNG.integers(0, 256, (20, 12, 3), dtype=np.uint8), (W, H))
    coefficients = torch.randn(8, 50, 21) * 0.3
    linear = LinearPrediction(coefficients, pixels, torch.rand(3, 50, 21))
    dense = DensePrediction(dict(zip(('fgr', 'pha'), reference(coefficients, pixels))), pixels.shape[:2])
    renderer = Renderer([(kind, depth)])
    a, b = (renderer(prediction, pixels)[kind, depth] for prediction in (linear, dense))
    assert a.dtype == (np.uint8 if depth == 8 else np.uint16) and a.shape == (H, W, b.shape[2])
    assert abs(a.astype(int) - b).max() <= 1 if depth == 8 else abs(a.astype(int) - b).max() <= 4


def dense(fgr_value: float, alphas: list[float]) -> tuple[DensePrediction, np.ndarray]:
    pha = torch.tensor(alphas)[None, None]
    planes = {'fgr': torch.full((3, 1, len(alphas)), fgr_value), 'pha': pha}
    return DensePrediction(planes, (1, len(alphas))), np.zeros((1, len(alphas), 3), np.uint8)


def test_values_are_rounded_not_truncated():
    prediction, pixels = dense(0.9999, [0.9999, 0.499])
    out = Renderer([('alpha', 8), ('foreground', 8), ('alpha', 16)])(prediction, pixels)
    assert out['alpha', 8].ravel().tolist() == [255, 127] and out['foreground', 8].min() == 255
    assert out['alpha', 16].ravel().tolist() == [65528, 32702]


def test_straight_and_premultiplied_alpha():
    prediction, pixels = dense(0.8, [0.0, 0.001, 0.5, 1.0])
    straight = Renderer([('rgba', 8)])(prediction, pixels)['rgba', 8][0]
    assert straight.tolist() == [[0, 0, 0, 0], [204] * 3 + [0], [204] * 3 + [128], [204] * 3 + [255]]
    multiplied = Renderer([('rgba', 8)], premultiply=True)(prediction, pixels)['rgba', 8][0]
    assert multiplied.tolist() == [[0] * 4, [0] * 4, [102] * 3 + [128], [204] * 3 + [255]]


def test_composition_over_a_colour():
    prediction, pixels = dense(1.0, [0.0, 0.5, 1.0])
    composition = Renderer([('composition', 8)], ColorBackground((10, 20, 30)))(prediction, pixels)['composition', 8]
    assert composition[0].tolist() == [[10, 20, 30], [133, 138, 143], [255, 255, 255]]


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
