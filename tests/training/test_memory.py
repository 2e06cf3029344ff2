"""What a run will need, before it starts."""

import pytest
import torch

from train import memory_needs
from training.clips import ClipNetwork
from training.memory import saved_bytes

from .toys import ToyNetwork, toy_config


def test_pieces_keep_less():
    network, src = ToyNetwork(), torch.rand(1, 8, 3, 16, 16)
    context = torch.autocast('cpu', enabled=False)
    assert saved_bytes(ClipNetwork(network, 1), src, context) < saved_bytes(ClipNetwork(network), src, context) / 2


def test_estimate_follows_frames_and_pixels(tmp_path):
    network = ToyNetwork()
    small = memory_needs(network, toy_config(tmp_path, train_hr=False), 'fp32')
    large = memory_needs(network, toy_config(tmp_path, train_hr=False, resolution_lr=1024, seq_length_lr=30), 'fp32')
    name = 'activations of the lr pass'
    assert large[name] == pytest.approx(8 * small[name])
    half = memory_needs(network, toy_config(tmp_path, train_hr=False), 'bf16')
    assert half[name] < small[name]
