"""Engine 'auto': measured once, remembered, and PyTorch wherever there is no choice."""

import pytest
import torch

from engine import choice
from engine.choice import choose_engine
from engine.opening import ENGINES, open_engine
from model import MattingNetwork
from tests.clips import BrightnessNetwork

CPU = torch.device('cpu')


@pytest.fixture
def times(tmp_path, monkeypatch):
    """Times that a measurement finds, and how often there was one."""
    monkeypatch.setenv('MATTING_CACHE', str(tmp_path))
    monkeypatch.delenv('MATTING_ENGINE')
    found = {'torch': 0.1, 'openvino': 0.05, 'measured': 0}

    def measure(network, device, dtype, engines):
        found['measured'] += 1
        return {name: found[name] for name in engines if found[name] is not None}
    monkeypatch.setattr(choice, 'measure', measure)
    return found


def chosen(network=None, dtype=torch.float32) -> str:
    return choose_engine(network or MattingNetwork(), CPU, dtype, ENGINES)


def test_measured_once_and_remembered(times, capsys):
    pytest.importorskip('openvino', reason='needs openvino: pip install -r requirements/openvino.txt')
    assert chosen() == 'openvino'
    assert 'engine auto: measured once on this machine (torch 100 ms, openvino 50 ms a frame): takes openvino' in \
        capsys.readouterr().err
    times['openvino'] = 1.          # a busy day
    assert chosen() == 'openvino' and times['measured'] == 1 and not capsys.readouterr().err
    assert chosen(MattingNetwork('resnet50')) == 'torch' and times['measured'] == 2      # other layers
    assert chosen(dtype=torch.bfloat16) == 'torch' and times['measured'] == 3


@pytest.mark.parametrize('seconds', [0.095, None])
def test_hardly_faster_or_unable_is_not_taken(times, seconds):
    pytest.importorskip('openvino', reason='needs openvino: pip install -r requirements/openvino.txt')
    times['openvino'] = seconds
    assert chosen() == 'torch'


def test_no_choice_is_not_measured(times, monkeypatch):
    assert chosen(BrightnessNetwork()) == 'torch'                            # code of others
    assert choose_engine(MattingNetwork(), torch.device('cuda'), torch.float32, ENGINES) == 'torch'
    monkeypatch.setattr(choice.importlib.util, 'find_spec', lambda name: None)
    assert chosen() == 'torch' and times['measured'] == 0


def test_the_environment_decides(times, monkeypatch):
    monkeypatch.setenv('MATTING_ENGINE', 'torch')
    assert open_engine(MattingNetwork(), 'cpu', engine='auto').label.startswith('PyTorch')
    monkeypatch.setenv('MATTING_ENGINE', 'fast')
    with pytest.raises(ValueError, match='MATTING_ENGINE must be torch or openvino, got .fast'):
        chosen()
    assert times['measured'] == 0


@pytest.mark.slow
def test_a_measurement(monkeypatch):
    network = MattingNetwork()
    network.inference_size = 64

    def broken(network, device, dtype):
        raise RuntimeError('no conversion rule')
    found = choice.measure(network, CPU, torch.float32, ENGINES | {'broken': broken})
    assert set(found) <= set(ENGINES) and 'broken' not in found and min(found.values()) > 0
