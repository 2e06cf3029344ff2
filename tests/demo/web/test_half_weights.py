"""Weights stored in 16 bits."""

import numpy as np
import pytest

from . import browser  # noqa: F401  (makes demo/web importable)

onnx = pytest.importorskip('onnx', reason='needs onnx: pip install -r requirements/web_demo.txt')
runtime = pytest.importorskip('onnxruntime', reason='needs onnxruntime: pip install -r requirements/web_demo.txt')


def adding(weight: np.ndarray) -> onnx.ModelProto:
    """y = x + weight"""
    make, shape = onnx.helper.make_tensor_value_info, list(weight.shape)
    graph = onnx.helper.make_graph([onnx.helper.make_node('Add', ['x', 'w'], ['y'])], 'g', [make('x', 1, shape)],
                                   [make('y', 1, shape)], [onnx.numpy_helper.from_array(weight, 'w')])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=8)


def test_rounded_and_smaller():
    from half_weights import store_half
    weight = np.linspace(-1, 1, 1000, dtype=np.float32).reshape(10, 100)
    model = adding(weight)
    before = model.ByteSize()
    assert 0 < store_half(model) < 5e-4
    onnx.checker.check_model(model, full_check=True)
    assert model.ByteSize() < 0.6 * before
    got, = runtime.InferenceSession(model.SerializeToString()).run(None, {'x': np.zeros_like(weight)})
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, weight.astype(np.float16).astype(np.float32))


def test_small_tensors_stay():
    from half_weights import store_half
    model = adding(np.ones((3, 3), np.float32))
    assert store_half(model) == 0 and len(model.graph.node) == 1


def test_too_large():
    from half_weights import store_half
    with pytest.raises(ValueError, match='weight w holds 100000, more than float16 can: use --precision fp32'):
        store_half(adding(np.full((10, 10), 1e5, np.float32)))
