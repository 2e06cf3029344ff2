"""What int8 saves and costs: the command that says why it is not offered."""

import importlib.util
import sys

import pytest
import torch

from benchmark import int8
from benchmark.int8 import Frames, first_states, main
from engine.runtimes.pytorch import prepare_network
from model.weights import load_network
from tests.clips import write_clip


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp('int8') / 'in.mkv', 6, (96, 64), codec='ffv1', pix_fmt='bgr0')


@torch.no_grad()
def test_calibration_has_the_states_that_come_before_a_frame(clip):
    network = prepare_network(load_network('default'), torch.device('cpu'), torch.float32)
    frames = Frames(clip, 5, 48)
    assert [tuple(src.shape) for src in frames.small] == [(1, 3, 32, 48)] * 5
    first, fifth = frames.calibration(network)
    assert not any(first[index].any() for index in range(1, 5)) and all(fifth[index].any() for index in range(1, 5))
    _, *rec = network.coefficients(frames.small[0], *first_states(network, frames.small[0]))
    for number in (1, 2, 3):
        _, *rec = network.coefficients(frames.small[number], *rec)
    assert torch.equal(torch.from_numpy(fifth[1]), rec[0]) and torch.equal(torch.from_numpy(fifth[0]), frames.small[4])


def test_without_the_package_it_names_the_install_line(clip, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'nncf', None)
    assert main(['--clips', str(clip), '--frames', '4']) == 2
    assert 'pip install -r requirements/int8.txt' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not all(importlib.util.find_spec(name) for name in ('nncf', 'openvino')),
                    reason='needs nncf and openvino: pip install -r requirements/int8.txt')
def test_each_part_has_a_verdict(clip, monkeypatch, capsys):
    monkeypatch.setattr(int8, 'WARM_UP', 0)
    assert main(['--clips', str(clip), '--frames', '4']) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('| in |')]
    assert len(rows) == len(int8.PARTS) and all('allowed |' in row for row in rows)
