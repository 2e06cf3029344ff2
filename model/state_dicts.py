"""State dicts: reading them from files without running code, and loading them with every key accounted for."""

import hashlib
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

NAMES_SHOWN = 4
WRAPPERS = 'state_dict', 'model_state_dict', 'model'
PREFIXES = 'module.', '_orig_mod.', 'model.', 'network.'
LARGEST = 1e8           # of a weight: networks that work have nothing near it (variances of inputs 0 to 255 are 1e4)
NO_CHECKPOINTS = [
    (b'<!doctype', 'a web page, not weights: the download went wrong (a login page, or the page about the file)'),
    (b'<html', 'a web page, not weights: the download went wrong (a login page, or the page about the file)'),
    (b'version https://git-lfs', 'a pointer of Git LFS, not the weights themselves: run "git lfs pull"')]


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a checkpoint file and its metadata; never runs code from the file.

    Accepts .safetensors, and .pth whose state dict is flat or stands under one of `WRAPPERS`; names may have the
    prefixes of DataParallel, torch.compile and Lightning.

    Raises:
        ValueError: the file is damaged, holds anything but tensors, or numbers that no network has; or it is not a
            checkpoint. FileNotFoundError, PermissionError: it cannot be read.
    """
    try:
        with open(path, 'rb') as file:
            start = file.read(256).lstrip().lower()
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file') from None
    except OSError as error:
        raise PermissionError(f'checkpoint {path} cannot be read: {error.strerror}') from error
    kind = next((kind for mark, kind in NO_CHECKPOINTS if start.startswith(mark)), None)
    if kind is not None:
        raise ValueError(f'checkpoint {path} is {kind}')
    if path.suffix == '.safetensors':
        try:
            with safe_open(path, framework='pt') as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata() or {}
        except SafetensorError as error:
            raise ValueError(f'checkpoint {path} is damaged or not a safetensors file: {error}') from error
        if 'sha256' in metadata and metadata['sha256'] != checksum(state):
            raise ValueError(f'checkpoint {path} is damaged: its tensors are not those that were saved (SHA-256)')
        check_values(state, path)
        return state, metadata
    if _is_torchscript(path):
        raise ValueError(f'checkpoint {path} is a TorchScript archive, not a state dict: load it with torch.jit.load '
                         'and pass it to convert_video as the model')
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f'checkpoint {path} holds Python objects other than tensors and was not loaded, because '
                         'unpickling them could run code: save its state_dict() alone') from error
    except Exception as error:         # of damaged files its reader raises all kinds
        raise ValueError(f'checkpoint {path} is damaged or not a PyTorch file: {_first_line(error)}') from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    state = without_prefixes(state)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f'checkpoint {path} is not a state dict: expected a dictionary of tensors')
    check_values(state, path)
    return dict(state), {}


def without_prefixes(state: object) -> object:
    """Names as the network has them, when all carry what a wrapper around it has added."""
    if not isinstance(state, dict) or not state or not all(isinstance(name, str) for name in state):
        return state
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return without_prefixes({name.removeprefix(prefix): value for name, value in state.items()})
    return state


def check_values(state: Mapping[str, Tensor], path: Path) -> None:
    """
    Raises:
        ValueError: numbers that are not finite or absurdly large: a training that diverged, or a damaged file.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = tensor.float().aminmax() if tensor.element_size() < 8 else tensor.aminmax()
            if not (float(low) > -LARGEST and float(high) < LARGEST):
                wrong = 'values that are not finite' if not tensor.isfinite().all() else 'absurdly large values'
                raise ValueError(f'checkpoint {path} holds {wrong} ({name}): a training that diverged, or a damaged '
                                 'file')


def checksum(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f'{name} {tensor.dtype} {list(tensor.shape)}'.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b'')
    return digest.hexdigest()


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith('/constants.pkl') for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):      # none, or damaged: see torch.load
        return False


def _first_line(error: Exception) -> str:
    """What it says first; PyTorch goes on for paragraphs."""
    return (str(error).splitlines() or [type(error).__name__])[0].split('. ')[0][:200]


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
