"""Averaged weights."""

import pytest
import torch
from torch import nn

from training.ema import Ema


def test_average_by_hand():
    network = nn.BatchNorm2d(1)
    ema = Ema(network, 0.75)
    with torch.no_grad():
        network.weight.fill_(5.)
        network.running_mean.fill_(8.)
        network.num_batches_tracked.fill_(3)
    ema.update()
    assert ema.weights()['weight'].item() == 2 and ema.weights()['running_mean'].item() == 2
    assert ema.weights()['num_batches_tracked'].item() == 3
    with ema.applied():
        assert network.weight.item() == 2
    assert network.weight.item() == 5
    assert Ema(network, 0.).weights()['weight'].item() == 5


def test_a_young_average_is_short():
    network = nn.Linear(1, 1, bias=False)
    ema = Ema(network, 0.9)
    for age, decay in ((0, 0.1), (1, 2 / 11), (1000, 0.9), (None, 0.9)):
        before = ema.weights()['weight'].clone()
        with torch.no_grad():
            network.weight.add_(1)
        ema.update(age)
        expected = decay * before + (1 - decay) * network.weight
        assert ema.weights()['weight'].item() == pytest.approx(expected.item())
