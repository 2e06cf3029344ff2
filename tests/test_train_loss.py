"""Losses against golden values, numbers worked out by hand, and the inputs on which the released code breaks."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import train_loss
from train_loss import LossWeights, clamp_with_slope, laplacian_loss, laplacian_pyramid, matting_loss, segmentation_loss

TERMS = ['pha_l1', 'pha_laplacian', 'pha_coherence', 'fgr_l1', 'fgr_coherence']


@pytest.fixture(scope='module')
def cases(golden):
    return np.load(golden.path('rvm_losses.npz'))


def golden_clip(golden, cases, dtype=torch.float32):
    meta = json.loads(str(cases['meta']))
    B, T, H, W = meta['shape']

    def draw(name, C):
        return golden.reference_input(f'{meta["prefix"]}_{name}', (B, T, C, H, W)).to(dtype)
    pred_fgr, pred_pha = draw('pred_fgr', 3).requires_grad_(), draw('pred_pha', 1).requires_grad_()
    return pred_fgr, pred_pha, draw('true_fgr', 3), (2 * draw('true_pha', 1) - 0.5).clamp(0, 1)


@pytest.mark.parametrize('dtype, prefix, rtol', [(torch.float32, 'matting', 1e-6),
                                                 (torch.float64, 'matting_float64', 1e-7)])
def test_matting_loss_equals_golden(golden, cases, dtype, prefix, rtol):
    losses = matting_loss(*golden_clip(golden, cases, dtype))
    assert list(losses) == [*TERMS, 'total']
    for name, loss in losses.items():
        assert loss.dtype == dtype
        assert loss.item() == pytest.approx(float(cases[f'{prefix}.{name}']), rel=rtol), name


def test_gradient_norms_equal_golden(golden, cases):
    pred_fgr, pred_pha, *true = golden_clip(golden, cases)
    matting_loss(pred_fgr, pred_pha, *true)['total'].backward()
    assert pred_fgr.grad.norm().item() == pytest.approx(float(cases['matting.grad_l2_pred_fgr']), rel=1e-5)
    assert pred_pha.grad.norm().item() == pytest.approx(float(cases['matting.grad_l2_pred_pha']), rel=1e-5)


def test_segmentation_loss_equals_golden(golden, cases):
    B, T, H, W = json.loads(str(cases['meta']))['shape']
    logits = (8 * golden.reference_input('rvm_loss_seg_logit', (B, T, 1, H, W)) - 4).requires_grad_()
    loss = segmentation_loss(logits, (golden.reference_input('rvm_loss_seg_true', (B, T, 1, H, W)) > 0.6).float())
    loss.backward()
    assert loss.item() == pytest.approx(float(cases['segmentation.loss']), rel=1e-6)
    assert logits.grad.norm().item() == pytest.approx(float(cases['segmentation.grad_l2']), rel=1e-5)


def test_laplacian_equals_golden(golden, cases):
    a, b = (golden.reference_input(f'rvm_loss_lap_{name}', (2, 1, 83, 101)) for name in 'ab')
    for levels in (1, 3, 5):
        assert laplacian_loss(a, b, levels).item() == pytest.approx(float(cases[f'laplacian.levels{levels}']), rel=1e-5)
    pyramid = laplacian_pyramid(a[:1])
    assert [list(level.shape[-2:]) for level in pyramid] == cases['laplacian.pyramid_shapes'].tolist()
    for k in (3, 4):
        torch.testing.assert_close(pyramid[k], torch.as_tensor(cases[f'laplacian.pyramid_level{k}']), atol=1e-6, rtol=0)
    dot = torch.zeros(1, 1, 9, 9)
    dot[..., 4, 4] = 1
    torch.testing.assert_close(train_loss._blur(dot)[..., 2:7, 2:7], torch.as_tensor(cases['kernel']))


def clip(T=2, side=64, pred=0.5, true=0.25, dtype=torch.float32):
    return (torch.full((1, T, 3, side, side), pred, dtype=dtype, requires_grad=True),
            torch.full((1, T, 1, side, side), pred, dtype=dtype, requires_grad=True),
            torch.full((1, T, 3, side, side), true), torch.full((1, T, 1, side, side), true))


def test_hand_worked_numbers():
    pred_fgr, pred_pha, true_fgr, true_pha = clip()
    losses = matting_loss(pred_fgr, pred_pha, true_fgr, true_pha)
    assert losses['pha_l1'].item() == 0.25 and losses['pha_laplacian'].item() == pytest.approx(0, abs=1e-6)
    assert losses['pha_coherence'].item() == 0 and losses['fgr_l1'].item() == 0.25
    true_pha = torch.stack([torch.zeros(1, 1, 64, 64), torch.ones(1, 1, 64, 64)], 1)
    losses = matting_loss(pred_fgr, pred_pha, true_fgr, true_pha)
    assert losses['pha_coherence'].item() == 5                # 5 * (0 - 1)^2
    assert losses['fgr_l1'].item() == 0.125                   # only the frame with a person counts, over both frames
    assert losses['fgr_coherence'].item() == pytest.approx(5 * 0.25 ** 2)
    assert losses['total'].item() == pytest.approx(0.5 + losses['pha_laplacian'].item() + 5 + 0.125 + 0.3125)
    assert segmentation_loss(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)).item() == pytest.approx(np.log(2))


def test_one_frame_has_no_coherence():
    losses = matting_loss(*clip(T=1))
    assert list(losses) == ['pha_l1', 'pha_laplacian', 'fgr_l1', 'total']
    assert losses['total'].item() == pytest.approx(0.5, abs=1e-5)


def test_no_foreground_switches_its_terms_off():
    pred_fgr, pred_pha, _, true_pha = clip()
    losses = matting_loss(pred_fgr, pred_pha, None, true_pha, LossWeights(composition=1, perceptual=1))
    assert list(losses) == ['pha_l1', 'pha_laplacian', 'pha_coherence', 'total']
    losses['total'].backward()
    assert pred_fgr.grad is None


@pytest.mark.parametrize('side, levels', [(64, 5), (63, 4), (32, 4), (16, 3), (8, 2), (5, 1), (4, 1), (3, 0), (1, 0)])
def test_small_sizes_have_fewer_levels(side, levels):
    a, b = torch.rand(1, 2, 1, side, side), torch.rand(1, 2, 1, side, side)
    losses = matting_loss(torch.rand(1, 2, 3, side, side), a, None, b)
    assert ('pha_laplacian' in losses) == (levels > 0)
    assert all(torch.isfinite(loss) for loss in losses.values())
    if levels:
        pyramid = laplacian_pyramid(a[0])
        assert len(pyramid) == levels and min(pyramid[-1].shape[-2:]) >= 4
        expected = sum(2 ** k * (x - y).abs().mean() for k, (x, y) in enumerate(zip(pyramid, laplacian_pyramid(b[0]))))
        assert losses['pha_laplacian'].item() == pytest.approx(expected.item() / 5, rel=1e-5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_computed_in_float32_outside_autocast(dtype):
    inputs = [x.detach() for x in clip(dtype=dtype)]
    inputs[1] = torch.rand(1, 2, 1, 64, 64).to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed, seg = matting_loss(*inputs), segmentation_loss(inputs[1], torch.ones(1, 2, 1, 64, 64))
    exact = matting_loss(*(x.float() for x in inputs))
    assert seg.dtype == torch.float32
    for name, loss in exact.items():
        assert mixed[name].dtype == torch.float32 and torch.equal(mixed[name], loss)


def test_weights_scale_the_total_and_zero_leaves_out():
    inputs = clip()
    losses = matting_loss(*inputs, LossWeights(pha_l1=3, pha_laplacian=0, pha_coherence=0, fgr_l1=0, fgr_coherence=0))
    assert list(losses) == ['pha_l1', 'total'] and losses['pha_l1'].item() == 0.25 and losses['total'].item() == 0.75
    nothing = matting_loss(*inputs, LossWeights(*[0] * 8))
    nothing['total'].backward()
    assert list(nothing) == ['total'] and nothing['total'].item() == 0
    with pytest.raises(ValueError, match='loss weight fgr_l1 must be at least 0, got -1'):
        LossWeights(fgr_l1=-1)


def test_composition_and_gradient_by_hand():
    pred_fgr, pred_pha, true_fgr, true_pha = clip()
    extra = LossWeights(gradient=1, composition=1)
    losses = matting_loss(pred_fgr, pred_pha, true_fgr, true_pha, extra)
    assert losses['composition'].item() == pytest.approx(0.25 - 0.0625)           # over black
    assert losses['gradient'].item() == pytest.approx(0, abs=1e-6)                # both flat
    losses = matting_loss(pred_fgr, pred_pha, true_fgr, true_pha, extra, bgr=torch.ones_like(true_fgr))
    assert losses['composition'].item() == pytest.approx(0.8125 - 0.75)           # 0.25 + 0.5 against 0.0625 + 0.75
    step = torch.zeros(1, 1, 1, 8, 8)
    step[..., 4:] = 1                                                             # 0.5 in both columns beside it
    losses = matting_loss(torch.zeros(1, 1, 3, 8, 8), torch.zeros_like(step), None, step, extra)
    assert losses['gradient'].item() == pytest.approx(2 * 0.5 / 8, abs=1e-3)


def test_perceptual_term(monkeypatch):
    torch.manual_seed(0)
    stages = (nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    monkeypatch.setattr(train_loss, 'vgg_stages', lambda device, dtype: stages)
    pred_fgr, pred_pha, true_fgr, true_pha = clip(side=16)
    weights = LossWeights(perceptual=1)
    same = matting_loss(true_fgr, true_pha, true_fgr, true_pha, weights)
    other = matting_loss(pred_fgr, pred_pha, true_fgr, true_pha, weights)
    assert same['perceptual'].item() == 0 and other['perceptual'].item() > 0
    other['perceptual'].backward()
    assert pred_pha.grad.abs().sum() > 0


def test_vgg_is_cut_after_its_activations(monkeypatch):
    import torchvision.models
    build = torchvision.models.vgg16
    monkeypatch.setattr(torchvision.models, 'vgg16', lambda weights: build(weights=None, init_weights=False))
    train_loss.vgg_stages.cache_clear()
    stages = train_loss.vgg_stages(torch.device('cpu'), torch.float32)
    x, shapes = torch.rand(1, 3, 33, 47), []
    for stage in stages:
        assert isinstance(stage[-1], nn.ReLU)
        x = stage(x)
        shapes.append(list(x.shape[1:]))
    assert shapes == [[64, 33, 47], [128, 17, 24], [256, 9, 12], [512, 5, 6]]
    train_loss.vgg_stages.cache_clear()


def test_wrong_shapes_are_named():
    pred_fgr, pred_pha, true_fgr, true_pha = clip()
    with pytest.raises(ValueError, match=r'pred_pha must be \(B, T, 1, H, W\).*got \[1, 2, 3, 64, 64\]'):
        matting_loss(pred_fgr, pred_fgr, true_fgr, true_pha)
    with pytest.raises(ValueError, match=r'pred_fgr must be .* sizes of true_pha \[2, 1, 64, 64\]'):
        matting_loss(pred_fgr, pred_pha, true_fgr, true_pha[0])
    with pytest.raises(ValueError, match='pred_logits and true_seg must have one shape'):
        segmentation_loss(pred_pha, true_pha[:, :1])


def test_a_clamp_with_slope_corrects_what_is_wrong_and_leaves_what_is_right():
    true = torch.tensor([0., 0, 0, 1, 1, 1, 0.3, 0.3])
    pred = torch.tensor([-0.5, 0.1, 1.5, 1.5, 0.9, -0.5, -0.5, 1.5], requires_grad=True)
    loss = (clamp_with_slope(pred) - true).abs()
    torch.testing.assert_close(loss.detach(), torch.tensor([0, 0.1, 1, 0, 0.1, 1, 0.3, 0.7]))
    loss.sum().backward()
    assert pred.grad.tolist() == [0, 1, 1, 0, -1, -1, -1, 1]
