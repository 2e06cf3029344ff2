"""SavedModel, TFLite and TF.js files of a graph, with the facts of its ONNX file in each."""

import json
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from graph import Graph, signature
from tfjs import write_graph_model

FACTS = 'matting.json'
KEY = 'matting'         # of the facts in a TFLite file


def convert(onnx: str, output: str, kind: str, precision: str) -> dict:
    """
    Args:
        kind: saved_model, tflite, tfjs.
    """
    graph = Graph(onnx)
    function = tf.function(lambda **inputs: graph(**inputs), autograph=False).get_concrete_function(**signature(graph))
    if kind == 'saved_model':
        write_saved_model(function, output, graph.facts)
    elif kind == 'tflite':
        write_tflite(function, output, graph.facts, precision)
    else:
        write_graph_model(function, list(graph.interface.outputs), output, graph.facts, precision)
    return {}


def write_saved_model(function, output: str, facts: dict[str, str]) -> None:
    """The function as the only signature, facts beside it."""
    module = tf.Module()
    module.function = function      # a SavedModel keeps what its module holds
    tf.saved_model.save(module, output, signatures={'serving_default': function})
    extra = Path(output) / 'assets.extra'
    extra.mkdir()
    (extra / FACTS).write_text(json.dumps(facts))


def write_tflite(function, output: str, facts: dict[str, str], precision: str) -> None:
    """fp16 stores weights in half precision."""
    with tempfile.TemporaryDirectory() as folder:      # only this way names of inputs and outputs reach the file
        write_saved_model(function, folder, facts)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision == 'fp16':
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        content = converter.convert()
    Path(output).write_bytes(add_facts(content, facts))


def add_facts(content: bytes, facts: dict[str, str]) -> bytes:
    """Facts as metadata inside the file."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    entry.name, entry.buffer = KEY.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
