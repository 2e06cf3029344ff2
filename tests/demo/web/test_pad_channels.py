"""Convolutions with a multiple of four input channels."""

import numpy as np
import pytest

from . import browser  # noqa: F401  (makes demo/web importable)

onnx = pytest.importorskip('onnx', reason='needs onnx: pip install -r requirements/web_demo.txt')
runtime = pytest.importorskip('onnxruntime', reason='needs onnxruntime: pip install -r requirements/web_demo.txt')
make = onnx.helper.make_tensor_value_info
INPUTS = {'a': (1, 4, 6, 5), 'b': (1, 3, 6, 5)}


def convolving(shared: bool, group: int = 1, channels: int = 7) -> onnx.ModelProto:
    """y = conv(concat(a, b)); `shared`: the concatenation is an output too."""
    weight = np.random.default_rng(0).standard_normal((14, channels // group, 3, 3)).astype(np.float32)
    nodes = [onnx.helper.make_node('Concat', ['a', 'b'], ['ab'], axis=1),
             onnx.helper.make_node('Conv', ['ab', 'w'], ['y'], 'conv', pads=[1, 1, 1, 1], group=group)]
    outputs = [make('y', 1, (1, 14, 6, 5))] + [make('ab', 1, (1, 7, 6, 5))] * shared
    graph = onnx.helper.make_graph(nodes, 'g', [make(name, 1, shape) for name, shape in INPUTS.items()], outputs,
                                   [onnx.numpy_helper.from_array(weight, 'w')])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=8)


def outputs(model: onnx.ModelProto) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    values = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in INPUTS.items()}
    return runtime.InferenceSession(model.SerializeToString()).run(None, values)


def channels_read(model: onnx.ModelProto) -> list[int]:
    weights = {tensor.name: tensor.dims[1] for tensor in model.graph.initializer if len(tensor.dims) == 4}
    return [weights[node.input[1]] for node in model.graph.node if node.op_type == 'Conv']


@pytest.mark.parametrize('shared', [False, True], ids=['last of the joined', 'input itself'])
def test_same_values_with_padded_channels(shared):
    from pad_channels import pad_channels
    model = convolving(shared)
    before = outputs(model)
    assert pad_channels(model) == 1
    onnx.checker.check_model(model, full_check=True)
    assert channels_read(model) == [8] and len(model.graph.initializer) == 2
    for a, b in zip(before, outputs(model), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert pad_channels(model) == 0


def test_grouped_convolutions_stay():
    from pad_channels import pad_channels
    model = convolving(False, group=7)
    assert pad_channels(model) == 0 and channels_read(model) == [1]
