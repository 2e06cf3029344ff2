"""The instance network as families, engines and exporters call networks: `pha, r1 = network(src, msk, r1)`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..interface import INFERENCE_SIZE, INSTANCE, INSTANCE_IMAGE, Interface
from .checkpoint import form_of, is_instance_state, is_published
from .network import InstanceForm, InstanceMattingNetwork
from .spectral import fold_spectral


class InstanceFrames(InstanceMattingNetwork):
    """The frame step: names and shapes of its weights are those of `InstanceMattingNetwork`."""

    inference_size = INFERENCE_SIZE

    @classmethod
    def of(cls, network: InstanceMattingNetwork) -> 'InstanceFrames':
        """A copy of the network, called like others."""
        frames = cls(network.form)
        if network.form.folded:
            fold_spectral(frames)
        frames.load_state_dict(network.state_dict())
        frames.trained_size = network.trained_size
        frames.inference_size = network.trained_size or INFERENCE_SIZE
        return frames.train(network.training)

    @property
    def interface(self) -> Interface:
        """With a state where it is a video network."""
        return replace(INSTANCE if self.form.video else INSTANCE_IMAGE, people=self.slots)

    @property
    def variant(self) -> str:
        """Its name in the table of families."""
        return variant_of(self.form)

    def facts(self) -> dict[str, str]:
        """What files of this network say about it."""
        return {'family': self.variant, 'variant': self.variant, 'people': str(self.slots),
                'inference_size': str(self.inference_size), 'bleed': 'yes' if self.form.bleed else 'no'}

    def forward(self, src: Tensor, msk: Tensor, r1: Tensor | None = None) -> list[Tensor]:
        """
        Args:
            src: (B, [T,] 3, H, W) RGB in [0, 1], any size.
            msk: (B, [T,] N, H, W) of 0 and 1, N at most the number of slots.
            r1: (B, C, H/8, W/8) state of a video network; None, or a single zero, before the first frame.
        Returns:
            pha (B, [T,] N, H, W), and the state after the last frame of a video network.
        """
        is_clip = src.dim() == 5
        out = super().forward(src if is_clip else src[:, None], msk if is_clip else msk[:, None], r1)
        pha = out['pha'] if is_clip else out['pha'][:, 0]
        return [pha, out['states'][:, -1]] if self.form.video else [pha]


@dataclass(frozen=True)
class InstanceFramesForm:
    """See `model.families.Form`."""

    form: InstanceForm

    @property
    def variant(self) -> str:
        """Its name in the table of families."""
        return variant_of(self.form)

    def build(self) -> nn.Module:
        """The untrained network."""
        frames = InstanceFrames(self.form)
        return fold_spectral(frames).eval() if self.form.folded else frames

    def with_refiner(self, refiner: str) -> 'InstanceFramesForm':
        """
        Raises:
            ValueError: always.
        """
        raise ValueError('has no refiner to choose')


def variant_of(form: InstanceForm) -> str:
    """Of a network in the table of families."""
    return 'instance' if form.video else 'instance_image'


def infer_instance_network(state: Mapping[str, Tensor]) -> InstanceFramesForm | None:
    """The form whose names and shapes are those of `state` in our layout, or None."""
    if not is_instance_state(state) or is_published(state):
        return None
    try:
        form = InstanceFramesForm(form_of(state, False))
    except ValueError:
        return None
    with torch.device('meta'):
        built = form.build()
    expected = {name: tensor.shape for name, tensor in built.state_dict().items()}
    return form if expected == {name: tensor.shape for name, tensor in state.items()} else None
