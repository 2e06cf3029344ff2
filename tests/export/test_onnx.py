"""ONNX: the published interface, free sizes, static graphs without sizes, precisions."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

onnx = pytest.importorskip('onnx', reason='needs onnx: pip install -r requirements/onnx.txt')
ort = pytest.importorskip('onnxruntime', reason='needs onnxruntime: pip install -r requirements/onnx.txt')

from engine.matter import Matter  # noqa: E402
from export.onnx import write_float  # noqa: E402
from export.onnx_nodes import ResizeByRatio, ScanRecurrence, expand_recurrences  # noqa: E402
from export.onnx_precision import check_finite  # noqa: E402
from export.options import ExportOptions  # noqa: E402
from export.scan import GraphSS2D, double  # noqa: E402
from model.ss2d import SS2D  # noqa: E402

from .networks import RATIO, SIZE, clip, filled_network  # noqa: E402


def program_for_published_files(path: str, frames: list[np.ndarray], ratio: float) -> list[np.ndarray]:
    """What people wrote for RVM's ONNX files: knows names and shapes, numpy and onnxruntime, and nothing of ours."""
    session = ort.InferenceSession(path, providers=['CPUExecutionProvider'])
    rec = [np.zeros([1, 1, 1, 1], dtype=np.float32)] * 4
    downsample_ratio = np.array([ratio], dtype=np.float32)
    phas = []
    for src in frames:
        fgr, pha, *rec = session.run([], {'src': src, 'r1i': rec[0], 'r2i': rec[1], 'r3i': rec[2], 'r4i': rec[3],
                                          'downsample_ratio': downsample_ratio})
        assert fgr.shape == src.shape and fgr.dtype == np.float32
        phas.append(pha)
    return phas


def test_the_programs_of_the_page(exported, tmp_path):
    """documentation/deployment.md: both give what PyTorch gives, states carried."""
    page = (Path(__file__).resolve().parents[2] / 'documentation/deployment.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page.partition('### Python')[2].partition('### C++')[0], re.DOTALL)
    end = """
frames = np.load('frames.npy')
plain = [matte(frame) for frame in frames]
bound = [matte_on_gpu(frame) for frame in frames]
np.savez('answers.npz', plain=[pha for _, pha in plain], bound=[pha for _, pha in bound], fgr=[fgr for fgr, _ in plain])
"""
    text = '\n'.join(blocks) + end
    text = text.replace('matting.onnx', str(exported('onnx')[0])).replace("DEVICE = 'cuda'", "DEVICE = 'cpu'")
    text = text.replace('onnxruntime.get_available_providers()', "['CPUExecutionProvider']")
    frames = clip(3, SIZE)
    np.save(tmp_path / 'frames.npy', np.stack(frames))
    (tmp_path / 'program.py').write_text(text)
    subprocess.run([sys.executable, 'program.py'], cwd=tmp_path, check=True, timeout=120)
    answers, matter = np.load(tmp_path / 'answers.npz'), Matter(filled_network(), 0.4)
    for number, frame in enumerate(frames):
        fgr, pha = matter.step(frame)[:2]
        for name in ('plain', 'bound'):
            assert abs(answers[name][number] - pha[0].numpy()).max() < 1e-4
        assert abs(answers['fgr'][number] - fgr.permute(1, 2, 0).numpy()).max() < 1e-4


@pytest.mark.parametrize('batch, size, ratio', [(1, (96, 64), 0.5), (2, (131, 97), 0.375), (1, (64, 48), 1.0)])
def test_program_for_published_files_runs_unchanged(exported, batch, size, ratio):
    path, _ = exported('onnx')
    frames = [np.repeat(np.float32(frame.transpose(2, 0, 1)[None]) / 255, batch, 0) for frame in clip(4, size)]
    phas = program_for_published_files(str(path), frames, ratio)
    rec = [None] * 4
    for src, pha in zip(frames, phas, strict=True):
        with torch.inference_mode():
            _, expected, *rec = filled_network()(torch.from_numpy(src), *rec, ratio)
        np.testing.assert_allclose(pha, expected.numpy(), atol=1e-4)
    assert np.ptp(phas[-1]) > 0.2


def test_interface_is_the_published_one(exported):
    session = ort.InferenceSession(exported('onnx')[0], providers=['CPUExecutionProvider'])
    assert [value.name for value in session.get_inputs()] == ['src', 'r1i', 'r2i', 'r3i', 'r4i', 'downsample_ratio']
    assert [value.name for value in session.get_outputs()] == ['fgr', 'pha', 'r1o', 'r2o', 'r3o', 'r4o']
    static = ort.InferenceSession(exported('onnx', shapes='static')[0], providers=['CPUExecutionProvider'])
    shapes = {value.name: value.shape for value in [*static.get_inputs(), *static.get_outputs()]}
    assert shapes['src'] == [1, 3, 64, 96] and shapes['pha'] == [1, 1, 64, 96]
    assert shapes['r1i'] == shapes['r1o'] == [1, 16, 16, 24] and shapes['r4i'] == shapes['r4o'] == [1, 64, 2, 3]
    assert 'downsample_ratio' not in shapes


def test_static_graph_computes_no_sizes(exported):
    """Engines that plan memory ahead (TensorRT, NCNN, DirectML) stumble over shapes computed inside the graph."""
    graph = onnx.load(exported('onnx', shapes='static')[0]).graph
    used = {node.op_type for node in graph.node}
    assert not used & {'Shape', 'If', 'Loop', 'Scan', 'Expand', 'ConstantOfShape', 'NonZero', 'Where'}, used
    constants = {tensor.name for tensor in graph.initializer} | {
        name for node in graph.node if node.op_type == 'Constant' for name in node.output}
    for node in graph.node:
        if node.op_type in ('Resize', 'Slice', 'Reshape'):
            assert all(name in constants or not name for name in node.input[1:]), f'{node.name} has computed sizes'


def test_only_standard_operators(exported):
    for shapes in ('dynamic', 'static'):
        assert {opset.domain for opset in onnx.load(exported('onnx', shapes=shapes)[0]).opset_import} == {''}


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('dim', [1, 2])
def test_recurrences_equal_the_definition(dim, reverse):
    torch.manual_seed(0)
    a, b = torch.rand(2, 5, 9, 3), torch.randn(2, 5, 9, 3)
    order = reversed(range(a.size(dim))) if reverse else range(a.size(dim))
    h, p = torch.zeros_like(b.select(dim, 0)), torch.ones_like(b.select(dim, 0))
    expected_h, expected_p = torch.empty_like(b), torch.empty_like(b)
    for t in order:
        h, p = a.select(dim, t) * h + b.select(dim, t), p * a.select(dim, t)
        expected_h.select(dim, t).copy_(h)
        expected_p.select(dim, t).copy_(p)
    for result in (double(a, b, dim, reverse), run_scan(a, b, dim, reverse)):
        torch.testing.assert_close(result[0], expected_p)
        torch.testing.assert_close(result[1], expected_h)


def run_scan(a, b, dim, reverse):
    """The ONNX nodes of ScanRecurrence, alone."""
    node = onnx.helper.make_node('Recurrence', ['a', 'b'], ['p', 'h'], domain='matting', dim=dim, reverse=int(reverse))
    info = [onnx.helper.make_tensor_value_info(name, 1, ['n', 'r', 's', 'd']) for name in 'abph']
    opsets = [onnx.helper.make_opsetid('', 17), onnx.helper.make_opsetid('matting', 1)]
    graph = onnx.helper.make_graph([node], 'g', info[:2], info[2:])
    model = onnx.helper.make_model(graph, ir_version=8, opset_imports=opsets)
    expand_recurrences(model)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
    return [torch.from_numpy(x) for x in session.run(['p', 'h'], {'a': a.numpy(), 'b': b.numpy()})]


@pytest.mark.parametrize('state_size', [1, 2])
@pytest.mark.parametrize('recurrence', [double, ScanRecurrence.apply])
@torch.no_grad()
def test_graph_of_the_scan_equals_the_layer(state_size, recurrence):
    torch.manual_seed(0)
    layer, x = SS2D(16, state_size), torch.randn(1, 5, 7, 16)
    expected = layer(x)
    layer.__class__, layer.recurrence = GraphSS2D, recurrence
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-4)


def test_resize_by_ratio_equals_the_network():
    from model.model import downsample
    src = torch.rand(1, 3, 33, 47)
    torch.testing.assert_close(ResizeByRatio.apply(src, torch.tensor([0.6])), downsample(src, 0.6))


def test_overflow_of_half_precision_is_found(tmp_path):
    """A tensor inside overflows while the outputs, which are clamped, look fine."""
    loud = copy.deepcopy(filled_network())
    loud.backbone.features[2].block[0][0].weight.data.mul_(3e4)
    path, options = tmp_path / 'x.onnx', ExportOptions(SIZE, RATIO, 'fp16', 'dynamic', clip(2))
    write_float(loud.half(), path, options)
    with pytest.raises(ValueError, match='half precision overflows in .* tensors .*: use --precision fp32'):
        check_finite(path, options.calibration, options)


def test_fp16_interface_and_difference(exported):
    path, said = exported('onnx', precision='fp16')
    session = ort.InferenceSession(path, providers=['CPUExecutionProvider'])
    kinds = {value.name: value.type for value in [*session.get_inputs(), *session.get_outputs()]}
    assert kinds.pop('downsample_ratio') == 'tensor(float)'              # as in the published fp16 files
    assert set(kinds.values()) == {'tensor(float16)'}
    assert path.stat().st_size < 0.6 * exported('onnx')[0].stat().st_size


def test_int8_quantises_what_holds_the_weights(exported):
    path, said = exported('onnx', precision='int8')
    nodes = onnx.load(path).graph.node
    quantised = {name for node in nodes if node.op_type == 'DequantizeLinear' for name in node.output}
    int8 = [node.name for node in nodes if node.op_type == 'Conv' and node.input[0] in quantised]
    assert len(int8) > 10 and not any('gru' in name or 'project_mat' in name or 'refiner' in name for name in int8)
    assert path.stat().st_size < 0.75 * exported('onnx')[0].stat().st_size
    assert 'limit 1, mean 0.01' in said[0]
