"""TorchScript, frozen: for PyTorch without Python (libtorch), on any device."""

import warnings
from pathlib import Path

import torch

from engine.base import ExportedNetwork
from engine.runtimes.torchscript import TorchScriptNetwork
from model import MattingNetwork

from .options import ExportOptions
from .verify import FP32, Limit

TITLE = 'TorchScript, frozen: libtorch, PyTorch on any device'
SUFFIXES = ('.torchscript', '.pt')
PLATES = True
SHAPES = ('dynamic',)
LIMITS = {'fp32': FP32, 'fp16': Limit(5e-2, 2e-3)}
REASONS = {'int8': 'PyTorch has no int8 kernels for every layer: use onnx'}


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    if options.precision == 'fp16':
        network = network.half()
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*torch.jit.*')      # deprecated, and still what libtorch reads
        frozen = torch.jit.freeze(torch.jit.script(network.eval()), list(getattr(network, 'settings', ())))
        torch.jit.save(frozen, str(path), _extra_files={
            'precision': options.precision, **network.facts()})


def open(path: Path) -> ExportedNetwork:
    """See `formats.Format`."""
    return TorchScriptNetwork(path, 'cpu')
