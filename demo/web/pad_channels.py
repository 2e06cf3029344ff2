"""Input channels of convolutions brought to a multiple of four, which changes no value.

onnxruntime-web 1.30 computes some convolutions wrongly on WebGPU when the number of input channels is no multiple of
four and that of output channels is (171 -> 80, kernel 3: values off by more than their size; WASM is right; a report of
the same kind is onnxruntime issue 29651). The first convolution of each decoder block is of this kind, for it reads the
three colours beside its features. A channel of zeros with weights of zero goes around that.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

MULTIPLE = 4


def pad_channels(model: onnx.ModelProto) -> int:
    """Pad every ungrouped convolution of more than four input channels, in place.

    Returns:
        How many were padded.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers = [name for node in graph.node for name in node.input] + [value.name for value in graph.output]
    nodes, padded = [], 0
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type == 'Conv' else None
        if weight is None or groups(node) != 1 or weight.dims[1] <= MULTIPLE or weight.dims[1] % MULTIPLE == 0:
            nodes.append(node)
            continue
        missing = -weight.dims[1] % MULTIPLE
        amount = f'{node.output[0]}.channels'
        graph.initializer.append(numpy_helper.from_array(np.int64([0, 0, 0, 0, 0, missing, 0, 0]), amount))
        full = np.pad(numpy_helper.to_array(weight), [(0, 0), (0, missing), (0, 0), (0, 0)])
        graph.initializer.append(numpy_helper.from_array(full, f'{weight.name}.padded'))
        # of joined tensors the last one, which is the small one, is padded
        source = makers.get(node.input[0])
        joined = source is not None and source.op_type == 'Concat' and readers.count(node.input[0]) == 1
        target, at = (source, len(source.input) - 1) if joined else (node, 0)
        pad = helper.make_node('Pad', [target.input[at], amount], [f'{node.output[0]}.padded'], f'{node.name}.pad')
        target.input[at] = pad.output[0]
        node.input[1] = f'{weight.name}.padded'
        nodes.insert(nodes.index(source) if joined else len(nodes), pad)
        nodes.append(node)
        padded += 1
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(graph)
    return padded


def groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == 'group'), 1)


def drop_unread(graph: onnx.GraphProto) -> None:
    """Remove weights that no node reads any more."""
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
