"""A static ONNX graph as a TensorFlow function, channels last.

TensorFlow's convolutions and its phones' kernels want NHWC, ONNX is NCHW. Every value remembers which it is: picture
operations keep NHWC and move their axes, everything else asks for the ONNX order and gets a transpose. So no layout is
guessed, and a graph of convolutions has no transpose at all.

Runs in TensorFlow's own environment and imports nothing of this project.
"""

from dataclasses import dataclass

import numpy as np
import onnx
import tensorflow as tf

from operations import OPERATIONS, Value


@dataclass(frozen=True)
class Interface:
    """Names in the order of the file -> shape in NCHW."""

    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]


class Graph:
    """An ONNX file, called with NHWC tensors.

    Args:
        path: of a file whose shapes are all fixed.
    Raises:
        ValueError: it holds an operation that is not in `OPERATIONS`; all of them are named.
    """

    def __init__(self, path: str):
        model = onnx.load(path)
        graph = model.graph
        self.nodes = list(graph.node)
        self.constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.interface = Interface(*({value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
                                      for value in values if value.name not in self.constants}
                                     for values in (graph.input, graph.output)))
        self.facts = {entry.key: entry.value for entry in model.metadata_props}
        unknown = sorted({node.op_type for node in self.nodes} - set(OPERATIONS))
        if unknown:
            raise ValueError(f'no TensorFlow form is written for the ONNX operations {", ".join(unknown)}')

    def __call__(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """NHWC inputs by name -> NHWC outputs by name."""
        values = {name: Value(array) for name, array in self.constants.items()}
        values |= {name: Value(tensor, channels_last=True) for name, tensor in inputs.items()}
        for node in self.nodes:
            arguments = [values[name] if name else None for name in node.input]
            attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
            results = self._run(OPERATIONS[node.op_type], arguments, attributes, len(node.output))
            values.update(zip(node.output, results, strict=True))
        return {name: tf.identity(values[name].last(), name=name) for name in self.interface.outputs}

    @staticmethod
    def _run(operation, arguments: list[Value | None], attributes: dict, outputs: int) -> list[Value]:
        """What depends on constants and shapes only is computed now and becomes a constant itself."""
        known = all(value is None or value.is_constant for value in arguments)
        if not known:
            results = operation(arguments, attributes, outputs)
        else:
            with tf.init_scope():
                results = [Value(np.asarray(value.plain())) for value in operation(arguments, attributes, outputs)]
        return results


def signature(graph: Graph) -> dict[str, tf.TensorSpec]:
    """NHWC inputs for tf.function."""
    return {name: tf.TensorSpec([shape[axis] for axis in (0, 2, 3, 1)], tf.float32, name)
            for name, shape in graph.interface.inputs.items()}
