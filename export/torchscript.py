"""TorchScript, frozen: for PyTorch without Python (libtorch), on any device."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.base import ExportedNetwork
from engine.runtimes.torchscript import TorchScriptNetwork
from model import MattingNetwork

from .options import ExportOptions
from .tracing import StaticFrame
from .verify import FP32, Limit

TITLE = 'TorchScript, frozen: libtorch, PyTorch on any device'
SUFFIXES = ('.torchscript', '.pt')
PLATES = True
SHAPES = ('dynamic',)
LIMITS = {'fp32': FP32, 'fp16': Limit(5e-2, 2e-3)}
EXAMPLE_SIZE = 160, 96      # [px] of what is traced
REASONS = {'int8': 'PyTorch has no int8 kernels for every layer: use onnx'}


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    if options.precision == 'fp16':
        network = network.half()
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*torch.jit.*')      # deprecated, and still what libtorch reads
        warnings.filterwarnings('ignore', category=torch.jit.TracerWarning)     # checks of sizes, no choices
        module = traced(network) if 'msk' in network.interface.inputs else network.eval()
        frozen = torch.jit.freeze(torch.jit.script(module).eval(), list(getattr(network, 'settings', ())))
        torch.jit.save(frozen, str(path), _extra_files={
            'precision': options.precision, **network.facts()})


def traced(network: nn.Module) -> nn.Module:
    """The frame step of an instance network, which is changed. It finds boxes in Python, which no script can."""
    frame = StaticFrame(network, 1.)
    examples = frame.examples(EXAMPLE_SIZE, next(network.parameters()).dtype)
    step = torch.jit.trace(frame, examples, check_trace=False)
    return TracedStep(step) if network.interface.states else step


class TracedStep(nn.Module):
    """A traced network that begins by itself, as scripted ones do."""

    def __init__(self, step: nn.Module):
        super().__init__()
        self.step = step

    def forward(self, src: Tensor, msk: Tensor, r1: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As the network."""
        return self.step(src, msk, src.new_zeros(1, 1, 1, 1) if r1 is None else r1)


def open(path: Path) -> ExportedNetwork:
    """See `formats.Format`."""
    return TorchScriptNetwork(path, 'cpu')
