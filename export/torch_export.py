"""torch.export program (.pt2): PyTorch without our classes, input of AOTInductor and ExecuTorch."""

import warnings
from pathlib import Path

import torch

from engine.base import ExportedNetwork
from engine.runtimes.torch_export import TorchExportNetwork
from model import MattingNetwork

from .options import ExportOptions
from .tracing import StaticFrame
from .verify import FP32, Limit

TITLE = 'torch.export program: AOTInductor, ExecuTorch, PyTorch without this repository'
SUFFIXES = ('.pt2',)
SHAPES = ('static',)
LIMITS = {'fp32': FP32, 'fp16': Limit(5e-2, 2e-3)}
REASONS = {'int8': 'quantisation is the business of the backend that lowers the program'}


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    dtype = torch.float16 if options.precision == 'fp16' else torch.float32
    module = StaticFrame(network.to(dtype), options.ratio)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')       # of deprecations inside torch
        program = torch.export.export(module, module.examples(options.size, dtype), strict=False)
    torch.export.save(program, str(path), extra_files={
        'downsample_ratio': repr(options.ratio), **network.facts()})


def open(path: Path) -> ExportedNetwork:
    """See `formats.Format`."""
    return TorchExportNetwork(path)
