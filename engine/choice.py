"""Engine 'auto': the fastest engine that is installed, measured once on a machine and remembered.

Only networks of ours that split at the small size are measured, and only on a CPU: elsewhere it is PyTorch. The choice
belongs to the CPU, the number of threads, the versions of the libraries and the layers of the network, and stays until
one of them changes. What it depends on is never the clip, nor how busy the machine is today.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn

from files.cache import Cache, digest
from files.terminal import plain
from model.interface import INFERENCE_SIZE

from .base import Engine
from .device import cpu_identity

VARIABLE = 'MATTING_ENGINE'      # names what auto takes, without measuring
TURNS, SECONDS = 6, 4.0          # of each engine, of all together
GAIN = 0.9                       # another engine must take less than that share of PyTorch's time

Factory = Callable[[nn.Module, torch.device, torch.dtype], Engine]


def choose_engine(network: nn.Module, device: torch.device, dtype: torch.dtype, engines: Mapping[str, Factory]) -> str:
    """The name of the engine to take.

    Args:
        engines: name -> what opens it; 'torch' runs everything.
    Raises:
        ValueError: $MATTING_ENGINE names none of them.
    """
    forced = os.environ.get(VARIABLE)
    if forced:
        if forced not in engines:
            raise ValueError(f'${VARIABLE} must be {" or ".join(engines)}, got {forced!r}')
        return forced
    if device.type != 'cpu' or importlib.util.find_spec('openvino') is None or not hasattr(network, 'coefficients'):
        return 'torch'
    from .runtimes.openvino_graph import is_ours, versions
    if not is_ours(network):
        return 'torch'                  # converted anew for every size, in every process
    cache = Cache('engine')
    key = digest(cpu_identity(), f'{torch.get_num_threads()} threads, {dtype}', versions(), repr(network))
    if (stored := cache.load(key)) is not None:
        return json.loads(stored)['engine']
    times = measure(network, device, dtype, engines)
    chosen = min(times, key=lambda name: times[name] * (1 if name == 'torch' else 1 / GAIN))
    cache.store(key, json.dumps({'engine': chosen, 'seconds': times}).encode())
    shown = ', '.join(f'{name} {1e3 * seconds:.0f} ms' for name, seconds in times.items())
    print(plain(f'engine auto: measured once on this machine ({shown} a frame): takes {chosen}'), file=sys.stderr)
    return chosen


def measure(network: nn.Module, device: torch.device, dtype: torch.dtype,
            engines: Mapping[str, Factory]) -> dict[str, float]:
    """Seconds for a frame of the size that the weights are for: the best of turns that the engines take, so that a
    busy moment hits all of them. An engine that cannot run the network is left out."""
    side = getattr(network, 'inference_size', INFERENCE_SIZE)
    src = torch.rand(1, 3, round(side * 9 / 16), side)
    opened: dict[str, Engine] = {}
    past: dict[str, list] = {}
    for name, factory in engines.items():
        try:
            engine = factory(network, device, dtype)
            _, *past[name] = _frame(engine, src, engine.interface.first_states())
            opened[name] = engine
        except (RuntimeError, ValueError):
            if name == 'torch':
                raise
    best, end = dict.fromkeys(opened, float('inf')), time.perf_counter() + SECONDS
    for turn in range(TURNS):
        for name, engine in opened.items():
            started = time.perf_counter()
            _, *past[name] = _frame(engine, src, past[name])
            best[name] = min(best[name], time.perf_counter() - started)
        if turn and time.perf_counter() > end:
            break
    return best


@torch.inference_mode()
def _frame(engine: Engine, src: torch.Tensor, rec: list) -> list:
    return engine.coefficients(src.to(engine.dtype).contiguous(memory_format=torch.channels_last), *rec)
