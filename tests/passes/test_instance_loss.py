"""Losses of the instance network: against the release, and by hand."""

import json

import numpy as np
import pytest
import torch

from passes.instance_loss import (
    STRIDES,
    InstanceLossWeights,
    attention_loss,
    attention_outside,
    change_loss,
    instance_loss,
    map_terms,
    region_weights,
    weighted_laplacian,
)

GOLDEN_NAMES = {'l1': 'rec', 'laplacian': 'lap', 'gradient': 'grad', 'dtssd': 'dtSSD'}


@pytest.fixture(scope='module')
def parts(golden) -> dict[str, np.ndarray]:
    with np.load(golden.path('instance_parts.npz')) as file:
        return dict(file)


def maps(parts, name: str) -> torch.Tensor:
    return torch.from_numpy(parts[name]).float()[None] / (1 if name in ('loss_w4', 'loss_w1') else 255)


def test_every_published_term(parts):
    expected = json.loads(str(parts['loss_json']))
    true = maps(parts, 'loss_gt')
    pred = {stride: maps(parts, f'loss_p_{stride}') for stride in STRIDES}
    weights = {'os1': maps(parts, 'loss_w1'), 'os4': maps(parts, 'loss_w4'),
               'os8': region_weights(pred['os8'], true)}
    for stride in STRIDES:
        for name, value in map_terms(pred[stride], true, weights[stride], InstanceLossWeights()).items():
            # the release runs its Laplacian as if there were three channels
            factor = 3 if name == 'laplacian' else 1
            assert float(value) * factor == pytest.approx(expected[f'loss_{GOLDEN_NAMES[name]}_{stride}'], rel=1e-5)
    # Slots without truth are not left out of the release's sums in this case: count both.
    total = instance_loss(pred, true, torch.ones(1, 2, dtype=torch.bool), weights)
    assert float(total['total']) == pytest.approx(expected['total'], rel=1e-5)


def test_laplacian_of_one_slot(parts):
    value = weighted_laplacian(maps(parts, 'loss_p_os1')[:, :, :1], maps(parts, 'loss_gt')[:, :, :1],
                               maps(parts, 'loss_w1')[:, :, :1])
    assert float(value) == pytest.approx(float(parts['lap_weighted_1ch']), rel=1e-5)


def test_attention(parts):
    inside = torch.from_numpy(parts['atten_guidance']).float()
    valid = torch.tensor([[True, True, False]])
    value = attention_outside(torch.from_numpy(parts['atten_map'])[:, None], inside, valid)
    assert float(value) == pytest.approx(float(parts['atten_loss']), rel=1e-5)


def test_attention_on_the_person_costs_nothing():
    true = torch.zeros(1, 2, 3, 32, 32)
    true[:, :, 0, :8, :8] = 0.3
    attention = torch.zeros(1, 3, 3, 2 * 16)
    attention[..., 0] = 1
    assert float(attention_loss(attention, true, torch.tensor([[True, False, False]]))) == 0
    attention = attention.roll(5, -1)
    assert float(attention_loss(attention, true, torch.tensor([[True, False, False]]))) == 0.5      # 1 over 2 frames


def test_change(parts):
    true = torch.from_numpy(parts['temp_gt']).float().amax(1)[None, :, None]
    value = change_loss(torch.from_numpy(parts['temp_df']), torch.from_numpy(parts['temp_db']), true)
    assert float(value) == pytest.approx(json.loads(str(parts['temp_json']))['loss_temp'], rel=1e-5)


def test_slots_that_do_not_count():
    true, pred = torch.zeros(1, 1, 2, 16, 16), torch.rand(1, 1, 2, 16, 16)
    true[:, :, 0, 4:12] = 1
    weights = dict.fromkeys(STRIDES, torch.ones_like(true))
    valid = torch.tensor([[True, False]])
    first = instance_loss(dict.fromkeys(STRIDES, pred), true, valid, weights)
    pred = torch.cat([pred[:, :, :1], torch.rand(1, 1, 1, 16, 16)], 2)
    second = instance_loss(dict.fromkeys(STRIDES, pred), true, valid, weights)
    assert float(first['total']) == float(second['total']) and 'dtssd' not in first


def test_perfect_is_nothing():
    true = torch.rand(1, 2, 2, 32, 32)
    terms = instance_loss(dict.fromkeys(STRIDES, true), true, torch.ones(1, 2, dtype=torch.bool),
                          dict.fromkeys(STRIDES, torch.ones_like(true)))
    assert set(terms) == {'l1', 'laplacian', 'gradient', 'dtssd', 'total'}
    assert float(terms['total']) == 0


def test_weights_are_checked():
    with pytest.raises(ValueError, match='loss weight attention must be at least 0, got -1'):
        InstanceLossWeights(attention=-1)
