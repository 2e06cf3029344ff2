"""How much memory a run will need, before it starts."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

GIB = 2 ** 30
PROBE_SIDE = 64  # [px] inside the network


@dataclass(frozen=True)
class Probe:
    """What a pass gives the network.

    Args:
        side: of its square frames [px]. frames: kept for the backward pass at once. clips: in a batch.
        ratio: side inside the network / side.
        arguments: of the call.
    """

    side: int
    frames: int
    clips: int = 1
    ratio: float = 1.
    arguments: Mapping[str, object] = field(default_factory=dict)


def saved_bytes(module: nn.Module, src: Tensor, autocast: AbstractContextManager, **arguments) -> int:
    """Bytes that a forward pass keeps for its backward pass, parameters left out."""
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), autocast:
        outputs = module(src, **arguments)     # held, or storages would be used again and counted once
    del outputs
    return sum(storages.values())


def estimate(network: nn.Module, passes: Mapping[str, Probe], precision_dtype: torch.dtype,
             averaged: bool = False) -> dict[str, float]:
    """[GiB] by what needs it, measured on a small clip on the CPU and scaled by pixels and frames.

    A GPU adds its context and the workspaces of its libraries, about 1 GiB.
    """
    probe = copy.deepcopy(network).cpu().train()
    weights = sum(p.numel() for p in probe.parameters()) * 4 / GIB
    copies = 5 if averaged else 4                         # weights, gradients, two moments of Adam, average
    numbers = {'weights, gradients, optimizer': weights * copies}
    for name, own in passes.items():
        small = round(PROBE_SIDE / own.ratio)
        autocast = torch.autocast('cpu', precision_dtype, enabled=precision_dtype != torch.float32)
        kept = saved_bytes(probe, torch.rand(1, 2, 3, small, small), autocast, **own.arguments)
        scale = (own.side / small) ** 2 * own.frames / 2 * own.clips
        numbers[f'activations of the {name} pass'] = kept * scale / GIB
    numbers['peak'] = numbers['weights, gradients, optimizer'] + max(v for k, v in numbers.items() if 'pass' in k)
    return numbers
