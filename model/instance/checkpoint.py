"""Weights of the instance network: ours in the natural layout, the released ones converted on the way in."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from files import whole_file

from ..interface import INFERENCE_SIZE
from ..state_dicts import checksum, load_strictly, read_state
from .network import InstanceForm, InstanceMattingNetwork
from .spectral import SpectralWeight

UNUSED = 'decoder.dummy_downscale.'      # of the release: only the places of its outputs were used
INVERSE = ('decoder.layer3.0.weight', 'decoder.layer4.0.weight', 'decoder.layer5.0.weight')
SPARSE = ('decoder.layer3.', 'decoder.guidance_layer.', 'decoder.layer3_smooth.', 'decoder.layer4.',
          'decoder.layer4_smooth.', 'decoder.layer5.', 'decoder.layer5_smooth.', 'decoder.refine_OS4.',
          'decoder.refine_OS1.')


def is_instance_state(state: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of an instance network."""
    return 'encoder.mask_embed_layer.weight' in state and 'decoder.refine_OS8.query_feat.weight' in state


def is_published(state: Mapping[str, Tensor]) -> bool:
    """Whether the sparse layers are laid out as in the release: (out, kh, kw, in)."""
    weight = state.get('decoder.layer3.3.weight')
    return weight is not None and weight.shape[1:3] == (3, 3)


def natural(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The released layout -> that of ordinary convolutions; a state that has it already passes through."""
    if not is_published(state):
        return dict(state)
    return {name: convolution_weight(name, tensor) for name, tensor in state.items() if not name.startswith(UNUSED)}


def convolution_weight(name: str, tensor: Tensor) -> Tensor:
    """A weight of the sparse library as a convolution has it."""
    if tensor.dim() != 4 or not name.startswith(SPARSE):
        return tensor
    if tensor.shape[1:3] == (1, 1):
        # The library multiplies by the memory read as (in, out), although it is stored as (out, 1, 1, in).
        out, _, _, into = tensor.shape
        return tensor.reshape(into, out).T.reshape(out, into, 1, 1).contiguous()
    return tensor.permute((3, 0, 1, 2) if name in INVERSE else (0, 3, 1, 2)).contiguous()


def form_of(state: Mapping[str, Tensor], bleed: bool) -> InstanceForm:
    """What must be built for a state in the natural layout to load.

    Raises:
        ValueError: layers are missing by which networks are told apart.
    """
    folded = not any(name.endswith('.module.weight_bar') for name in state)
    ending = 'weight' if folded else 'module.weight_bar'
    places = ('conv2', 'conv3', 'layer2.0.conv2', 'layer3.0.conv2', 'layer_bottleneck.0.conv2')
    try:
        channels = tuple(state[f'encoder.{place}.{ending}'].size(0) for place in places)
        slots = state['encoder.mask_embed_layer.weight'].size(0) - 1
    except KeyError as error:
        raise ValueError(f'no weights of an instance network: {error.args[0]} is missing') from error
    return InstanceForm(channels, slots, any(name.startswith('decoder.os8_temp_module.') for name in state),
                        any(name.startswith('decoder.diff_module.') for name in state), folded, bleed,
                        'decoder.trust' in state)


def load_instance_network(path: str | Path) -> InstanceMattingNetwork:
    """Build the network that a checkpoint belongs to and load it, every key accounted for.

    Args:
        path: .pth or .safetensors, released or ours.
    Returns:
        In eval mode, float32, on the CPU.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or weights of something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'instance weights {str(path)!r}: no such file')
    state, metadata = read_state(path)
    return network_of(state, str(path), metadata)


def network_of(state: Mapping[str, Tensor], source: str, metadata: Mapping[str, str] | None = None
               ) -> InstanceMattingNetwork:
    """As `load_instance_network`, of tensors; `source` names them in messages."""
    if not is_instance_state(state):
        raise ValueError(f'{source} does not hold weights of an instance network')
    published = is_published(state)
    state = natural(state)
    network = form_of(state, published or (metadata or {}).get('bleed') == 'yes').build()
    load_strictly(network, state, source)
    network.trained_size = trained_size(metadata or {}, source)
    if published:       # wherever the release's last power iteration stood: the weight divided by its norm is meant
        for layer in network.modules():
            if isinstance(layer, SpectralWeight):
                layer.settle()
    return network.eval()


def trained_size(metadata: Mapping[str, str], source: str) -> int | None:
    """What a file says of the size that its weights are for; `INFERENCE_SIZE`, which every file says that was not told
    another, means nothing here.

    Raises:
        ValueError: it says something else than pixels.
    """
    text = metadata.get('inference_size', str(INFERENCE_SIZE))
    if not text.isdecimal() or not 32 <= int(text) <= 8192:
        raise ValueError(f'{source}: inference_size must be 32 to 8192 pixels, got {text!r}')
    return int(text) if int(text) != INFERENCE_SIZE else None


def save_instance_network(network: InstanceMattingNetwork, path: str | Path, note: str = '') -> None:
    """Write a .safetensors file in the natural layout; it appears under its name only when it is complete."""
    path = Path(path)
    if path.suffix != '.safetensors':
        raise ValueError(f'instance weights must end in .safetensors, got {path.name!r}')
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {'format': 'pt', 'family': 'instance', 'bleed': 'yes' if network.form.bleed else 'no',
                'inference_size': str(network.trained_size or INFERENCE_SIZE)}
    with whole_file(path) as partial:
        save_file(state, partial, metadata | {'sha256': checksum(state)} |
                  ({'note': ' '.join(note.split())} if note else {}))
