"""What an iteration consists of: passes, each with an update of its own."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Terms = dict[str, Tensor]


class Batches(Protocol):
    """Where a pass takes its batches from: `training.sampler.Stream`, or something that composes them."""

    waited: float                       # [s] spent waiting for batches

    def take(self, count: int, step: int) -> list:
        """Batches for one update; at least one. What is drawn from `step` alone needs no state."""

    def state_dict(self) -> dict:
        """Where it stands, as plain values."""

    def load_state_dict(self, state: dict) -> None:
        """Go to where `state_dict` was taken."""


@dataclass(frozen=True)
class Turn:
    """What a pass works with while it computes the losses of one batch.

    Args:
        step: iterations done.
        draws: belong to this pass of this step on this rank; PyTorch's generators start at the same place.
        forward: the network under autocast, wrapped for ranks; every head comes back as float32.
        show: keeps clips (B, T, C, H, W) in [0, 1] by name for the log where pictures are due, else does nothing.
    """

    step: int
    device: torch.device
    draws: random.Random
    forward: Callable[..., list[Tensor]]
    show: Callable[..., None]


class Pass:
    """One update of the iterations in which it is due, or its part of one.

    Args:
        name: its place in saved states; no two passes of a run share it.
        stream: of its batches.
        tag: in logs and draws; None takes the name.
        every, turn: due in every so many iterations, from iteration `turn` on; passes may take turns.
        joins: shares the update of the pass before it: the gradient is the mean over the batches of both.
    """

    def __init__(self, name: str, stream: Batches, tag: str | None = None, every: int = 1, turn: int = 0,
                 joins: bool = False):
        self.name, self.stream, self.tag, self.every, self.turn = name, stream, tag or name, every, turn
        self.joins = joins

    def due(self, step: int) -> bool:
        """Whether iteration `step` has this pass."""
        return step % self.every == self.turn

    def logs(self, step: int, interval: int) -> bool:
        """Whether its numbers and pictures of this iteration are kept; passes that take turns do so together."""
        return (step - step % self.every) % interval == 0

    def losses(self, batch, turn: Turn) -> Terms:
        """Terms of one batch; 'total' is differentiated."""
        raise NotImplementedError

    def counted(self, batch) -> tuple[int, int]:
        """Clips and frames of a batch, for the speed that is logged."""
        return 0, 0

    def logged(self, terms: Terms) -> Terms:
        """Terms under their names in the log."""
        return {f'train_{self.tag}_{name}': term for name, term in terms.items()}
