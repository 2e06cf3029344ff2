"""Which network a state dict belongs to, and loading that accounts for every key."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from .encoder_registry import ENCODERS
from .model import REFINERS, MattingNetwork

NAMES_SHOWN = 4


def infer_network(state: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """(variant, refiner) whose names and shapes are exactly those of `state`, or None."""
    shapes = {name: tensor.shape for name, tensor in state.items()}
    for variant in ENCODERS:
        for refiner in REFINERS:
            if shapes == _network_shapes(variant, refiner):
                return variant, refiner
    return None


def _network_shapes(variant: str, refiner: str) -> dict[str, torch.Size]:
    with torch.device('meta'):
        network = MattingNetwork(variant, refiner)
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def mismatch_report(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    """One line that counts and names the keys which keep `state` from loading into `model`; '' when it fits."""
    own = model.state_dict()
    parts = [
        ('missing', [name for name in own if name not in state]),
        ('left over', [name for name in state if name not in own]),
        ('of another shape', [f'{name} {list(state[name].shape)} instead of {list(own[name].shape)}'
                              for name in own if name in state and state[name].shape != own[name].shape]),
    ]
    return '; '.join(f'{len(names)} keys {kind} ({_first(names)})' for kind, names in parts if names)


def _first(names: Iterable[str]) -> str:
    names = list(names)
    more = f', and {len(names) - NAMES_SHOWN} more' if len(names) > NAMES_SHOWN else ''
    return ', '.join(names[:NAMES_SHOWN]) + more


def load_strictly(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load every key of `state` into `model`, or raise.

    Raises:
        ValueError: naming `source` and the keys that do not fit.
    """
    report = mismatch_report(model, state)
    if report:
        raise ValueError(f'{source} does not fit this network: {report}')
    model.load_state_dict(state)
