"""Strips against whole frames, alpha conventions."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from engine.prediction import DensePrediction, LinearPrediction, row_mix
from model.guided_filter import apply_coefficients
from video.background import Background, ColorBackground, ImageBackground
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


def test_a_still_background_is_sent_once_and_asks_for_no_alpha(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / 'b.png'), np.full((4, 4, 3), 90, np.uint8))
    prediction, pixels = dense(1.0, [0.0, 0.5, 1.0])
    monkeypatch.setattr(prediction, 'small_alpha', lambda: pytest.fail('alpha was sent'))
    renderer = Renderer([('composition', 8)], ImageBackground(tmp_path / 'b.png'))
    renderer(prediction, pixels)
    sent = renderer._bgr
    assert renderer(prediction, pixels)['composition', 8][0, 0].tolist() == [90, 90, 90] and renderer._bgr is sent


def test_a_background_that_reuses_its_array_is_drawn_anew():
    class Fading(Background):
        def __init__(self):
            self.scene = np.zeros((1, 1, 3), np.float32)

        def at(self, time, size, src, pha):
            assert pha is not None
            self.scene += 0.2
            return self.scene
    prediction, pixels = dense(1.0, [0.0, 0.5, 1.0])
    renderer = Renderer([('composition', 8)], Fading())
    assert [renderer(prediction, pixels)['composition', 8][0, 0, 0] for _ in range(2)] == [51, 102]
