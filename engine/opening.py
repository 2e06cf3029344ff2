"""From a network, a checkpoint or an exported file to an engine that runs it."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from model.weights import load_network

from .base import Engine
from .choice import choose_engine
from .device import choose_device, choose_precision
from .runtimes import is_exported, open_exported
from .runtimes.openvino import OpenVINOEngine
from .runtimes.pytorch import TorchEngine

ENGINES: dict[str, Callable[[nn.Module, torch.device, torch.dtype], Engine]] = {
    'torch': TorchEngine, 'openvino': OpenVINOEngine}
AUTO_ENGINE = 'auto'
ENGINE_NAMES = (AUTO_ENGINE, *ENGINES)


def open_engine(model: nn.Module | str | Path, device: str | torch.device | None = None,
                dtype: torch.dtype | None = None, engine: str = 'torch') -> Engine:
    """Something to run `model` with.

    Args:
        model: a network, which is copied and not changed: any module that is called as `model.interface` says, or
            like RVM's where it has none. Or a checkpoint, by name or path, or an exported file. An `Engine` is
            answered as it is.
        device, dtype: None keeps the network's own; frozen TorchScript, which cannot tell, needs both. Of a path, None
            is the best here. An exported file has its own dtype.
        engine: a name in `ENGINES`; 'openvino' is for CPUs; 'auto' is the fastest one here (`choice`). An exported
            file is an engine itself.
    Raises:
        ValueError: an unknown engine, or one that cannot run this; no such device.
        FileNotFoundError, RuntimeError: no such file; the engine is not installed.
    """
    if engine not in ENGINE_NAMES:
        raise ValueError(f'engine must be {" or ".join(ENGINE_NAMES)}, got {engine!r}')
    if isinstance(model, str | Path):
        if not is_exported(model):
            model, device = load_network(model), choose_device(device)
            dtype = dtype or choose_precision('auto', device)
        else:
            model = open_exported(model, 'auto' if device is None else str(device))
    if isinstance(model, Engine):
        if engine not in ('torch', AUTO_ENGINE) and not isinstance(model, ENGINES[engine]):
            raise ValueError(f'engine {engine} cannot run {model.label}: leave the engine out')
        return model
    parameter = next(iter(model.parameters()), None)
    if parameter is None and (device is None or dtype is None):
        raise ValueError('model has no parameters to read device and dtype from: give both')
    device = choose_device(device) if device is not None else parameter.device
    dtype = dtype or parameter.dtype
    if engine == AUTO_ENGINE:
        engine = choose_engine(model, device, dtype, ENGINES)
    return ENGINES[engine](model, device, dtype)
