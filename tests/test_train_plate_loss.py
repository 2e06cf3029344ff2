"""Losses of the two stages of training with a plate: the published numbers, and where ours differ on purpose."""

import numpy as np
import pytest
import torch

from train_loss import plate_base_loss, plate_refine_loss

PUBLISHED = {'normalise': False}


@pytest.fixture
def case(golden):
    """Predictions with gradients and truths of the golden case."""
    z = np.load(golden.path('bgm_losses.npz'))
    H, W, h, w = (int(side) for side in z['size'])

    def draw(name, C, *size):
        return golden.reference_input(f'{z["prefix"]}.{name}', (2, C, *size))
    pred = {name: draw(f'pred_{name}', C, *((h, w) if name.endswith('sm') else (H, W))).requires_grad_()
            for name, C in (('pha', 1), ('fgr', 3), ('err', 1), ('pha_sm', 1), ('fgr_sm', 3), ('err_sm', 1))}
    return z, pred, draw('true_fgr', 3, H, W), (1.5 * draw('true_pha', 1, H, W) - 0.4).clamp(0, 1)


def check(z, stage, terms, order, leaves):
    assert [terms[name].item() for name in order] == pytest.approx(z[f'{stage}.terms'].tolist(), abs=1e-5)
    assert terms['total'].item() == pytest.approx(float(z[f'{stage}.total']), abs=1e-5)
    terms['total'].backward()
    sums = [float(leaf.grad.abs().sum()) for leaf in leaves]
    assert sums == pytest.approx(z[f'{stage}.grad_abs_sum'].tolist(), rel=1e-4)


def test_published_base_loss(case):
    z, pred, true_fgr, true_pha = case
    pred = {name: pred[name] for name in ('pha', 'fgr', 'err')}
    terms = plate_base_loss(pred, true_fgr, true_pha, **PUBLISHED)
    check(z, 'base', terms, ('pha', 'sobel', 'fgr', 'err'), pred.values())


def test_published_refine_loss(case):
    z, pred, true_fgr, true_pha = case
    pred.pop('err')
    terms = plate_refine_loss(pred, true_fgr, true_pha, detach_error=False, **PUBLISHED)
    order = ('pha', 'pha_sm', 'sobel', 'sobel_sm', 'fgr', 'fgr_sm', 'err')
    check(z, 'refine', terms, order, (pred[name] for name in ('pha', 'fgr', 'pha_sm', 'fgr_sm', 'err_sm')))


def test_detached_error_leaves_alpha_alone():
    pha, err = torch.full((1, 1, 8, 8), 0.5, requires_grad=True), torch.zeros(1, 1, 8, 8, requires_grad=True)
    pred = {'pha': pha, 'fgr': torch.zeros(1, 3, 8, 8), 'err': err}
    for detach, expected in ((True, 0), (False, 2 * 0.5 / 64)):
        pha.grad = None
        plate_base_loss(pred, torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8),
                        detach_error=detach)['err'].backward()
        assert float(0 if pha.grad is None else pha.grad[0, 0, 0, 0]) == pytest.approx(expected)


def test_colours_are_judged_where_alpha_is_and_alike_for_every_size_of_person():
    true_pha = torch.zeros(1, 1, 8, 8)
    true_pha[..., :2, :4], true_pha[..., 2, :4] = 1, 0.5
    pred = {'pha': true_pha, 'fgr': torch.full((1, 3, 8, 8), 0.25), 'err': torch.zeros(1, 1, 8, 8)}
    true_fgr = torch.zeros(1, 3, 8, 8)
    true_fgr[..., 2, :] = 1
    error = (8 * 0.25 + 4 * 0.75)
    terms = plate_base_loss(pred, true_fgr, true_pha)
    assert float(terms['fgr']) == pytest.approx(error / 12)
    assert float(plate_base_loss(pred, true_fgr, true_pha, normalise=False)['fgr']) == pytest.approx(error / 64)
    assert float(plate_base_loss(pred, true_fgr, true_pha, solid=0.95)['fgr']) == pytest.approx(0.25)
    assert float(plate_base_loss(pred, true_fgr, torch.zeros(1, 1, 8, 8))['fgr']) == 0
