"""Validation on fixed clips, spread over the ranks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from .distributed import Ranks
from .sampler import ignore_signals

Strip = dict[str, Tensor]
Forward = Callable[..., list[Tensor]]


@dataclass(frozen=True)
class ValidationSet:
    """Clips of `dataset` at its epoch 0, so they never change.

    Args:
        dataset: has `set_epoch`.
        measure: (forward, batch of one clip, on the device) -> (numbers by name, frames (T, C, H, W) to look at by
            name); `forward` is the network under autocast, with heads as float32. A name may have several numbers, or
            none; 'total' counts for the best.
        clips: evenly taken; 0: all.
    """

    dataset: Dataset
    measure: Callable[[Forward, list[Tensor]], tuple[dict[str, float | list[float]], Strip]]
    num_workers: int = 0
    clips: int = 0

    def indices(self) -> list[int]:
        """Of the clips that are looked at."""
        count = min(self.clips or len(self.dataset), len(self.dataset))
        return [i * len(self.dataset) // count for i in range(count)]


@torch.no_grad()
def validate(forward: Forward, sets: Mapping[str, ValidationSet],
             ranks: Ranks) -> tuple[dict[str, float], dict[str, Strip]]:
    """Means over the clips of each set.

    Returns:
        ({'valid_<set>_<name>': mean, ..., 'valid_loss': mean of the totals of all sets that have one},
         {'<set>': frames of its first clip}, of this rank).
    """
    numbers, strips = {}, {}
    for name, validation in sets.items():
        sums: dict[str, list[float]] = {}
        for clip in _clips(validation, ranks):
            values, strip = validation.measure(forward, [x.to(ranks.device) for x in clip])
            for key, value in values.items():
                sums.setdefault(key, []).extend(value if isinstance(value, list) else [value])
            if strip:
                strips.setdefault(name, strip)
        numbers |= {f'valid_{name}_{key}': value for key, value in _means(sums, ranks).items()}
    totals = [numbers[key] for key in (f'valid_{name}_total' for name in sets) if key in numbers]
    if totals:
        numbers['valid_loss'] = sum(totals) / len(totals)
    return numbers, strips


def _clips(validation: ValidationSet, ranks: Ranks) -> DataLoader:
    validation.dataset.set_epoch(0)
    own = validation.indices()[ranks.rank::ranks.world]
    return DataLoader(Subset(validation.dataset, own), num_workers=validation.num_workers,
                      worker_init_fn=ignore_signals)


def _means(sums: dict[str, list[float]], ranks: Ranks) -> dict[str, float]:
    """Over all ranks; a rank may have had no clip at all, so the names are those of the first rank."""
    names = sorted(sums)
    if ranks.world > 1:
        shared = [names]
        torch.distributed.broadcast_object_list(shared, device=ranks.device)
        names = shared[0]
    totals = ranks.sum(sum(sums.get(name, [])) for name in names)
    counts = ranks.sum(len(sums.get(name, [])) for name in names)
    return {name: total / count if count else 0. for name, total, count in zip(names, totals, counts)}
