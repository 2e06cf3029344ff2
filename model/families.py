"""The table of families: systems of networks, each with its variants, its interface and its way to know a checkpoint.

`load_network`, the hub's doors, the commands, the engines and the exporters read it. A new family is its folder and a
row here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from .background import BACKBONES, MattingBase, MattingRefine, infer_plate_network
from .checkpoint_keys import infer_network
from .encoder_registry import VARIANTS
from .instance.frames import InstanceFramesForm, infer_instance_network
from .instance.network import InstanceForm
from .interface import INSTANCE, INSTANCE_IMAGE, MATTING, PLATE_BASE, PLATE_REFINE, Interface
from .model import MattingNetwork


class Form(Protocol):
    """What must be built for a state dict to load."""

    variant: str

    def build(self) -> nn.Module:
        """The untrained network, with the names and shapes of the state dict."""

    def with_refiner(self, refiner: str) -> 'Form':
        """The same network with another refiner; ValueError, beginning with "has no", where that cannot be."""


@dataclass(frozen=True)
class Family:
    """Networks of one system.

    Args:
        interface: what they take and give.
        variants: name -> an untrained network; names are unique in the whole table, the first is the usual one.
        recognise: the form whose names and shapes are exactly those of a state dict, or None.
    """

    interface: Interface
    variants: Mapping[str, Callable[..., nn.Module]]
    recognise: Callable[[Mapping[str, Tensor]], Form | None]


def _variants(build: Callable[..., nn.Module], names, prefix: str = '') -> dict[str, Callable[..., nn.Module]]:
    return {prefix + name: (lambda name=name, **options: build(name, **options)) for name in names}


def _with_plate(refined: bool) -> Callable[[Mapping[str, Tensor]], Form | None]:
    def recognise(state: Mapping[str, Tensor]) -> Form | None:
        found = infer_plate_network(state)
        return found if found is not None and (found.kernel_size is not None) == refined else None
    return recognise


def _instances(video: bool) -> Family:
    variant = 'instance' if video else 'instance_image'

    def recognise(state: Mapping[str, Tensor]) -> Form | None:
        found = infer_instance_network(state)
        return found if found is not None and found.variant == variant else None
    return Family(INSTANCE if video else INSTANCE_IMAGE, {
        variant: lambda **form: InstanceFramesForm(InstanceForm(video=video, **form)).build()}, recognise)


PLATE_BACKBONES = sorted(BACKBONES, key=lambda name: name != 'efficientnet_lite0')      # that of our weights first
FAMILIES: dict[str, Family] = {
    'matting': Family(MATTING, _variants(MattingNetwork, VARIANTS), infer_network),
    'background': Family(PLATE_REFINE, _variants(MattingRefine, PLATE_BACKBONES, 'background_'), _with_plate(True)),
    'background_base': Family(PLATE_BASE, _variants(MattingBase, PLATE_BACKBONES, 'background_base_'),
                              _with_plate(False)),
    'instance': _instances(video=True),
    'instance_image': _instances(video=False),
}


def all_variants() -> list[str]:
    """Names of all families, the usual one of each first."""
    return [name for family in FAMILIES.values() for name in family.variants]


def build_network(variant: str | None = None, **options) -> nn.Module:
    """An untrained network by the name of its variant; None: the usual one of the first family.

    Args:
        options: further arguments of its class.
    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    check_variant(variant)
    variants = {name: build for family in FAMILIES.values() for name, build in family.variants.items()}
    return variants[variant or next(iter(variants))](**options)


def check_variant(variant: str | None) -> None:
    """
    Raises:
        ValueError: unknown name.
    """
    if variant is not None and variant not in all_variants():
        raise ValueError(f'variant must be one of {", ".join(all_variants())}, got {variant!r}')


def recognise(state: Mapping[str, Tensor]) -> Form | None:
    """The form, of whatever family, whose names and shapes are exactly those of `state`; or None."""
    return next((form for family in FAMILIES.values() if (form := family.recognise(state)) is not None), None)


def nearest(state: Mapping[str, Tensor]) -> nn.Module:
    """The usual network of the family whose names differ least from those of `state`: to say what differs."""
    def distance(build: Callable[..., nn.Module]) -> int:
        with torch.device('meta'):
            return len(build().state_dict().keys() ^ state.keys())
    return min((next(iter(family.variants.values())) for family in FAMILIES.values()), key=distance)()
