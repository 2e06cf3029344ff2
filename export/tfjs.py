"""TensorFlow.js graph model: a folder with model.json and weights, for web pages. Static, channels last.

fp16 stores weights in half precision, half the download; the page computes in single precision.
"""

from pathlib import Path

from engine.base import ExportedNetwork
from model import MattingNetwork

from .child_network import ChildNetwork, start_node
from .options import ExportOptions
from .through_tensorflow import write_by_tensorflow
from .verify import FP32, Limit

TITLE = 'TensorFlow.js graph model: web pages'
SUFFIXES = ('',)
SHAPES = ('static',)
LIMITS = {'fp32': FP32, 'fp16': Limit(1e-1, 2e-3)}
REASONS = {'int8': 'its 8-bit weights share one scale in a tensor: alpha and colour moved by 0.02 on average'}


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    write_by_tensorflow(network, path, options, 'tfjs')


def open(path: Path) -> ExportedNetwork:
    """Run in Node by the WebAssembly backend, which is one of those that pages use."""
    return ChildNetwork(path, start_node(), backend='wasm')
