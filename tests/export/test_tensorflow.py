"""SavedModel, TFLite and TF.js: the frames of PyTorch, by names, in the runtimes that users have."""

import json

import numpy as np
import pytest
import torch

from export import child_network, environments, tensorflow, tfjs, tflite
from export.child import Child
from export.options import ExportOptions
from export.verify import compare, run_clip
from model import reparameterize_model
from model.interface import MATTING

from .networks import RATIO, SIZE, clip, filled_network
from .test_matrix import VARIANTS

FORMATS = {'tensorflow': tensorflow, 'tflite': tflite, 'tfjs': tfjs}
QUICK = [('tflite', 'mobilenetv3'), ('tfjs', 'mobilenetv3')]


def needs(name: str) -> None:
    for environment in ('tensorflow', 'tfjs') if name == 'tfjs' else ('tensorflow',):
        try:
            environments.find(environment)
        except RuntimeError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize('name, variant', [
    pytest.param(name, variant, marks=() if (name, variant) in QUICK else pytest.mark.slow)
    for name in FORMATS for variant in VARIANTS])
def test_eight_recurrent_frames(exported, name, variant):
    needs(name)
    path, said = exported(name, variant)
    network = FORMATS[name].open(path)
    difference = compare(filled_network(variant), network, clip(8, SIZE), RATIO)
    print(f'\n{variant} {name}: {difference}; {said[-1]}')
    assert difference.maximum < 1e-4 and difference.spread > 0.2
    assert network.size == SIZE and network.downsample_ratio == RATIO
    with pytest.raises(ValueError, match='made for frames of 96x64, got 64x48'):
        network(torch.zeros(1, 3, 48, 64))


@pytest.mark.slow
@pytest.mark.parametrize('name', ['tflite', 'tfjs'])
def test_odd_sizes_and_a_ratio_that_leaves_fractions(tmp_path, name):
    """60.6x40.2 pixels inside: samples must follow the ratio and not the rounded size."""
    needs(name)
    path, options = tmp_path / f'odd{FORMATS[name].SUFFIXES[0]}', ExportOptions((101, 67), 0.6, 'fp32', 'static')
    FORMATS[name].write(reparameterize_model(filled_network()), path, options)
    assert compare(filled_network(), FORMATS[name].open(path), clip(4, options.size), 0.6).maximum < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize('name', ['tflite', 'tfjs'])
def test_half_the_size(exported, name):
    """And how far alpha and foreground move."""
    needs(name)
    small, full = (exported(name, precision=precision)[0] for precision in ('fp16', 'fp32'))
    difference = compare(filled_network(), FORMATS[name].open(small), clip(8, SIZE), RATIO)
    sizes = [sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))
             for path in (small, full)]
    print(f'\n{name} fp16: {difference}, {sizes[0] / 1e6:.1f} of {sizes[1] / 1e6:.1f} MB')
    assert difference.maximum < 2e-2 and difference.mean < 1e-3
    assert sizes[0] < sizes[1] * 0.55


def test_tfjs_folder(exported):
    """What a page relies on: channels last, names, no operation that TF.js lacks, weights of the size that is said."""
    needs('tfjs')
    folder = exported('tfjs')[0]
    model = json.loads((folder / 'model.json').read_text())
    width, height = SIZE
    shape = [int(dim['size']) for dim in model['signature']['inputs']['src']['tensorShape']['dim']]
    assert shape == [1, height, width, 3]
    assert set(model['signature']['inputs']) == set(MATTING.frame_names)
    assert set(model['signature']['outputs']) == set(MATTING.names_out)
    assert not any(node['op'].startswith('_') for node in model['modelTopology']['node'])
    manifest, = model['weightsManifest']
    numbers = sum(int(np.prod(weight['shape'])) for weight in manifest['weights'])
    assert 4 * numbers == (folder / manifest['paths'][0]).stat().st_size
    assert model['userDefinedMetadata']['downsample_ratio'] == str(RATIO)


def test_pure_javascript_backend_agrees(exported):
    """The other backend of Node: shares no kernel with WebAssembly."""
    needs('tfjs')
    network = child_network.ChildNetwork(exported('tfjs')[0], child_network.start_node(), backend='cpu')
    expected, got = (run_clip(net, clip(2, SIZE), RATIO) for net in (filled_network(), network))
    torch.testing.assert_close(got[1], expected[1], atol=1e-4, rtol=0)


def test_missing_environment_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv('EXPORT_ENVIRONMENTS', str(tmp_path))
    options = ExportOptions(SIZE, RATIO, 'fp32', 'static')
    with pytest.raises(RuntimeError, match='python -m export.make_environment tensorflow'):
        tflite.write(filled_network(), tmp_path / 'network.tflite', options)
    (tmp_path / 'tfjs').mkdir()
    (tmp_path / 'tfjs' / 'package.json').write_text('{}')
    with pytest.raises(RuntimeError, match='other versions.*python -m export.make_environment tfjs'):
        tfjs.open(tmp_path)


def test_child_that_ends_is_reported():
    child = Child(['sh', '-c', 'echo no such luck >&2; exit 3'])
    with pytest.raises(RuntimeError, match='ended with code 3: no such luck'):
        child.ask('open', path='nowhere')
    child.close()
