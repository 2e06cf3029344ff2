"""Metrics of several people, against the release and by hand."""

import json

import numpy as np
import pytest
import torch

from metrics.instance import METRICS, OVER_TIME, PROTOCOLS, measure_people, settled, trimap


def test_golden(golden):
    with np.load(golden.path('instance_metrics.npz')) as z:
        pred, true = (torch.from_numpy(z[name][0]).float() / 255 for name in ('pred', 'gt'))
        regions, expected = torch.from_numpy(z['trimap'][0]), json.loads(str(z['values']))
    measured = measure_people(pred, true, 'maggie', regions=regions)
    for ours, theirs in (('mad', 'MAD'), ('mse', 'MSE'), ('sad', 'SAD'), ('grad', 'Grad'), ('conn', 'Conn'),
                         ('mad_fg', 'MAD_fg'), ('mad_bg', 'MAD_bg'), ('mad_unk', 'MAD_unk'),
                         ('dtssd', 'dtSSD_pairs')):
        assert measured[ours] == pytest.approx(expected[theirs], rel=1e-4), ours
    assert measured['messddt'] == pytest.approx(expected['MESSDdt_pairs'], rel=0.02)       # OpenCV's flow


def test_standard_by_hand():
    true = torch.zeros(2, 2, 40, 40)
    true[:, 0, 10:30, 10:30] = 1
    regions = (2 * true).to(torch.uint8)
    pred = true.clone()
    pred[1, 0] += 0.5 * (true[1, 0] == 0)
    measured = measure_people(pred, true, regions=regions)
    wrong = 0.5 * (1600 - 400)
    assert measured['mad'] == pytest.approx(1e3 * wrong / 1600 / 4)
    assert measured['sad'] == pytest.approx(1e-3 * wrong / 4)
    assert measured['dtssd'] == pytest.approx(1e2 * (0.25 * 1200 / 1600) ** 0.5 / 2)
    assert measured['mad_fg'] == 0 and measured['mad_bg'] > 0


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_messddt_forgives_errors_that_move_with_the_person(protocol):
    t, y, x = torch.meshgrid(torch.arange(4.), torch.arange(80.), torch.arange(96.), indexing='ij')
    far = ((x - 40 - 3 * t) ** 2 + (y - 40) ** 2).sqrt() / 1.5
    true, halo = (torch.sigmoid(radius - far)[:, None] for radius in (12, 13))
    flicker = torch.stack([(halo if index % 2 else true)[index] for index in range(4)])
    moving, jumping = (measure_people(pred, true, protocol, ('messddt',))['messddt'] for pred in (halo, flicker))
    assert 0 <= moving < 0.5 * jumping
    assert measure_people(true, true, protocol, ('messddt',))['messddt'] == 0


def test_perfect_and_one_frame():
    true = torch.rand(1, 3, 30, 30)
    measured = measure_people(true, true, 'maggie', ('mad', 'grad', 'conn'))
    assert measured == {'mad': 0, 'grad': 0, 'conn': 0}
    assert not OVER_TIME & set(measure_people(true, true))
    assert settled(torch.tensor([0.003, 0.5, 0.998])).tolist() == [0, 0.5, 1]


def test_trimap_classes():
    true = torch.zeros(1, 1, 100, 100)
    true[..., 20:80, 20:80] = 1
    classes = trimap(true)[0, 0]
    assert classes[50, 50] == 2 and classes[20, 50] == 1 and classes[2, 2] == 0


def test_bad_arguments():
    true = torch.zeros(1, 1, 8, 8)
    with pytest.raises(ValueError, match='protocol must be one of standard, maggie'):
        measure_people(true, true, 'other')
    with pytest.raises(ValueError, match=f'metrics must be among {METRICS[0]}'):
        measure_people(true, true, metrics=('imq',))
    with pytest.raises(ValueError, match='must both be'):
        measure_people(true, true[0])
