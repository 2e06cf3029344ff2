"""Frames on their way to a device: the same numbers by the way of integers as by the way of floats."""

import numpy as np
import pytest
import torch

from engine.frames import as_planes, planar, sent, to_device
from engine.prediction import DensePrediction, shrink

CPU = torch.device('cpu')


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_integers_that_travel_are_the_floats_that_stay(dtype):
    largest = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, largest, (7, 9, 3), dtype, endpoint=True)
    pixels[0, 0] = 0, largest, largest // 2 + 1
    scale = 1 / float(largest)
    assert torch.equal(as_planes(sent(pixels, CPU), scale), planar(pixels) * scale)
    assert torch.equal(to_device(pixels, CPU), planar(pixels) * scale)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_on_a_gpu(dtype):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (40, 60, 3), dtype, endpoint=True)
    assert torch.allclose(to_device(pixels, torch.device('cuda')).cpu(), to_device(pixels, CPU))
    pha = torch.rand(1, 1080, 1920)
    small = DensePrediction({'pha': pha.cuda()}, (1080, 1920)).small_alpha()
    assert small.shape == (288, 512) and np.allclose(small, shrink(pha)[0], atol=1e-5)


def test_shrinking_keeps_the_mean():
    pha = torch.rand(1, 1080, 1920)
    small = shrink(pha)
    assert small.shape == (1, 288, 512) and small.mean() == pytest.approx(float(pha.mean()), abs=1e-3)
    assert shrink(small) is small
