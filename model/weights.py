"""Weights by name or path: what `--checkpoint` means, everywhere in this repository."""

import hashlib
import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .checkpoint_keys import infer_network, load_strictly
from .encoder_registry import ENCODERS
from .model import REFINERS, MattingNetwork

DEFAULT_WEIGHTS = Path(__file__).parent / 'weights' / 'mobilenetv3_default.safetensors'


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that their authors publish and the user downloads."""

    url: str
    licence: str


PUBLISHED: dict[str, PublishedWeights] = {
    'rvm_mobilenetv3': PublishedWeights(
        'https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_mobilenetv3.pth', 'GPL-3.0'),
    'rvm_resnet50': PublishedWeights(
        'https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_resnet50.pth', 'GPL-3.0'),
}


def resolve_checkpoint(checkpoint: str | Path, progress: bool = True) -> Path:
    """A name or a path -> a file on this machine; published weights are downloaded to the torch hub cache.

    Args:
        checkpoint: 'default', a name in `PUBLISHED`, or the path of a .pth or .safetensors file.
        progress: show the download.
    Raises:
        FileNotFoundError: no such file, and not a known name; or no default weights in this clone.
        RuntimeError: the download failed.
        ValueError: a cached download is not what was downloaded first.
    """
    if str(checkpoint) in PUBLISHED:
        return _download(str(checkpoint), progress)
    if str(checkpoint) == 'default':
        if not DEFAULT_WEIGHTS.is_file():
            raise FileNotFoundError(
                f'checkpoint "default": this clone has no weights of its own yet ({DEFAULT_WEIGHTS.name}); use '
                'rvm_mobilenetv3 (official RVM weights, GPL-3.0, downloaded once) or the path of a file')
        return DEFAULT_WEIGHTS
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {str(checkpoint)!r}: no such file, and not one of the known names '
                                f'({", ".join(["default", *PUBLISHED])})')
    return path


def _download(name: str, progress: bool) -> Path:
    """Fetch once; record the SHA-256 of the first download beside the file and verify it ever after."""
    published = PUBLISHED[name]
    path = Path(torch.hub.get_dir()) / 'checkpoints' / f'{name}.pth'
    record = path.with_suffix('.pth.sha256')
    if not path.is_file():
        print(f'downloading {name} ({published.licence}) from {published.url}')
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(published.url, str(path), progress=progress)
        except (URLError, OSError) as error:
            raise RuntimeError(f'cannot download {name}: {error}; check the network, or save {published.url} '
                               f'as {path}') from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not record.is_file():
        record.write_text(digest + '\n')
    elif record.read_text().strip() != digest:
        raise ValueError(f'{path} has changed since it was downloaded (SHA-256 {digest[:12]}, recorded '
                         f'{record.read_text()[:12]}): delete it to download it again')
    return path


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


def load_network(checkpoint: str | Path = 'default', variant: str | None = None, refiner: str | None = None,
                 progress: bool = True) -> MattingNetwork:
    """Build the network that a checkpoint belongs to and load it, every key accounted for.

    Args:
        checkpoint: as in `resolve_checkpoint`.
        variant, refiner: read from the checkpoint when None; given, they must agree with it. One exception: the fast
            guided filter has no weights, so it may replace a trained refiner, whose keys are then listed as dropped.
    Returns:
        The network in eval mode, float32, on the CPU.
    Raises:
        ValueError: the checkpoint belongs to another network; the message names what differs.
    """
    if variant is not None and variant not in ENCODERS:
        raise ValueError(f'variant must be one of {", ".join(ENCODERS)}, got {variant!r}')
    if refiner is not None and refiner not in REFINERS:
        raise ValueError(f'refiner must be one of {", ".join(REFINERS)}, got {refiner!r}')
    path = resolve_checkpoint(checkpoint, progress)
    state, _ = read_state(path)
    found = infer_network(state)
    if found is None:
        model = MattingNetwork(variant or 'mobilenetv3', refiner or 'deep_guided_filter')
        load_strictly(model, state, f'checkpoint {path}')
    found_variant, found_refiner = found
    if variant not in (None, found_variant):
        raise ValueError(f'checkpoint {path} is a {found_variant} network, asked for {variant}: '
                         'leave the variant out or name another checkpoint')
    if refiner not in (None, found_refiner):
        if refiner != 'fast_guided_filter':
            raise ValueError(f'checkpoint {path} has no weights for the {refiner}: leave the refiner out')
        dropped = [name for name in state if name.startswith('refiner.')]
        print(f'{path.name}: fast_guided_filter replaces the trained refiner; not loaded: {", ".join(dropped)}')
        state = {name: tensor for name, tensor in state.items() if name not in dropped}
    model = MattingNetwork(found_variant, refiner or found_refiner)
    load_strictly(model, state, f'checkpoint {path}')
    return model.eval()


def save_network(model: MattingNetwork, path: str | Path) -> None:
    """Write a checkpoint that `load_network` reads: .safetensors (with variant and refiner as metadata) or .pth.

    The file appears under its name only when it is complete.
    """
    path = Path(path)
    if path.suffix not in ('.safetensors', '.pth'):
        raise ValueError(f'checkpoint name must end in .safetensors or .pth, got {path.name!r}')
    partial = path.with_name(f'{path.stem}.partial{path.suffix}')
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    try:
        if path.suffix == '.safetensors':
            save_file(state, partial, {'format': 'pt', 'variant': model.variant, 'refiner': model.refiner_name})
        else:
            torch.save(state, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
