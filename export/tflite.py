"""TensorFlow Lite (LiteRT): phones and microcomputers. Static, channels last, names in its signature.

fp16 stores weights in half precision, half the size; GPUs of phones compute with them as they are, CPUs in single
precision.
"""

from pathlib import Path

from engine.base import ExportedNetwork
from model import MattingNetwork

from .child_network import ChildNetwork, start_tensorflow
from .options import ExportOptions
from .through_tensorflow import write_by_tensorflow
from .verify import FP32, Limit

TITLE = 'TensorFlow Lite (LiteRT): Android, iOS, microcomputers'
SUFFIXES = ('.tflite',)
SHAPES = ('static',)
LIMITS = {'fp32': FP32, 'fp16': Limit(2e-1, 2e-3)}
# Trained weights, clip of the real world: scales of activations chosen at every frame 0.013, fixed ones 0.010 although
# activations had 16 bits, and single pixels were wrong by 1.
REASONS = {'int8': 'its convolutions in 8 bits moved alpha and colour by 0.01 on average: use fp16'}


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    write_by_tensorflow(network, path, options, 'tflite')


def open(path: Path) -> ExportedNetwork:
    """See `formats.Format`."""
    return ChildNetwork(path, start_tensorflow(), kind='tflite')
