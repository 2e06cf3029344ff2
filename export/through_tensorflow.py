"""What the formats of TensorFlow share: a static ONNX file, which TensorFlow's own environment turns into theirs."""

import tempfile
from pathlib import Path

from model import MattingNetwork

from . import onnx
from .child_network import start_tensorflow
from .options import ExportOptions
from .scan import double


def write_by_tensorflow(network: MattingNetwork, path: Path, options: ExportOptions, kind: str) -> None:
    """
    Args:
        kind: saved_model, tflite or tfjs.
    Raises:
        RuntimeError: the environment is missing, or TensorFlow ended.
        ValueError: the network has an operation that we have not written for TensorFlow.
    """
    child = start_tensorflow()      # said to be missing before slow work
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder, 'static.onnx')
        onnx.trace(network, graph, options, double)       # loops of TensorFlow reach neither TFLite nor TF.js
        onnx.finish(graph, onnx.facts(network, options))
        child.ask('convert', onnx=str(graph), output=str(path.resolve()), kind=kind, precision=options.precision)
