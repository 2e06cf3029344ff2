"""Definitions by hand, by golden values of the released scripts, and by properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import metrics
from metrics import Clip, measure_clip
from metrics import reference as M


def frame(rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)[None]                             # (1, H, W)


@pytest.mark.parametrize('protocol', ['rvm_lr', 'rvm_hr'])
@pytest.mark.parametrize('clip', ['clip0', 'clip1', 'clip2'])
def test_golden(golden, protocol, clip):
    z = np.load(golden.path('rvm_metrics.npz'))
    pha = [torch.from_numpy(z[f'{clip}.{side}_pha'])[:, None].float() / 255 for side in ('pred', 'true')]
    fgr = [torch.from_numpy(z[f'{clip}.{side}_fgr']).permute(0, 3, 1, 2).float() / 255 for side in ('pred', 'true')]
    measured = measure_clip(Clip(*pha, *fgr), protocol=protocol)
    assert tuple(measured) == metrics.PROTOCOLS[protocol].metrics
    for name, values in measured.items():
        np.testing.assert_allclose(values, z[f'{clip}.{protocol[4:]}.{name}'], rtol=2e-6, atol=1e-9, err_msg=name)


def test_golden_gradient_filter(golden):
    smooth, slope = M.gradient_taps()
    filter_x = np.load(golden.path('rvm_metrics.npz'))['grad_filter_x']
    np.testing.assert_allclose(np.outer(smooth, slope), filter_x, atol=1e-12)


def test_the_two_gradients_differ(golden):
    z = np.load(golden.path('rvm_metrics.npz'))
    pred, true = (torch.from_numpy(z[f'clip1.{side}_pha'])[:, None].float() / 255 for side in ('pred', 'true'))
    lr, hr = M.gradient(pred, true, minmax=True), M.gradient(pred, true)
    assert (hr / lr > 1.5).all()


def test_separable_gradient_is_the_9x9_filter():
    pha = torch.rand(2, 1, 20, 23)
    smooth, slope = M.gradient_taps()
    magnitude = torch.zeros(2, 20, 23, dtype=torch.float64)
    padded = np.pad(pha.double().numpy()[:, 0], ((0, 0), (4, 4), (4, 4)), mode='edge')
    for n in range(2):
        for y in range(20):
            for x in range(23):
                window = padded[n, y:y + 9, x:x + 9]
                magnitude[n, y, x] = math.hypot((window * np.outer(smooth, slope)).sum(),
                                                (window * np.outer(slope, smooth)).sum())
    torch.testing.assert_close(M.gradient_magnitude(pha)[:, 0].double(), magnitude, rtol=0, atol=1e-6)


def test_means_by_hand():
    pred, true = frame([[0., .5], [1., 1.]]), frame([[0., 0.], [1., .8]])
    assert M.mad(pred, true).item() == pytest.approx(.7 / 4 * 1e3)
    assert M.mse(pred, true).item() == pytest.approx((.25 + .04) / 4 * 1e3)
    assert M.sad(pred, true).item() == pytest.approx(.7e-3)
    assert M.mad(pred, true, mask=frame([[0, 1], [0, 0]])).item() == pytest.approx(500)
    assert M.sad(pred, true, mask=frame([[0, 0], [0, 1]])).item() == pytest.approx(.2e-3)
    assert M.iou(pred, true).item() == pytest.approx(2 / 3)                # pred has 3 pixels, of which true has 2


def test_foreground_counts_where_the_true_alpha_is_above_zero():
    true_pha = frame([[0., .01], [1., 0.]])
    true = torch.zeros(3, 2, 2)
    pred = true.clone()
    pred[:, 0, 0] = 1                                                      # outside: free
    pred[0, 0, 1] = .3                                                     # one channel of one of two pixels
    clip = [x[None] for x in (true_pha, true_pha, pred, true)]
    measured = measure_clip(Clip(*clip), metrics=('fgr_mad', 'fgr_mse'))
    assert measured['fgr_mad'].item() == pytest.approx(.3 / 6 * 1e3)
    assert measured['fgr_mse'].item() == pytest.approx(.09 / 6 * 1e3)


def test_dtssd_by_hand():
    true = torch.zeros(3, 1, 1, 2)
    pred = torch.tensor([[0., 0.], [.5, 0.], [.5, .1]]).view(3, 1, 1, 2)
    strict = M.dtssd(pred, true)
    assert math.isnan(strict[0])
    assert strict[1].item() == pytest.approx(math.sqrt(.25 / 2) * 100)
    assert strict[2].item() == pytest.approx(math.sqrt(.01 / 2) * 100)
    assert M.dtssd(pred, true, first=0.)[0] == 0


def test_connectivity_by_hand():
    """A body of three pixels and one pixel apart: the pixel's level is 0, so all of its alpha is above it."""
    true = frame([[1., 1., 1., 0., 1.]])
    pred = frame([[1., 1., 1., 0., .6]])
    level = M.connected_level(torch.minimum(pred, true)[0].numpy())
    np.testing.assert_allclose(level, [[1, 1, 1, 0, 0]])
    # degrees of the last pixel: 1 - 1 = 0 (true), 1 - 0.6 = 0.4 (pred)
    assert M.connectivity(pred, true).item() == pytest.approx(.4e-3)


def test_connectivity_levels_fall_at_the_first_threshold_without_the_body():
    level = M.connected_level(np.float32([[1, .55, 1, 1]]))      # up to 0.5 one body; from 0.6 on the right pair
    np.testing.assert_allclose(level, [[.5, .5, 1, 1]])
    assert (M.connected_level(np.zeros((3, 3), np.float32)) == 0).all()
    np.testing.assert_allclose(M.connected_level(np.float32([[153 / 255]])), [[.6]])    # exactly at a threshold


def test_messddt_forgives_errors_that_move_with_the_scene():
    T, H, W, shift = 3, 12, 20, 3
    error = torch.zeros(T, 1, H, W)
    for t in range(T):
        error[t, :, 4:8, 2 + shift * t:6 + shift * t] = .5
    true = torch.zeros(T, 1, H, W)
    flow = torch.zeros(T - 1, 2, H, W)
    flow[:, 0] = shift
    moving = M.messddt(error, true, flow)
    assert math.isnan(moving[0])
    torch.testing.assert_close(moving[1:], torch.zeros(2, dtype=torch.float64))
    still = M.messddt(error, true, torch.zeros_like(flow))
    # 4 rows x (3 left + 3 new) columns change by 0.25
    torch.testing.assert_close(still[1:], torch.full((2,), 24 * .25 / (H * W) * 1e3, dtype=torch.float64))


def test_optical_flow_finds_a_shift():
    texture = np.random.default_rng(0).integers(0, 256, (64, 96), np.uint8)
    texture = np.kron(texture[:16, :24], np.ones((4, 4), np.uint8))
    flow = M.optical_flow(np.stack([texture, np.roll(texture, 2, axis=1)]))
    assert flow.shape == (1, 2, 64, 96)
    assert flow[0, 0, 16:-16, 16:-16].median() == pytest.approx(2, abs=.2)
    assert flow[0, 1, 16:-16, 16:-16].median() == pytest.approx(0, abs=.2)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_shifted_constant(pred, true, H, W):
    pred, true = torch.full((1, H, W), pred / 255), torch.full((1, H, W), true / 255)
    difference = abs(pred - true)[0, 0, 0].item()
    assert M.mad(pred, true).item() == pytest.approx(difference * 1e3, abs=1e-4)
    assert M.mse(pred, true).item() == pytest.approx(difference ** 2 * 1e3, abs=1e-4)
    assert M.gradient(pred, true).item() == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 2 ** 31), st.integers(1, 4), st.integers(1, 24), st.integers(1, 24))
@settings(max_examples=25, deadline=None)
def test_symmetry_batch_and_mask(seed, T, H, W):
    generator = torch.Generator().manual_seed(seed)
    pred, true = torch.rand(2, T, 1, H, W, generator=generator)
    mask = torch.rand(T, 1, H, W, generator=generator) > .5
    for name in (M.mad, M.mse, M.sad, M.gradient, M.connectivity, M.iou):
        together = name(pred, true, mask)
        torch.testing.assert_close(name(true, pred, mask), together, equal_nan=True)
        torch.testing.assert_close(torch.stack([name(*x) for x in zip(pred, true, mask)]), together, equal_nan=True)
        torch.testing.assert_close(name(pred, true, torch.ones_like(mask)), name(pred, true))
        assert (name(true, true) == (1 if name is M.iou else 0)).all()
    torch.testing.assert_close(M.dtssd(pred, true), M.dtssd(true, pred), equal_nan=True)
    torch.testing.assert_close(M.dtssd(pred[None], true[None])[0], M.dtssd(pred, true), equal_nan=True)


def test_empty_mask_and_single_frame():
    pred, true = torch.rand(2, 1, 1, 5, 6)
    nothing = torch.zeros(1, 1, 5, 6)
    assert M.mad(pred, true, nothing).isnan().all() and M.mse(pred, true, nothing).isnan().all()
    for name in (M.sad, M.gradient, M.connectivity):
        assert name(pred, true, nothing).tolist() == [0]
    assert M.iou(pred, true, nothing).tolist() == [1]
    single = measure_clip(Clip(pred, true), protocol='strict')
    assert math.isnan(single['pha_dtssd']) and single['pha_mad'] > 0
    assert measure_clip(Clip(pred, true), protocol='rvm_hr', metrics=('pha_dtssd',))['pha_dtssd'].tolist() == [0]


@pytest.mark.gpu
def test_cuda_equals_cpu():
    if not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')
    clip = [torch.rand(3, 1, 40, 60), torch.rand(3, 1, 40, 60), torch.rand(3, 3, 40, 60), torch.rand(3, 3, 40, 60)]
    there = measure_clip(Clip(*(x.cuda() for x in clip)))
    for name, values in measure_clip(Clip(*clip)).items():
        torch.testing.assert_close(there[name].cpu(), values, rtol=1e-5, atol=1e-9, equal_nan=True)


def test_bad_input():
    x = torch.rand(2, 1, 4, 4)
    broken = x.clone()
    broken[0, 0, 1, 1] = math.nan
    with pytest.raises(ValueError, match='pred holds 1 values that are not finite'):
        M.mad(broken, x)
    with pytest.raises(ValueError, match=r'got \[2, 1, 4, 4\] and \[2, 1, 4, 3\]'):
        M.mse(x, x[..., :3])
    with pytest.raises(ValueError, match='divide 8-bit values by 255'):
        M.sad((x * 255).byte(), x)
    with pytest.raises(ValueError, match="metrics must be among .* got 'mad'"):
        measure_clip(Clip(x, x), metrics=('mad',))
    with pytest.raises(ValueError, match="protocol must be one of rvm_lr, rvm_hr, strict, got 'lr'"):
        measure_clip(Clip(x, x), protocol='lr')
    with pytest.raises(ValueError, match='fgr_mad needs pred_fgr and true_fgr'):
        measure_clip(Clip(x, x), metrics=('fgr_mad',))
    with pytest.raises(ValueError, match='pha_messddt needs grey_src'):
        measure_clip(Clip(x, x), metrics=('pha_messddt',))
    with pytest.raises(ValueError, match=r'flow must be \[1, 2, 4, 4\] for 2 frames'):
        M.messddt(x, x, torch.zeros(2, 2, 4, 4))


def test_alpha_metrics_by_hand():
    true = torch.zeros(1, 2, 1, 2, 2)
    pred = true.clone()
    pred[0, 1, 0] = torch.tensor([[0.4, 0.], [0., 0.]])
    values = metrics.alpha_metrics(pred, true)
    assert values == pytest.approx({'mad': 0.05, 'mse': 0.02, 'dtssd': 0.2})
    assert values['dtssd'] == pytest.approx(math.sqrt(0.16 / 4))
    assert set(metrics.alpha_metrics(pred[:, :1], true[:, :1])) == {'mad', 'mse'}
