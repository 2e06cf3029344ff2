"""A TensorFlow function as a TF.js graph model: model.json and one file of weights.

Format: the graph in protobuf's JSON without the values of its constants, which lie in the weight file one after the
other, and a list of their names, shapes and types. Written here and not by the package tensorflowjs, whose last
release needs packages that exclude this TensorFlow and fuses activations that no TF.js backend knows.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.core.framework import graph_pb2

WEIGHTS = 'group1-shard1of1.bin'
SMALLEST = 64           # numbers; less saves nothing
TYPES = {np.dtype(np.float32): 'float32', np.dtype(np.int32): 'int32', np.dtype(np.bool_): 'bool'}


def write_graph_model(function, outputs: list[str], folder: str, facts: dict[str, str], precision: str) -> None:
    """
    Args:
        outputs: names of the nodes that the page asks for.
        precision: fp32, or fp16: weights are stored in half precision and computed with in single.
    """
    graph = tf.compat.v1.graph_util.extract_sub_graph(function.graph.as_graph_def(), outputs)
    entries, content = take_weights(graph, precision)
    tensors = {tensor.op.name: tensor for tensor in function.inputs}
    specs = {'inputs': {name: describe(tensor, name) for name, tensor in tensors.items()},
             'outputs': {name: describe(function.graph.get_tensor_by_name(f'{name}:0'), name) for name in outputs}}
    model = {'format': 'graph-model', 'generatedBy': tf.__version__, 'convertedBy': 'export.py', 'signature': specs,
             'modelTopology': MessageToDict(graph), 'userDefinedMetadata': facts,
             'weightsManifest': [{'paths': [WEIGHTS], 'weights': entries}]}
    Path(folder).mkdir()
    Path(folder, WEIGHTS).write_bytes(content)
    Path(folder, 'model.json').write_text(json.dumps(model))


def take_weights(graph: graph_pb2.GraphDef, precision: str) -> tuple[list[dict], bytes]:
    """Empty the constants of the graph; their entries in the manifest, and their bytes."""
    entries, parts = [], []
    for node in graph.node:
        if node.op != 'Const':
            continue
        array = tf.make_ndarray(node.attr['value'].tensor)
        if array.dtype == np.int64:                    # sizes; JavaScript has no such type
            array = array.astype(np.int32)
            node.attr['dtype'].type = tf.int32.as_datatype_enum
        shape = list(array.shape)
        node.attr['value'].tensor.Clear()
        node.attr['value'].tensor.dtype = node.attr['dtype'].type
        node.attr['value'].tensor.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
        entry = {'name': node.name, 'shape': shape, 'dtype': TYPES[array.dtype]}
        if precision == 'fp16' and array.dtype == np.float32 and array.size >= SMALLEST:
            entry['quantization'] = {'dtype': 'float16', 'original_dtype': 'float32'}
            array = array.astype(np.float16)
        entries.append(entry)
        parts.append(array.tobytes())
    return entries, b''.join(parts)


def describe(tensor: tf.Tensor, name: str) -> dict:
    """Name, type and shape of a tensor, as TF.js wants them."""
    return {'name': f'{name}:0', 'dtype': 'DT_FLOAT',
            'tensorShape': {'dim': [{'size': str(n)} for n in tensor.shape]}}
