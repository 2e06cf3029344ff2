"""Random draws that depend on (seed, epoch, item) alone, whatever worker or rank makes them, in whatever order.

So a run that is killed and resumed in the middle of an epoch sees exactly what an uninterrupted one would have seen.
The released code seeds nothing.
"""

import random

import cv2
import torch
from torch.utils.data import Dataset, get_worker_info


class SeededDataset(Dataset):
    """A data set whose items are drawn from (seed, epoch, index).

    Args:
        seed: of the whole run, the same on every rank.
        fixed: ignore the epoch: validation sees the same items each time.
    """

    def __init__(self, seed: int = 0, fixed: bool = False):
        self.seed, self.fixed = seed, fixed
        # In shared memory, so that persistent loader workers, which hold a copy of the data set, see a new epoch too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The draws of an item change with it."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Call before iterating over the loader, never in the middle of it."""
        self._epoch.fill_(epoch)

    def draws(self, index: int) -> random.Random:
        """The generator of item `index` in this epoch."""
        if get_worker_info() is not None:
            cv2.setNumThreads(0)  # the loader's workers are the threads
        return item_draws(self.seed, 0 if self.fixed else self.epoch, index)


def item_draws(seed: int, epoch: int, index: int) -> random.Random:
    """A generator of its own for (seed, epoch, index). Strings are hashed with SHA-512, the same on every machine."""
    return random.Random(f'{seed}/{epoch}/{index}')


def torch_generator(draws: random.Random, device: torch.device | str = 'cpu') -> torch.Generator:
    """A torch generator that continues the draws, for noise in bulk."""
    return torch.Generator(device).manual_seed(draws.getrandbits(62))
