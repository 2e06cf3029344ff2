"""TensorFlow SavedModel: static, channels last, one signature `serving_default` with the names of the ONNX files."""

from pathlib import Path

from engine.base import ExportedNetwork
from model import MattingNetwork

from .child_network import ChildNetwork, start_tensorflow
from .options import ExportOptions
from .through_tensorflow import write_by_tensorflow
from .verify import FP32

TITLE = 'TensorFlow SavedModel: TensorFlow, TensorFlow Serving'
SUFFIXES = ('',)
SHAPES = ('static',)
LIMITS = {'fp32': FP32}
REASONS = dict.fromkeys(('fp16', 'int8'), 'TensorFlow computes in fp32 on CPUs; for smaller files use tflite')


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    write_by_tensorflow(network, path, options, 'saved_model')


def open(path: Path) -> ExportedNetwork:
    """See `formats.Format`."""
    return ChildNetwork(path, start_tensorflow(), kind='saved_model')
