"""SavedModel and TFLite files, opened and run by name."""

import json
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from write import FACTS, KEY


class SavedModelFile:
    """A SavedModel, opened."""

    def __init__(self, path: str):
        self.model = tf.saved_model.load(path)      # the function lives as long as its model
        self.function = self.model.signatures['serving_default']
        self.facts = json.loads((Path(path) / 'assets.extra' / FACTS).read_text())

    def describe(self) -> dict:
        """Inputs and outputs with their shapes, facts, and what runs it."""
        shapes = {name: list(spec.shape) for name, spec in self.function.structured_input_signature[1].items()}
        return {'inputs': shapes, 'outputs': sorted(self.function.structured_outputs), 'facts': self.facts,
                'runtime': f'TensorFlow {tf.__version__}'}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        answer = self.function(**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: tensor.numpy() for name, tensor in answer.items()}


class TFLiteFile:
    """A TFLite file, opened."""

    def __init__(self, path: str):
        threads = int(os.environ.get('OMP_NUM_THREADS') or os.cpu_count() or 1)
        self.interpreter = tf.lite.Interpreter(model_content=Path(path).read_bytes(), num_threads=threads)
        self.runner = self.interpreter.get_signature_runner('serving_default')
        model = flatbuffer_utils.read_model(path)
        entry = next((entry for entry in model.metadata or [] if entry.name == KEY.encode()), None)
        self.facts = json.loads(bytes(model.buffers[entry.buffer].data)) if entry else {}

    def describe(self) -> dict:
        """As of `SavedModelFile`."""
        shapes = {name: detail['shape'].tolist() for name, detail in self.runner.get_input_details().items()}
        return {'inputs': shapes, 'outputs': sorted(self.runner.get_output_details()), 'facts': self.facts,
                'runtime': f'TFLite {tf.__version__}'}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        return {name: np.array(array) for name, array in self.runner(**inputs).items()}


def open_file(path: str, kind: str) -> SavedModelFile | TFLiteFile:
    """By kind: 'saved_model' or 'tflite'."""
    return {'saved_model': SavedModelFile, 'tflite': TFLiteFile}[kind](path)
