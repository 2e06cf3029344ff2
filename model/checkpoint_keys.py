"""Which network a state dict belongs to, from its names and shapes alone."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .encoder_registry import VARIANTS
from .lraspp import LRASPP
from .model import REFINERS, MattingNetwork
from .reparameterize import reparameterize_model


class NetworkForm(NamedTuple):
    """What must be built for a state dict to load; `merged` as by `reparameterize_model`."""

    variant: str
    refiner: str
    merged: bool

    def build(self) -> MattingNetwork:
        """An untrained network of this form, in eval mode when merged."""
        model = MattingNetwork(self.variant, self.refiner)
        return reparameterize_model(model) if self.merged else model

    def with_refiner(self, refiner: str) -> 'NetworkForm':
        """The fast guided filter has no weights, so it may replace a trained refiner.

        Raises:
            ValueError: another refiner.
        """
        if refiner not in (self.refiner, 'fast_guided_filter'):
            raise ValueError(f'has no weights for the {refiner}')
        return self._replace(refiner=refiner)


def infer_network(state: Mapping[str, Tensor]) -> NetworkForm | None:
    """The form whose names and shapes are exactly those of `state`, or None."""
    shapes = {name: tensor.shape for name, tensor in state.items()}
    after_encoder = {name: shape for name, shape in shapes.items()
                     if name.startswith(('aspp.', 'decoder.', 'refiner.'))}
    for variant in VARIANTS:
        for refiner in REFINERS:
            for merged in (False, True):
                form = NetworkForm(variant, refiner, merged)
                # encoders are slow to build, what follows them is quick and differs in nearly every row
                if after_encoder == _shapes_after_encoder(form) and shapes == _shapes(form):
                    return form
    return None


@cache
def _shapes_after_encoder(form: NetworkForm) -> dict[str, torch.Size]:
    variant = VARIANTS[form.variant]
    with torch.device('meta'):
        parts = nn.ModuleDict({
            'aspp': LRASPP(variant.spec.channels[3], variant.aspp_channels),
            'decoder': variant.build_decoder(),
            'refiner': REFINERS[form.refiner](variant.decoder_channels[3])})
        parts = reparameterize_model(parts) if form.merged else parts
    return {name: tensor.shape for name, tensor in parts.state_dict().items()}


@cache
def _shapes(form: NetworkForm) -> dict[str, torch.Size]:
    with torch.device('meta'):
        network = form.build()
    return {name: tensor.shape for name, tensor in network.state_dict().items()}
