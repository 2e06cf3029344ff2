"""Two processes on the CPU, started as torchrun starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from training.distributed import Ranks
from training.sync_batch_norm import convert_batch_norm

from .toys import toy_config, toy_trainer

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']


def torchrun(module: str, *arguments, timeout=500):
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    return subprocess.run([*TORCHRUN, '-m', module, *map(str, arguments)], cwd=ROOT, env=environment, timeout=timeout,
                          capture_output=True, text=True)


def test_one_process_is_its_own_group():
    ranks = Ranks(0, 1, torch.device('cpu'))
    assert ranks.is_main and ranks.any(True) and not ranks.any(False) and ranks.sum([1, 2.5]) == [1, 2.5]
    module = nn.Linear(1, 1)
    assert ranks.wrap(module) is module


def test_converted_layers_keep_names_and_tensors():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, eps=0.5, momentum=0.25)))
    before = dict(network.state_dict())
    convert_batch_norm(network, torch.device('cpu'))
    layer = network[1][0]
    assert type(layer) is not nn.BatchNorm2d and (layer.eps, layer.momentum) == (0.5, 0.25)
    assert all(network.state_dict()[name] is value or torch.equal(network.state_dict()[name], value) for name, value in
               before.items())
    plain = nn.BatchNorm2d(4, eps=0.5).eval()
    x = torch.rand(2, 4, 3, 3)
    torch.testing.assert_close(layer.eval()(x), plain(x))


@pytest.mark.slow
def test_two_ranks_equal_one_with_the_double_batch(tmp_path):
    """Gradients, weights after two iterations, running statistics: batch 2 on one rank, 1 on each of two."""
    result = torchrun('tests.training.two_ranks', tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    first, second = (torch.load(tmp_path / f'rank{rank}.pt', weights_only=True) for rank in (0, 1))
    for part in ('gradients', 'network'):
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part]), 'ranks agree'
    from .two_ranks import measure
    one = measure(tmp_path, Ranks(0, 1, torch.device('cpu')), batch_size=2)
    assert one['gradients'].keys() == first['gradients'].keys()
    assert 'refiner.weight' not in one['gradients'] and 'backbone.0.weight' in one['gradients']
    for part in ('gradients', 'network'):
        for name, value in one[part].items():
            torch.testing.assert_close(first[part][name], value, rtol=1e-4, atol=1e-6,
                                       msg=lambda m, name=name: f'{name}: {m}')
    assert first['validation'] == pytest.approx(one['validation'], rel=1e-5)
    assert first['skipped'] == second['skipped'] == 1, 'a bad clip on one rank is skipped on both'


@pytest.mark.slow
def test_two_ranks_train_and_resume_on_one(tmp_path):
    result = torchrun('tests.training.two_ranks', tmp_path, 'train')
    assert result.returncode == 0, result.stderr[-3000:]
    trainer = toy_trainer(toy_config(tmp_path, epoch_end=3))
    state = trainer.checkpoints.load_newest()
    assert state['epoch'] == 2 and state['step'] == 6       # 2 epochs of 6 clips over 2 ranks
    trainer.load_state_dict(state)
    assert trainer.train() and trainer.step == 12
