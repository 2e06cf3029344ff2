"""Weights by name or path: what `--checkpoint` means, everywhere in this repository."""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from files import whole_file
from files.terminal import plain

from .downloads import download_once
from .families import build_network, check_variant, nearest, recognise
from .instance.checkpoint import is_instance_state, network_of
from .instance.frames import InstanceFrames
from .interface import INFERENCE_SIZE
from .model import REFINERS
from .state_dicts import checksum, load_strictly, read_state

DEFAULT_WEIGHTS = Path(__file__).parent / 'weights' / 'default.safetensors'
BACKGROUND_WEIGHTS = DEFAULT_WEIGHTS.with_name('background_default.safetensors')      # with a background plate
INSTANCE_WEIGHTS = DEFAULT_WEIGHTS.with_name('instance_default.safetensors')          # a matte for each person
OWN: dict[str, Path] = {'default': DEFAULT_WEIGHTS, 'background_default': BACKGROUND_WEIGHTS,     # of this repository
                        'instance_default': INSTANCE_WEIGHTS}


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that their authors publish and the user downloads. They publish no digests."""

    url: str
    licence: str
    variant: str

    def check(self, path: Path) -> None:
        """
        Raises:
            ValueError: the file holds no numbers of this network: a page, a cut-off or damaged file, another network.
        """
        form = recognise(read_state(path)[0])
        if form is None or form.variant != self.variant:
            found = 'no network we know' if form is None else f'a {form.variant} network'
            raise ValueError(f'{path} is {found}, expected {self.variant}')


PUBLISHED: dict[str, PublishedWeights] = {
    'rvm_mobilenetv3': PublishedWeights(
        'https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_mobilenetv3.pth', 'GPL-3.0',
        'mobilenetv3'),
    'rvm_resnet50': PublishedWeights(
        'https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/rvm_resnet50.pth', 'GPL-3.0',
        'resnet50'),
}

WEIGHT_NAMES = [*OWN, *PUBLISHED]


def resolve_checkpoint(checkpoint: str | Path, progress: bool = True) -> Path:
    """A name or a path -> a file on this machine; published weights are downloaded to the torch hub cache.

    Args:
        checkpoint: a name in `WEIGHT_NAMES`, or the path of a .pth or .safetensors file.
        progress: show the download.
    Raises:
        FileNotFoundError: no such file, and not a known name; or no default weights in this clone.
        RuntimeError: the download failed.
        ValueError: a cached download is not what was downloaded first.
    """
    if str(checkpoint) in PUBLISHED:
        published = PUBLISHED[str(checkpoint)]
        return download_once(published.url, f'{checkpoint}.pth', f'{checkpoint} ({published.licence})', progress,
                             published.check)
    if str(checkpoint) in OWN:
        if not OWN[str(checkpoint)].is_file():
            raise FileNotFoundError(
                f'checkpoint "{checkpoint}": this clone lacks {OWN[str(checkpoint)].name}; '
                + ('use rvm_mobilenetv3 (official RVM weights, GPL-3.0, downloaded once) or the path of a file'
                   if checkpoint == 'default' else 'name the file of a checkpoint'))
        return OWN[str(checkpoint)]
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {str(checkpoint)!r}: no such file, and not one of the known names '
                                f'({", ".join(WEIGHT_NAMES)})')
    return path


def load_network(checkpoint: str | Path = 'default', variant: str | None = None, refiner: str | None = None,
                 progress: bool = True) -> nn.Module:
    """Build the network, of whatever family, that a checkpoint belongs to and load it, every key accounted for.

    Args:
        checkpoint: as in `resolve_checkpoint`.
        variant, refiner: read from the checkpoint when None; given, they must agree with it. One exception: the fast
            guided filter has no weights, so it may replace a trained refiner, whose keys are then listed as dropped.
    Returns:
        The network in eval mode, float32, on the CPU; a merged checkpoint gives a merged network (inference only). A
        note that the file carries is printed to stderr.
    Raises:
        ValueError: the checkpoint belongs to another network; the message names what differs.
    """
    check_variant(variant)
    if refiner is not None and refiner not in REFINERS:
        raise ValueError(f'refiner must be one of {", ".join(REFINERS)}, got {refiner!r}')
    path = resolve_checkpoint(checkpoint, progress)
    state, metadata = read_state(path)
    if metadata.get('note'):
        print(plain(f'{path.name}: {metadata["note"]}'), file=sys.stderr)
    if is_instance_state(state):        # also the released layout, which no table of names and shapes knows
        return instance_frames(network_of(state, f'checkpoint {path}', metadata), variant, path)
    form = recognise(state)
    if form is None:
        load_strictly(build_network(variant) if variant else nearest(state), state, f'checkpoint {path}')
    if variant not in (None, form.variant):
        raise ValueError(f'checkpoint {path} is a {form.variant} network, asked for {variant}: '
                         'leave the variant out or name another checkpoint')
    if refiner is not None:
        try:
            changed = form.with_refiner(refiner)
        except ValueError as error:
            raise ValueError(f'checkpoint {path} {error}: leave the refiner out') from None
        dropped = [name for name in state if name.startswith('refiner.')] if changed != form else []
        if dropped:
            print(f'{path.name}: {refiner} replaces the trained refiner; not loaded: {", ".join(dropped)}')
        form, state = changed, {name: tensor for name, tensor in state.items() if name not in dropped}
    model = form.build()
    load_strictly(model, state, f'checkpoint {path}')
    model.inference_size = read_inference_size(metadata, path)
    return model.eval()


def instance_frames(network: nn.Module, variant: str | None, path: Path) -> InstanceFrames:
    """
    Raises:
        ValueError: it is no network of this variant.
    """
    frames = InstanceFrames.of(network)
    if variant not in (None, frames.variant):
        raise ValueError(f'checkpoint {path} is a {frames.variant} network, asked for {variant}: '
                         'leave the variant out or name another checkpoint')
    return frames


def read_inference_size(metadata: dict[str, str], path: Path) -> int:
    """The long side [px] inside the network that the weights name, or RVM's."""
    text = metadata.get('inference_size', str(INFERENCE_SIZE))
    if not text.isdecimal() or not 32 <= int(text) <= 8192:
        raise ValueError(f'checkpoint {path}: inference_size must be 32 to 8192 pixels, got {text!r}')
    return int(text)


def save_network(model: nn.Module, path: str | Path, note: str = '', overwrite: bool = True) -> None:
    """Write a checkpoint that `load_network` reads: .safetensors (with `model.facts()` as metadata) or .pth.

    The file appears under its name only when it is complete. An `inference_size` of its own is kept in .safetensors.

    Args:
        note: one line that loading prints, what users of these weights must know; .safetensors only.
        overwrite: replace a file that has the name.
    """
    path = Path(path)
    if path.suffix not in ('.safetensors', '.pth'):
        raise ValueError(f'checkpoint name must end in .safetensors or .pth, got {path.name!r}')
    if note and path.suffix != '.safetensors':
        raise ValueError(f'only .safetensors files carry a note, got {path.name!r}')
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with whole_file(path, overwrite) as partial:
        if path.suffix == '.safetensors':
            metadata = {'format': 'pt', 'sha256': checksum(state)} | model.facts() | (
                {'note': ' '.join(note.split())} if note else {})
            save_file(state, partial, metadata)
        else:
            torch.save(state, partial)
