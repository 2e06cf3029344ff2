"""Checkpoints of networks with a plate: which one a state dict belongs to, and a refiner on base weights."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..state_dicts import load_strictly
from .backbones import BACKBONES
from .network import MattingBase, MattingRefine

Network = MattingBase | MattingRefine


class PlateNetwork(NamedTuple):
    """What must be built for a state dict to load."""

    backbone: str
    kernel_size: int | None      # of the refiner; None: there is none

    @property
    def variant(self) -> str:
        """Its name in the table of families."""
        return f'background_{"base_" if self.kernel_size is None else ""}{self.backbone}'

    def with_refiner(self, refiner: str) -> 'PlateNetwork':
        """Raises ValueError: guided filters are not for these networks."""
        raise ValueError(f'has no {refiner}, it is a network with a background plate')

    def build(self) -> Network:
        """An untrained network with published settings."""
        if self.kernel_size is None:
            return MattingBase(self.backbone)
        return MattingRefine(self.backbone, refine_kernel_size=self.kernel_size)


def infer_plate_network(state: Mapping[str, Tensor]) -> PlateNetwork | None:
    """The network whose names and shapes are exactly those of `state`, or None."""
    shapes = {name: tensor.shape for name, tensor in state.items()}
    first = shapes.get('refiner.conv1.weight')
    kernel_size = None if first is None or len(first) != 4 else first[-1]
    if 'aspp.project.0.weight' not in shapes or kernel_size not in (None, 1, 3):
        return None
    for backbone in BACKBONES:
        found = PlateNetwork(backbone, kernel_size)
        if shapes == _shapes(found):
            return found
    return None


@cache
def _shapes(network: PlateNetwork) -> dict[str, torch.Size]:
    with torch.device('meta'):
        return {name: tensor.shape for name, tensor in network.build().state_dict().items()}


def load_plate_network(state: Mapping[str, Tensor], source: str, backbone: str | None = None) -> Network:
    """Build the network that a state belongs to and load it, every key accounted for.

    Args:
        source: the file, for messages.
        backbone: as found in the state when None; given, it must agree.
    Raises:
        ValueError: it belongs to another network; the message names what differs.
    """
    found = infer_plate_network(state)
    if found is None:
        has_refiner = any(name.startswith('refiner.') for name in state)
        load_strictly(PlateNetwork(backbone or 'resnet50', 3 if has_refiner else None).build(), state, source)
    if backbone not in (None, found.backbone):
        raise ValueError(f'{source} has the backbone {found.backbone}, asked for {backbone}: leave it out or name '
                         'another checkpoint')
    network = found.build()
    load_strictly(network, state, source)
    return network.eval()


def start_from_base(network: MattingRefine, state: Mapping[str, Tensor], source: str) -> str:
    """Load base weights, or those of a whole refine network, into a refine network that is to be trained.

    Returns:
        One line: what was loaded and what keeps its initial values.
    Raises:
        ValueError: any key but the refiner's is missing or left over.
    """
    own = network.state_dict()
    fresh = [name for name in own if name.startswith('refiner.') and name not in state]
    if len(fresh) not in (0, len(network.refiner.state_dict())):
        raise ValueError(f'{source} has a part of a refiner: {len(fresh)} keys are missing ({fresh[0]}, ...)')
    load_strictly(network, {**state, **{name: own[name] for name in fresh}}, source)
    if not fresh:
        return f'{source}: all {len(own)} keys loaded'
    return (f'{source}: {len(own) - len(fresh)} keys loaded; the {len(fresh)} keys of the refiner keep their initial '
            'values')


def start_from_deeplab(network: MattingBase, state: Mapping[str, Tensor], source: str) -> str:
    """Load encoder and ASPP of a DeepLabV3 (torchvision's names, or a flat `aspp.`) into a network that is trained.

    The first convolution has six channels here: its half for the frame is loaded.

    Returns:
        One line: what was loaded and what keeps its initial values.
    Raises:
        ValueError: the encoder is another one; nothing is loaded by halves.
    """
    state = {name.replace('classifier.0.', 'aspp.', 1) if name.startswith('classifier.0.') else name: value
             for name, value in state.items()}
    own = network.state_dict()
    wanted = [name for name in own if name.startswith(('backbone.', 'aspp.'))]
    loaded = {name: state[name] for name in wanted if name in state and state[name].shape == own[name].shape}
    first = next(name for name in wanted if own[name].dim() == 4)
    if first in state and state[first].shape == own[first][:, :3].shape:
        loaded[first] = torch.cat([state[first], own[first][:, 3:]], dim=1)
    fresh = [name for name in wanted if name not in loaded and not name.endswith('num_batches_tracked')]
    if any(name.startswith('backbone.') for name in fresh):
        raise ValueError(f'{source} has another encoder than {network.variant}: {len(fresh)} of {len(wanted)} keys do '
                         f'not fit ({", ".join(fresh[:3])}, ...)')
    network.load_state_dict(own | loaded)
    return (f'{source}: {len(loaded)} keys of encoder and ASPP loaded; the other {len(own) - len(loaded)} keep their '
            'initial values')
