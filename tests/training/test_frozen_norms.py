"""Norms that keep their statistics, joined with their convolutions: the same values, gradients, names and state."""

import copy

import pytest
import torch
from torch import nn

from model import MattingNetwork
from training.frozen_norms import NormedConv2d, join_norms


def settled(encoder: nn.Module) -> nn.Module:
    """With statistics that joining could get wrong, which it keeps."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
            module.eval()
    return encoder


@pytest.mark.parametrize('variant', ['efficientnet_lite0', 'mobilenetv3',
                                     pytest.param('resnet50', marks=pytest.mark.slow)])
def test_values_and_gradients(variant):
    torch.manual_seed(0)
    plain = settled(MattingNetwork(variant).backbone.train()).double()
    joined = join_norms(copy.deepcopy(plain))
    assert sum(type(module) is NormedConv2d for module in joined.modules()) > 30
    src, results = torch.rand(2, 3, 64, 64, dtype=torch.double), []
    for encoder in (plain, joined, copy.deepcopy(joined)):      # a copy has norms of its own
        encoder.zero_grad()
        features = encoder(src)
        sum(feature.square().mean() for feature in features).backward()
        results.append((features, {name: p.grad for name, p in encoder.named_parameters()}))
    for found in results[1:]:
        torch.testing.assert_close(found, results[0], atol=1e-9, rtol=1e-7)


def test_names_and_a_norm_in_training_mode():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    joined = join_norms(copy.deepcopy(plain))
    assert list(joined.state_dict()) == list(plain.state_dict())
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(joined(x), plain(x))             # of the batch, and the statistics move
    torch.testing.assert_close(joined.state_dict(), plain.state_dict())
    torch.testing.assert_close(joined.eval()(x), plain.eval()(x))
