"""Other precisions of an ONNX file: proof that half precision holds every tensor, and quantisation to int8."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from engine.frames import stand_ins, to_device
from engine.runtimes.onnx import OnnxNetwork, require

from .options import ExportOptions

HALF_FRAMES = 2               # the first from zero states, the second from real ones
# Convolutions that stay in float32. Heads and refiner set the values of alpha; GRUs sum up their own rounding from
# frame to frame. Of the others, dense ones with many weights become int8, which hold nearly all bytes.
# Measured on mobilenetv3 (mean difference of alpha over 8 frames): 0.0005 like this, 0.006 with its small early layers
# too, 0.02 with the depthwise ones.
FLOAT_SCOPES = ('project_mat', 'refiner', '/gru/', 'decode0', 'decode1')
MIN_WEIGHTS = 8192


def check_finite(path: Path, frames: list[np.ndarray], options: ExportOptions) -> int:
    """Run frames and look at every floating-point tensor inside the graph.

    Returns:
        The number of tensors.
    Raises:
        ValueError: some overflow; the message names the first ones.
    """
    onnx, runtime = require('onnx'), require('onnxruntime')
    model = onnx.load(path)
    names = [name for node in model.graph.node for name in node.output if name and node.op_type != 'Constant']
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    session_options = runtime.SessionOptions()
    session_options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session_options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), session_options, ['CPUExecutionProvider'])
    network = OnnxNetwork(path, 'cpu')
    bad, count = {}, 0
    for feed in feeds(network, frames[:HALF_FRAMES], options):
        values = dict(zip([output.name for output in session.get_outputs()], session.run(None, feed), strict=True))
        floats = {name: value for name, value in values.items() if np.issubdtype(value.dtype, np.floating)}
        count = len(floats)
        bad |= {name: None for name, value in floats.items() if not np.isfinite(value).all()}
    if bad:
        raise ValueError(f'half precision overflows in {len(bad)} of {count} tensors ({", ".join(list(bad)[:3])} ...): '
                         'use --precision fp32')
    return count


def feeds(network: OnnxNetwork, frames: list[np.ndarray], options: ExportOptions) -> Iterator[dict[str, np.ndarray]]:
    """Inputs of the graph for every frame, with the states that the frame before left."""
    rec = None
    for frame in frames:
        pictures = stand_ins(network.interface, to_device(frame, torch.device('cpu'))[None])
        yield network.feed(pictures, rec, options.ratio)
        rec = network.interface.split(network.run_frame(pictures, rec, options.ratio))[1] or None


def quantise(source: Path, target: Path, options: ExportOptions) -> int:
    """int8 weights (per channel) and uint8 activations for the convolutions of the encoder and the coarse decoder.

    Args:
        source: float32 file. target: of the result. options: its `calibration` frames decide the ranges.
    Returns:
        The number of convolutions in int8.
    """
    onnx = require('onnx')
    require('onnxruntime')
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self._feeds = feeds(OnnxNetwork(source, 'cpu'), options.calibration, options)

        def get_next(self):
            return next(self._feeds, None)

    prepared = source.with_name('prepared.onnx')
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    graph = onnx.load(prepared).graph
    shapes = {tensor.name: tensor.dims for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == 'Conv']
    kept = [node.name for node in convolutions if is_sensitive(node, shapes[node.input[1]])]
    quantize_static(prepared, target, Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=['Conv'],
                    per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    nodes_to_exclude=kept, calibrate_method=CalibrationMethod.MinMax,
                    extra_options={'CalibMovingAverage': True})
    return len(convolutions) - len(kept)


def is_sensitive(convolution, weight_shape) -> bool:
    """Whether an onnx Conv node stays in float32; `weight_shape` is (C_out, C_in / groups, k, k)."""
    depthwise = weight_shape[1] == 1
    small = np.prod(weight_shape) < MIN_WEIGHTS
    return depthwise or small or any(scope in convolution.name for scope in FLOAT_SCOPES)
