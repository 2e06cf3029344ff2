"""The fast metrics against the readable ones."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import metrics as M
from metrics import fast, reference
from metrics.meter import as_tensor

ALL = tuple(name for name in M.METRICS if name != 'pha_messddt')


def alpha(rng: np.random.Generator, kind: int, H: int, W: int) -> np.ndarray:
    """Noise, soft blobs, hard blobs, few levels, or nothing: each takes another way through the code."""
    noise = rng.integers(0, 256, (H, W), np.uint8)
    if kind == 1:
        return np.clip((cv2.GaussianBlur(noise, (0, 0), 2).astype(int) - 110) * 8, 0, 255).astype(np.uint8)
    if kind == 2:
        return (noise > 100).astype(np.uint8) * 255
    if kind == 3:
        return noise // 51 * 51                                     # exactly at thresholds
    return noise if kind == 0 else np.zeros_like(noise)


@given(st.integers(0, 2 ** 31), st.integers(0, 4), st.integers(0, 4), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_fast_equals_reference(seed, pred_kind, true_kind, H, W):
    rng = np.random.default_rng(seed)
    T = 3
    pha = np.stack([[alpha(rng, kind, H, W) for _ in range(T)] for kind in (pred_kind, true_kind)])
    fgr = rng.integers(0, 256, (2, T, H, W, 3), np.uint8)
    meter = M.FrameMeter(ALL, tuple(M.PROTOCOLS))
    measured = [meter.measure(pha[0, t], pha[1, t], fgr[0, t], fgr[1, t]) for t in range(T)]
    tensors = [np.concatenate([as_tensor(x) for x in clip]) for clip in (*pha, *fgr)]
    for protocol in M.PROTOCOLS:
        expected = M.measure_clip(M.Clip(*map(torch.from_numpy, tensors)), ALL, protocol=protocol)
        for name in ALL:
            # the fast ones count in integers; differences of float32 frames leave up to 2e-6 of dtSSD where it is 0
            np.testing.assert_allclose([row[protocol][name] for row in measured], expected[name],
                                       rtol=2e-5, atol=1e-5, err_msg=f'{protocol} {name}')


@given(st.integers(0, 2 ** 31), st.integers(0, 3), st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=150, deadline=None)
def test_connected_level_is_exact(seed, kind, H, W):
    both = alpha(np.random.default_rng(seed), kind, H, W)
    level = fast.connected_level(cv2.LUT(both, fast.LEVELS))
    expected = reference.connected_level(both.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(level, np.round(expected * 10))


def test_body_may_change_between_thresholds():
    """A wide soft body at low thresholds, a small hard one at high thresholds: the seed must be given up."""
    both = np.zeros((5, 12), np.uint8)
    both[:, :8] = 150
    both[2, 10:] = 255
    level = fast.connected_level(cv2.LUT(both, fast.LEVELS))
    assert (level[:, :8] == 5).all() and (level[2, 10:] == 0).all()
    np.testing.assert_array_equal(level, np.round(reference.connected_level(both / np.float32(255)) * 10))


def test_sixteen_bit_takes_the_reference():
    rng = np.random.default_rng(0)
    pha = rng.integers(0, 256, (2, 3, 8, 9), np.uint8)
    small, wide = M.FrameMeter(ALL[:4] + ('pha_dtssd',)), M.FrameMeter(ALL[:4] + ('pha_dtssd',))
    for t in range(3):
        a = small.measure(pha[0, t], pha[1, t])['strict']
        b = wide.measure(pha[0, t].astype(np.uint16) * 257, pha[1, t])['strict']
        for name in a:
            assert a[name] == pytest.approx(b[name], rel=2e-5, nan_ok=True), name


def test_skip_forgets_the_previous_frame():
    a, b = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    meter = M.FrameMeter(('pha_dtssd',))
    meter.measure(a, a)
    assert meter.measure(b, a)['strict']['pha_dtssd'] == pytest.approx(100)
    meter.skip()
    assert math.isnan(meter.measure(a, a)['strict']['pha_dtssd'])


def test_messddt_of_the_meter():
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 256, (12, 16), np.uint8), np.ones((4, 4), np.uint8))
    pha = rng.integers(0, 256, (2, 2, 48, 64), np.uint8)
    meter = M.FrameMeter(('pha_messddt',))
    values = [meter.measure(pha[0, t], pha[1, t], grey_src=texture)['strict']['pha_messddt'] for t in range(2)]
    squared = ((pha[0] / 255. - pha[1] / 255.) ** 2)
    assert math.isnan(values[0])
    assert values[1] == pytest.approx(abs(squared[1] - squared[0]).mean() * 1e3, rel=1e-3)   # nothing moves


def test_a_metric_without_a_fast_form_falls_back_to_its_reference(monkeypatch):
    """Adding a metric is one function and one row."""
    def worst(clip, rules):
        return (clip.pred_pha - clip.true_pha).abs().amax((1, 2, 3)).double()
    monkeypatch.setitem(M.METRICS, 'pha_worst', M.Metric(worst))
    pha = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 9), np.uint8)
    frames = M.FrameMeter(('pha_worst', 'pha_mad'))
    for t in range(3):
        values = frames.measure(pha[0, t], pha[1, t])['strict']
        assert values['pha_worst'] == pytest.approx(np.abs(pha[0, t] / 255 - pha[1, t] / 255).max(), rel=1e-5)
        assert values['pha_mad'] == pytest.approx(np.abs(pha[0, t] / 255 - pha[1, t] / 255).mean() * 1e3)


@pytest.mark.parametrize('name', M.METRICS)
def test_the_table_knows_which_way_is_better(name):
    """A perfect prediction is at least as good as a wrong one."""
    rng = np.random.default_rng(1)
    true, wrong = rng.random((2, 2, 1, 24, 24), np.float32)
    fgr, grey = torch.from_numpy(rng.random((2, 3, 24, 24), np.float32)), rng.integers(0, 256, (2, 24, 24), np.uint8)
    perfect, worse = (M.METRICS[name].reference(M.Clip(torch.from_numpy(x), torch.from_numpy(true), y, fgr, None, grey),
                                                M.PROTOCOLS['strict'])[-1].item()
                      for x, y in ((true, fgr), (wrong, fgr.flip(0))))
    assert perfect == M.METRICS[name].better(perfect, worse) != worse
