"""The network as a graph of tensors: what every format but TorchScript starts from.

Tracing runs the network once and keeps what happened to tensors. Two things must be said differently for that: the
first state, which is None or one zero to Python, and a downsample ratio that is only known when the file runs.
"""

import torch
from torch import Tensor, nn

from model import MattingNetwork
from model.decoder import ConvGRU
from model.guided_filter import apply_coefficients
from model.instance.spectral import fold_spectral
from model.interface import Interface
from model.ss2d import SS2D

from .onnx_nodes import ResizeByRatio
from .scan import GraphSS2D, Recurrence, double


class FrameGRU(ConvGRU):
    """ConvGRU for one frame and a state that is there; a smaller one, such as a single zero, is repeated.

    Halves are split at a number, not at half of a size that the graph would compute.
    """

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One frame: (B, C, H, W) and its state."""
        if h.shape != x.shape:
            h = h.expand_as(x)
        h = self.step(x, h)
        return h, h

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """One step of the GRU."""
        reset, update = self.ih(torch.cat([x, h], dim=1)).split(self.hh[0].out_channels, dim=1)
        candidate = self.hh(torch.cat([x, reset * h], dim=1))
        return (1 - update) * h + update * candidate

    def on_half(self, x: Tensor, T: int, h: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x.split(self.hh[0].out_channels, dim=1)
        b, h = self(b, h)
        return torch.cat([a, b], dim=1), h


def make_traceable(network: MattingNetwork, recurrence: Recurrence = double) -> MattingNetwork:
    """Change the network in place so that one frame at a time can be traced; it computes the same.

    Args:
        recurrence: of state-space layers; the default suits every tracer, and graphs of one size.
    """
    for module in network.modules():
        if isinstance(module, ConvGRU):
            module.__class__ = FrameGRU
        elif isinstance(module, SS2D):
            module.__class__ = GraphSS2D
            module.recurrence = recurrence
    return fold_spectral(network).eval().requires_grad_(False)


class StaticFrame(nn.Module):
    """One frame at one ratio, which is part of the graph.

    Args:
        network: changed by `make_traceable`. recurrence: see there.
    """

    def __init__(self, network: MattingNetwork, downsample_ratio: float, recurrence: Recurrence = double):
        super().__init__()
        self.network, self.downsample_ratio = make_traceable(network, recurrence), float(downsample_ratio)
        self.eval()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Pictures (B, C, H, W) and full-size states -> outputs and states, see `model.interface`."""
        ratio = [self.downsample_ratio] if self.network.interface.takes_ratio else []
        return tuple(self.network(*tensors, *ratio))

    def examples(self, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        """Inputs for frames of (width, height): grey, and zero states of the size that the network answers."""
        pictures, start = first_inputs(self.network.interface, size, dtype)
        with torch.no_grad():
            return (*pictures, *map(torch.zeros_like, self.network.interface.split(self(*pictures, *start))[1]))


class DynamicFrame(nn.Module):
    """One frame at a ratio that comes with it.

    At ratio 1 the network has no refiner. A graph always has one, so there its linear model is replaced by gain 0 and
    the network's output as offset, which the refiner's resize (by 1) and sum pass on unchanged.

    Args:
        network: changed by `make_traceable`. recurrence: see there.
    """

    def __init__(self, network: MattingNetwork, recurrence: Recurrence):
        super().__init__()
        self.network = make_traceable(network, recurrence)
        self.eval()

    def forward(self, src: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, r4: Tensor,
                downsample_ratio: Tensor) -> tuple[Tensor, ...]:
        """src (B, 3, H, W), states of full size or (1, 1, 1, 1), ratio (1,) float32 -> fgr, pha, r1, r2, r3, r4."""
        network = self.network
        base_src = ResizeByRatio.apply(src, downsample_ratio)
        hid, *rec = network.hidden(base_src, r1, r2, r3, r4)
        out = network.project_mat(hid)
        fgr, pha = out.split([3, 1], dim=1)
        refined = network.refiner.coefficients(base_src, fgr, pha, hid)
        out = out.to(refined.dtype)
        unrefined = torch.cat([torch.zeros_like(out), out], dim=1)
        coefficients = torch.where((downsample_ratio == 1).reshape(1, 1, 1, 1), unrefined, refined)
        fgr, pha = apply_coefficients(coefficients, src)
        return ((fgr + src).clamp(0, 1), pha.clamp(0, 1), *rec)

    def examples(self, size: tuple[int, int], ratio: float, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        """Inputs for a first frame of (width, height)."""
        pictures, start = first_inputs(self.network.interface, size, dtype)
        return (*pictures, *start, torch.tensor([ratio]))


def first_inputs(interface: Interface, size: tuple[int, int], dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    """Grey pictures of (width, height), and a single zero for every state."""
    pictures = [torch.full((1, interface.channels(name), size[1], size[0]), 0.5, dtype=dtype)
                for name in interface.inputs]
    return pictures, [torch.zeros(1, 1, 1, 1, dtype=dtype) for _ in interface.states]
