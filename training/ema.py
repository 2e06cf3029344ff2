"""Exponential moving average of weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages of floating-point weights and running statistics; counters are copied.

    Args:
        network: whose weights are averaged.
        decay: per update; 0 means no averaging: `weights` are then the network's own.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.network, self.decay = network, decay
        self.average = {} if decay == 0 else {name: value.detach().clone() for name, value in self._current()}

    def _current(self):
        return self.network.state_dict().items()

    @torch.no_grad()
    def update(self, age: int | None = None) -> None:
        """After an iteration; an average of that `age` [iterations] is a short one at first."""
        if self.decay == 0:
            return
        decay = self.decay if age is None else min(self.decay, (1 + age) / (10 + age))
        for name, value in self._current():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def weights(self) -> dict[str, Tensor]:
        """What is validated and saved as the network."""
        return self.average if self.decay else dict(self._current())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the network holds the averages."""
        if self.decay == 0:
            yield
            return
        own = {name: value.detach().clone() for name, value in self._current()}
        self.network.load_state_dict(self.average)
        try:
            yield
        finally:
            self.network.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages."""
        return self.average

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Averages of a saved run; of a run without any, averaging begins now."""
        if self.decay and not state:            # averaging begins with this run
            state = dict(self._current())
        for name in self.average:
            self.average[name].copy_(state[name])
