"""Exported files as networks of the converter, the batch converter and the benchmark."""

import sys

import numpy as np
import pytest
import torch

pytest.importorskip('onnx', reason='needs onnx: pip install -r requirements/onnx.txt')
pytest.importorskip('onnxruntime', reason='needs onnxruntime: pip install -r requirements/onnx.txt')

from converter.command import main
from engine.base import graph_ratio
from engine.runtimes import open_exported
from engine.runtimes.onnx import OnnxNetwork, choose_providers
from evaluation.predict import load_model
from export.formats import Format
from export.options import ExportOptions
from inference import convert_video
from inference_utils import Matter, VideoReader
from model import reparameterize_model
from tests.clips import write_clip
from tests.export.networks import RATIO, SIZE, clip, filled_network


def run(*flags: str) -> int:
    return main([*map(str, flags), '--disable-progress'])


def last_frame(path) -> np.ndarray:
    return [frame.pixels for frame in VideoReader(path)][-1].astype(int)


@pytest.mark.parametrize('name, shapes', [('onnx', 'dynamic'), ('onnx', 'static'), ('torchscript', 'dynamic'),
                                          ('openvino', 'static'),
                                          pytest.param('torch_export', 'static', marks=pytest.mark.slow)])
def test_converter_with_an_exported_file(exported, tmp_path, capsys, name, shapes):
    if name == 'openvino':
        pytest.importorskip('openvino', reason='needs openvino: pip install -r requirements/openvino.txt')
    path = exported(name, shapes=shapes)[0]
    source = write_clip(tmp_path / 'in.mkv', 6, SIZE)
    ratio = [] if shapes == 'static' else ['--downsample-ratio', RATIO]         # a static file brings its own
    assert run(source, '--checkpoint', path, '--output-alpha', tmp_path / 'alpha.mkv', *ratio) == 0
    convert_video(filled_network(), source, downsample_ratio=RATIO, output_alpha=tmp_path / 'plain.mkv', progress=False)
    assert np.abs(last_frame(tmp_path / 'alpha.mkv') - last_frame(tmp_path / 'plain.mkv')).max() <= 2
    assert f'{path.name}, ' in capsys.readouterr().out
    assert np.ptp(last_frame(tmp_path / 'alpha.mkv')) > 50


@pytest.mark.parametrize('name', ['onnx', 'openvino', 'torchscript'])
def test_dynamic_files_say_what_size_the_weights_are_for(tmp_path, name):
    if name == 'openvino':
        pytest.importorskip('openvino', reason='needs openvino: pip install -r requirements/openvino.txt')
    network, module = reparameterize_model(filled_network()), Format.load(name).module      # a copy
    network.inference_size = 320
    path = tmp_path / f'net{module.SUFFIXES[0]}'
    module.write(network, path, ExportOptions(SIZE, RATIO))
    assert Matter(module.open(path)).internal_size(640, 360) == (320, 180)
    assert ExportOptions((640, 360), inference_size=320).ratio == 0.5


@pytest.mark.parametrize('flags, message', [
    (['--input-resize', '80', '64'], 'is made for frames of 96x64, got 80x64: resize the input (--input-resize 96 64)'),
    (['--downsample-ratio', '0.25'], 'is made for downsample_ratio 0.5, got 0.25'),
    (['--precision', 'bf16'], '--precision bf16 cannot be combined with the exported file'),
    (['--engine', 'openvino'], '--engine openvino cannot be combined with the exported file'),
    (['--variant', 'resnet50'], '--variant resnet50 cannot be combined'),
    (['--device', 'cuda:7'], 'device cuda:7: this onnxruntime has'),
])
def test_what_does_not_fit_a_static_file_is_one_line(exported, tmp_path, capsys, flags, message):
    source = write_clip(tmp_path / 'in.mkv', 2, SIZE)
    path = exported('onnx', shapes='static')[0]
    assert run(source, '--checkpoint', path, '-o', tmp_path / 'out.mp4', *flags) == 2
    err = capsys.readouterr().err
    assert message in err and err.count('\n') == 1
    assert not (tmp_path / 'out.mp4').exists()


def test_missing_and_foreign_files(tmp_path, capsys):
    source = write_clip(tmp_path / 'in.mkv', 2, SIZE)
    assert run(source, '--checkpoint', tmp_path / 'none.onnx', '-o', tmp_path / 'out.mp4') == 2
    assert "none.onnx': no such file" in capsys.readouterr().err
    (tmp_path / 'bad.onnx').write_bytes(b'no protobuf')
    (tmp_path / 'bad.torchscript').write_bytes(b'no zip')
    (tmp_path / 'bad.pt2').write_bytes(b'no zip')
    for name in ('bad.onnx', 'bad.torchscript', 'bad.pt2'):
        assert run(source, '--checkpoint', tmp_path / name, '-o', tmp_path / 'out.mp4') == 2
        *notes, error = capsys.readouterr().err.splitlines()
        assert name in error and len(notes) == (name == 'bad.torchscript')     # that it runs code is said first


def test_another_onnx_file_is_refused(tmp_path):
    import onnx
    info = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in 'xy']
    graph = onnx.helper.make_graph([onnx.helper.make_node('Relu', ['x'], ['y'])], 'g', info[:1], info[1:])
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid('', 17)]),
              tmp_path / 'x.onnx')
    with pytest.raises(ValueError, match='expected src, r1i, .* got x -> y: not a matting network'):
        OnnxNetwork(tmp_path / 'x.onnx')


def test_states_on_a_device_give_the_same(exported):
    """The path of GPUs, bound inputs and outputs, played on the CPU."""
    path, frames = exported('onnx')[0], clip(3)
    plain, bound = OnnxNetwork(path, 'cpu'), OnnxNetwork(path, 'cpu')
    bound._run = lambda feed: OnnxNetwork.run_bound(bound, feed)
    for network in (plain, bound):
        matter = Matter(network, RATIO)
        network.results = [matter.step(frame)[1] for frame in frames]
    for a, b in zip(plain.results, bound.results, strict=True):
        torch.testing.assert_close(a, b)


def test_matter_forgets_states_when_the_size_changes(exported):
    matter = Matter(open_exported(exported('onnx')[0]))
    for size in ((96, 64), (49, 35)):
        pha = matter.step(clip(1, size)[0])[1]
        assert pha.shape == (1, size[1], size[0])


def test_benchmark_runs_exported_files(exported):
    model = load_model(str(exported('onnx', shapes='static')[0]))
    assert model.downsample_ratio == RATIO
    with pytest.raises(ValueError, match='has its own precision'):
        load_model(str(exported('onnx')[0]), precision='bf16')


@pytest.mark.parametrize('side', [854, 1280, 480, 1920, 1080, 97])
def test_ratio_in_single_precision_keeps_the_size(side):
    for ratio in (512 / 854, 0.1, 1 / 3, 0.375, 0.6, 512 / 1920, 1.0):
        assert int(np.float32(side) * graph_ratio(ratio, side, side)) == int(side * ratio)


def test_providers():
    cpu, gpu = ['CPUExecutionProvider'], ['CUDAExecutionProvider', 'CPUExecutionProvider']
    assert choose_providers('auto', cpu) == (cpu, ('cpu', 0))
    assert choose_providers('cpu', gpu) == (cpu, ('cpu', 0))
    assert choose_providers('auto', gpu) == ([('CUDAExecutionProvider', {'device_id': 0}), cpu[0]], ('cuda', 0))
    assert choose_providers('cuda:1', gpu)[1] == ('cuda', 1)
    with pytest.raises(ValueError, match='install onnxruntime-gpu for CUDA'):
        choose_providers('cuda', cpu)


@pytest.mark.parametrize('package, name', [('onnxruntime', 'x.onnx'), ('openvino', 'x.xml')])
def test_missing_runtime_names_the_install_line(tmp_path, monkeypatch, package, name):
    (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RuntimeError, match='pip install -r requirements/'):
        open_exported(tmp_path / name)
