"""Timing one network, tensor to tensor."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from cli.memory import peak_memory_mb, reset_peak_memory
from engine.frames import stand_ins, to_device
from engine.matter import Matter
from engine.runtimes.pytorch import prepare_network
from model.interface import interface_of

from .machine import EnergyMeter, synchronise


@dataclass
class NetworkTiming:
    """How fast a network is, one frame at a time."""

    measured: str                       # what one iteration does
    iterations: int
    fps: float
    latency_median_ms: float
    latency_p95_ms: float
    peak_memory_mb: float | None        # see `cli.memory`
    energy_per_frame_j: float | None
    energy_source: str


def count_multiply_adds(model: nn.Module, width: int, height: int, ratio: float = 1.0) -> int:
    """Multiply-adds of convolutions and matrix products for one frame.

    Guided filters are not counted: networks with one are shown a frame of the size inside them. The refiner of networks
    with a plate is. Custom kernels (a scan) are not counted.
    """
    interface, device = interface_of(model), next(model.parameters()).device
    if not interface.refines:
        width, height, ratio = int(width * ratio), int(height * ratio), 1.0
    pictures = stand_ins(interface, torch.zeros(1, 3, height, width, device=device))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(*pictures.values(), *interface.first_states(), *([ratio] if interface.takes_ratio else []))
    return counter.get_total_flops() // 2


def network_step(model: nn.Module, pixels: np.ndarray, ratio: float, device: torch.device, dtype: torch.dtype,
                 refine: bool = True, script: bool = False) -> tuple[str, Callable[[], None]]:
    """One call of the network on a frame that is already a tensor on the device, as the converter prepares both.

    Args:
        pixels: (H, W, 3) uint8 or uint16.
        refine: False runs the network at the small size and stops there.
        script: as frozen TorchScript.
    Returns:
        What it does, in words, and a function of no arguments that does it and carries the states.
    """
    network = prepare_network(model, device, dtype)
    if script:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='.*torch.jit.*')           # deprecated, and still the fast form
            network = torch.jit.freeze(torch.jit.script(network))
    src = to_device(pixels, device)[None].to(dtype)
    if device.type == 'cpu':
        src = src.contiguous(memory_format=torch.channels_last)
    interface = interface_of(model)
    pictures, rec = list(stand_ins(interface, src).values()), interface.first_states()

    def whole() -> None:
        nonlocal rec
        rec = interface.split(network(*pictures, *rec, *([ratio] if interface.takes_ratio else [])))[1]

    def without_refiner() -> None:
        nonlocal rec
        small = F.interpolate(src, scale_factor=ratio, mode='bilinear', recompute_scale_factor=False)
        rec = interface.split(network(small, *rec, 1.0))[1]

    form = ', frozen TorchScript' if script else ''
    return (f'forward{form}', whole) if refine else (f'forward without refiner{form}', without_refiner)


def matter_step(model: nn.Module, pixels: np.ndarray, ratio: float, device: torch.device, dtype: torch.dtype,
                engine: str) -> tuple[str, Callable[[], None]]:
    """One `Matter.step`, for engines that run a part of the network: an integer frame becomes full-size fgr and pha."""
    matter = Matter(model, ratio, device=device, dtype=dtype, engine=engine)

    cues = stand_ins(matter.interface, torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None])
    cues = {name: cue[0].permute(1, 2, 0).numpy().astype(pixels.dtype) for name, cue in list(cues.items())[1:]}

    def step() -> None:
        matter.step(pixels, **cues)
    return f'Matter.step, {engine}', step


@torch.inference_mode()
def time_step(measured: str, step: Callable[[], None], device: torch.device, iterations: int = 100,
              warm_up: int = 10) -> NetworkTiming:
    """Call `step` again and again, waiting for the device after each call.

    Args:
        iterations: timed calls. warm_up: calls before them that do not count.
    """
    for _ in range(warm_up):
        step()
    synchronise(device)
    if device.type == 'cuda':
        reset_peak_memory(device)
    latencies = []
    with EnergyMeter(device) as meter:
        for _ in range(iterations):
            start = time.perf_counter()
            step()
            synchronise(device)
            latencies.append(time.perf_counter() - start)
    joules = None if meter.joules is None else meter.joules / iterations
    return NetworkTiming(measured, iterations, iterations / sum(latencies), 1000 * float(np.median(latencies)),
                         1000 * float(np.percentile(latencies, 95)), peak_memory_mb(device), joules, meter.source)
