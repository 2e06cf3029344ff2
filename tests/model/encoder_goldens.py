"""Comparison with the golden cases of the encoders; shared by their tests."""

import json

import numpy as np
import torch
from torch import Tensor, nn


class EncoderGoldens:
    """One file of cases: weights drawn from names, an input, outputs that are stored in part."""

    def __init__(self, golden, file: str):
        self.golden, self.arrays = golden, np.load(golden.path(file))

    def keys(self, file: str, form: str) -> dict[str, tuple[int, ...]]:
        listing = json.loads(self.golden.path(file).read_text())[form]
        return {name: tuple(shape) for name, shape in listing.items()}

    def fill(self, model: nn.Module, tag: str, scale_prefix: str = '') -> None:
        """Load the weights of a case."""
        seed = int(self.arrays[f'{tag}.seed']) if f'{tag}.seed' in self.arrays else 0
        factor = float(self.arrays[f'{tag}.var_scale']) if f'{tag}.var_scale' in self.arrays else 1.
        own = model.state_dict()
        state = self.golden.reference_fill(own, seed=seed)
        for name in state:
            if name.endswith('running_var') and name.startswith(scale_prefix):
                state[name] = state[name] * factor
            if '.wt.' in name:
                state[name] = own[name]
        model.load_state_dict(state)

    def input(self, tag: str) -> Tensor:
        return self.golden.reference_input(f'enc.{tag}', tuple(self.arrays[f'{tag}.input_shape']))

    def names(self, tag: str) -> set[str]:
        """Outputs that the case stores."""
        return {key.split('.')[1] for key in self.arrays.files if key.startswith(f'{tag}.') and key.endswith('.step')}

    def error(self, tag: str, name: str, output: Tensor) -> float:
        """Largest difference over the largest magnitude of the reference; the mean of the whole tensor must agree."""
        key = f'{tag}.{name}'
        assert list(output.shape) == self.arrays[f'{key}.shape'].tolist()
        channel_step, step = self.arrays[f'{key}.step']
        np.testing.assert_allclose(output.double().abs().mean().item(), self.arrays[f'{key}.abs_mean'], rtol=1e-3)
        sampled = output.flatten(0, -4)[:, ::channel_step, ::step, ::step]
        return relative_error(sampled, torch.from_numpy(self.arrays[key]))


def relative_error(output: Tensor, reference: Tensor) -> float:
    return ((output - reference).abs().max() / reference.abs().max()).item()


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def train_statistics(model: nn.Module) -> nn.Module:
    """Draw BatchNorm statistics and gains, so that merging has something to get wrong."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model.eval()
