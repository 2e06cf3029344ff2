"""The promise of the exporter: every network through every format gives the frames of PyTorch.

The differences are printed with `pytest -m slow -s tests/export/test_matrix.py`.
"""

import importlib.util

import pytest
import torch

from export.formats import Format
from export.verify import compare, run_clip

from .networks import RATIO, SIZE, clip, filled_network

VARIANTS = ('mobilenetv3', 'resnet50', 'mobileone', 'unireplknet', 'mamba')
FILES = (('torchscript', 'dynamic'), ('onnx', 'dynamic'), ('onnx', 'static'), ('openvino', 'dynamic'),
         ('torch_export', 'static'))
PACKAGES = {'onnx': 'onnxruntime', 'openvino': 'openvino'}


def needs(name: str) -> None:
    package = PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f'needs {package}: pip install -r requirements/{name}.txt')


def slow_unless(fast: bool, *values):
    return pytest.param(*values, marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize('variant', [slow_unless(variant == 'mobilenetv3', variant) for variant in VARIANTS])
@pytest.mark.parametrize('name, shapes', [slow_unless(name != 'torch_export', name, shapes) for name, shapes in FILES])
def test_eight_recurrent_frames(exported, name, shapes, variant):
    needs(name)
    path, _ = exported(name, variant, shapes)
    cases = [(SIZE, RATIO)] + ([((49, 35), 1.0), ((101, 67), 0.6)] if shapes == 'dynamic' else [])
    network = Format.load(name).module.open(path)
    for size, ratio in cases:                       # odd sizes, another ratio than that of the export, and no refiner
        difference = compare(filled_network(variant), network, clip(8, size), ratio)
        print(f'\n{variant} {name} {shapes} {size[0]}x{size[1]} ratio {ratio:g}: {difference}')
        assert difference.maximum < 1e-4
        assert difference.spread > 0.2, 'alpha hardly varies: the comparison proves nothing'


def test_states_matter():
    """Otherwise eight recurrent frames would prove no more than one."""
    network, frames = filled_network(), clip()
    last = run_clip(network, frames, RATIO)[-1]
    alone = run_clip(network, frames[-1:], RATIO)[-1]
    assert (last - alone).abs().max() > 0.02
    assert torch.equal(last, run_clip(network, frames, RATIO)[-1])
