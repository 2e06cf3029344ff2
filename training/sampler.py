"""Which samples come when: a function of (seed, epoch, position), so that a run can go on from any point.

Draws inside an item depend on (seed, epoch, index) alone, so neither the number of workers nor a restart changes them.
"""

import random
import signal
import time
from collections.abc import Iterator

from torch.utils.data import DataLoader, Dataset, Sampler

from .signals import SIGNALS


class ResumableSampler(Sampler[list[int]]):
    """Batches of indices for one rank, in an order drawn from (seed, epoch).

    `position` counts the samples that all ranks together have taken in this epoch: a run may go on with another number
    of ranks. The last batch may be smaller; it is filled from the start so that every rank gets as many.
    """

    def __init__(self, length: int, batch_size: int, rank: int, world: int, seed: int):
        if length < 1:
            raise ValueError('the data set is empty: run python -m dataset.check')
        self.length, self.batch_size, self.rank, self.world, self.seed = length, batch_size, rank, world, seed
        self.epoch = self.position = 0

    @property
    def stride(self) -> int:
        """Samples that all ranks together take per batch."""
        return self.batch_size * self.world

    def __len__(self) -> int:
        return -(-max(self.length - self.position, 0) // self.stride)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(self.length))
        random.Random(f'order {self.seed} {self.epoch}').shuffle(order)
        for start in range(self.position, self.length, self.stride):
            block = order[start:start + self.stride]
            missing = -len(block) % self.world
            block += [order[i % self.length] for i in range(missing)]
            yield block[self.rank::self.world]


class Stream:
    """Batches of a data set without end, and where they stand.

    Args:
        dataset: has `set_epoch`.
        batch_size: per rank.
        num_workers: loader processes; 0 loads in this process.
        pin_memory: for copies to a GPU.
    """

    def __init__(self, dataset: Dataset, batch_size: int, num_workers: int, rank: int = 0, world: int = 1,
                 seed: int = 0, pin_memory: bool = False):
        self.dataset, self.num_workers, self.pin_memory = dataset, num_workers, pin_memory
        self.sampler = ResumableSampler(len(dataset), batch_size, rank, world, seed)
        self.epoch = self.position = 0
        self.stops = False                  # `take` ends with the epoch
        self.waited = 0.                    # [s] spent waiting for batches
        self._batches: Iterator | None = None

    def __len__(self) -> int:
        """Batches left in this epoch."""
        self.sampler.position = self.position
        return len(self.sampler)

    def begin(self, epoch: int, position: int = 0) -> None:
        """Go to a place; loader processes start there anew, because they keep the epoch they were started with."""
        self.epoch, self.position, self._batches = epoch, position, None

    def __next__(self):
        started = time.perf_counter()
        if len(self) == 0:
            self.begin(self.epoch + 1)
        if self._batches is None:
            self.sampler.epoch, self.sampler.position = self.epoch, self.position
            self.dataset.set_epoch(self.epoch)
            self._batches = iter(DataLoader(self.dataset, batch_sampler=self.sampler, num_workers=self.num_workers,
                                            pin_memory=self.pin_memory, worker_init_fn=ignore_signals))
        batch = next(self._batches)
        self.position += self.sampler.stride
        self.waited += time.perf_counter() - started
        return batch

    def take(self, count: int, step: int = 0) -> list:
        """The next batches, whatever the step; fewer at the end of an epoch where the stream stops there."""
        return [next(self) for _ in range(min(count, len(self)) if self.stops else count)]

    def state_dict(self) -> dict[str, int]:
        """Where it stands."""
        return {'epoch': self.epoch, 'position': self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to where `state_dict` was taken."""
        self.begin(state['epoch'], state['position'])


def ignore_signals(worker: int) -> None:
    """In a loader process: a signal to the whole job must not end it before the trainer has saved."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
