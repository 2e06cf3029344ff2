"""State dicts: reading them from files without running code, and loading them with every key accounted for."""

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

NAMES_SHOWN = 4


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a checkpoint file and its metadata; never runs code from the file.

    Accepts .safetensors, and .pth whose state dict is flat or stands under 'state_dict' or 'model'.

    Raises:
        ValueError: the file is damaged, holds anything but tensors, or is not a checkpoint.
    """
    if path.suffix == '.safetensors':
        try:
            with safe_open(path, framework='pt') as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f'checkpoint {path} is damaged or not a safetensors file: {error}') from error
    if _is_torchscript(path):
        raise ValueError(f'checkpoint {path} is a TorchScript archive, not a state dict: load it with torch.jit.load '
                         'and pass it to convert_video as the model')
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f'checkpoint {path} holds Python objects other than tensors and was not loaded, because '
                         'unpickling them could run code: save its state_dict() alone') from error
    except (RuntimeError, EOFError, KeyError, OSError) as error:
        raise ValueError(f'checkpoint {path} is damaged or not a PyTorch file: {_first_line(error)}') from error
    for wrapper in ('state_dict', 'model'):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f'checkpoint {path} is not a state dict: expected a dictionary of tensors')
    return dict(state), {}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


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
