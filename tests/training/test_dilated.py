"""training/dilated.py: the same convolutions, computed otherwise."""

import copy

import pytest
import torch
from torch import nn

from model import MattingNetwork
from training.dilated import SplitDilatedConv2d, split_dilation


def depthwise(kernel, dilation, bias=False):
    return nn.Conv2d(6, 6, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=6, bias=bias)


@pytest.mark.parametrize('kernel, dilation, bias', [(3, 2, False), (5, 2, True), (5, 3, False)])
@pytest.mark.parametrize('size', [(12, 18), (6, 6), (13, 12)])   # the last: no multiple of the dilation
def test_equals_the_ordinary_one_with_its_gradients(kernel, dilation, bias, size):
    plain = nn.Sequential(depthwise(kernel, dilation, bias)).double()
    split = split_dilation(copy.deepcopy(plain))
    assert type(split[0]) is SplitDilatedConv2d and split.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(2, 6, *size, dtype=torch.double)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [network(x) for network, x in zip((plain, split), inputs)]
    slope = torch.randn_like(outputs[0])
    for output in outputs:
        output.backward(slope)
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    torch.testing.assert_close(plain[0].weight.grad, split[0].weight.grad)


def test_leaves_other_convolutions_alone():
    others = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 6, 3, padding=2, dilation=2),
                           nn.Conv2d(6, 6, 3, padding=1, dilation=2, groups=6),
                           nn.Conv2d(6, 6, 3, stride=2, padding=2, dilation=2, groups=6))
    assert all(type(conv) is nn.Conv2d for conv in split_dilation(others))


def test_a_network_answers_the_same():
    network = MattingNetwork('mobilenetv3').eval()
    src = torch.rand(1, 2, 3, 64, 96)
    with torch.no_grad():
        expected = network(src)
        split = split_dilation(network)
        assert sum(type(module) is SplitDilatedConv2d for module in split.modules()) == 3
        for a, b in zip(split(src), expected):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
