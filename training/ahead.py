"""Batches and frames that are made as a run goes, not read."""

import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor
from torch.utils.data import Dataset


class Ahead:
    """Batches, each made by its number alone while the one before it is trained on.

    Args:
        make: (part, step) -> a batch, always the same.
        part: says which part of the run it is.
        pool: one thread, which streams of a run may share.
    """

    def __init__(self, make: Callable[[Hashable, int], tuple[Tensor, ...]], part: Callable[[], Hashable] = lambda: None,
                 pool: ThreadPoolExecutor | None = None):
        self.make, self.part, self.pool = make, part, pool or ThreadPoolExecutor(1)
        self.ahead: dict[tuple[Hashable, int], Future] = {}
        self.waited = 0.                        # [s]

    def take(self, count: int, step: int) -> list[tuple[Tensor, ...]]:
        """The batch of this step; the part of the run says how large it is."""
        part, started = self.part(), time.perf_counter()
        future = self.ahead.pop((part, step), None) or self.pool.submit(self.make, part, step)
        self.ahead = {(part, step + 1): self.pool.submit(self.make, part, step + 1)}
        batch = future.result()
        self.waited += time.perf_counter() - started
        return [batch]

    def state_dict(self) -> dict:
        """Nothing: part and step say everything."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Part and step say everything."""


class Fixed(Dataset):
    """The first items of something that makes them by number: always the same, to validate on."""

    def __init__(self, make: Callable[[int], Sequence[Tensor]], count: int):
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(part.cpu() for part in self.make(index))

    def set_epoch(self, epoch: int) -> None:
        """They do not change."""
