"""The page's model is made from a checkpoint, proved, and made again only when something changed."""

import json

import numpy as np
import pytest
import torch

from model import MattingNetwork
from model.weights import save_network

from . import browser  # noqa: F401  (makes demo/web importable)

pytest.importorskip('onnx', reason='needs onnx: pip install -r requirements/web_demo.txt')
pytest.importorskip('onnxruntime', reason='needs onnxruntime: pip install -r requirements/web_demo.txt')
pytest.importorskip('skimage', reason='needs scikit-image: pip install -r requirements/web_demo.txt')


@pytest.fixture
def maker(monkeypatch):
    """make_model with a proof on small frames."""
    import make_model
    frames = np.random.default_rng(0).integers(0, 256, (8, 64, 96, 3), dtype=np.uint8)
    monkeypatch.setattr(make_model, 'SIZE', (96, 64))
    monkeypatch.setattr(make_model, 'sample_frames', lambda count: list(frames[:count]))
    return make_model


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'random.safetensors'
    save_network(MattingNetwork().eval(), path)
    return path


def test_made_once(maker, checkpoint, tmp_path):
    path = tmp_path / 'model' / 'model.onnx'
    told = maker.make_model(str(checkpoint), path, 'fp16')
    assert 'max difference' in told and path.stat().st_size < 8e6
    card = json.loads(path.with_suffix('.json').read_text())
    assert card['precision'] == 'fp16' and card['bytes'] == path.stat().st_size and 'mobilenetv3' in card['network']
    written = path.stat().st_mtime_ns
    assert 'before' in maker.make_model(str(checkpoint), path, 'fp16')
    assert path.stat().st_mtime_ns == written
    maker.make_model(str(checkpoint), path, 'fp32')
    assert path.stat().st_size > 14e6 and json.loads(path.with_suffix('.json').read_text())['precision'] == 'fp32'


def test_a_file_that_fails_its_proof_is_not_left(maker, checkpoint, tmp_path, monkeypatch):
    from export.verify import Limit
    monkeypatch.setitem(maker.LIMITS, 'fp16', Limit(1e-7, 1e-8))
    with pytest.raises(ValueError, match='no file was written'):
        maker.make_model(str(checkpoint), tmp_path / 'model.onnx', 'fp16')
    assert not list(tmp_path.iterdir())


def test_unknown_checkpoint(maker, tmp_path):
    with pytest.raises(FileNotFoundError, match='no such file, and not one of the known names'):
        maker.make_model('nothing.pth', tmp_path / 'model.onnx', 'fp16')
