"""Validation on fixed clips, spread over the ranks, at ratio 1 and through the refiner."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from .distributed import Ranks
from .metrics import alpha_metrics
from .sampler import ignore_signals

Strip = dict[str, Tensor]


@dataclass(frozen=True)
class ValidationSet:
    """Clips of `dataset` at its epoch 0, so they never change."""

    dataset: Dataset
    downsample_ratio: float
    num_workers: int = 0
    clips: int = 0                  # evenly taken; 0: all

    def indices(self) -> list[int]:
        count = min(self.clips or len(self.dataset), len(self.dataset))
        return [i * len(self.dataset) // count for i in range(count)]


@torch.no_grad()
def validate(network: nn.Module, sets: dict[str, ValidationSet], matting_loss: Callable[..., dict[str, Tensor]],
             ranks: Ranks, autocast: Callable) -> tuple[dict[str, float], dict[str, Strip]]:
    """Mean over clips of losses and alpha metrics.

    Args:
        network: bare, set to eval mode here; the caller returns it to training.
    Returns:
        ({'valid_<set>_<term>': mean, ..., 'valid_loss': mean of the totals of all sets},
         {'<set>': frames of the first clip, (T, C, H, W) each}, on the first rank).
    """
    network.eval()
    numbers, strips = {}, {}
    for name, validation in sets.items():
        sums: dict[str, list[float]] = {}
        for clip in _clips(validation, ranks):
            fgr, pha, bgr = (x.to(ranks.device) for x in clip)
            src = fgr * pha + bgr * (1 - pha)
            with autocast():
                pred_fgr, pred_pha = network(src, downsample_ratio=validation.downsample_ratio)[:2]
            pred_fgr, pred_pha = pred_fgr.float(), pred_pha.float()
            true_fgr = fgr if validation.dataset.has_foreground else None
            terms = matting_loss(pred_fgr, pred_pha, true_fgr, pha, bgr=bgr)
            values = {key: value.item() for key, value in terms.items()} | alpha_metrics(pred_pha, pha)
            for key, value in values.items():
                sums.setdefault(key, []).append(value)
            if name not in strips:
                strips[name] = {'src': src[0], 'true_pha': pha[0], 'pred_pha': pred_pha[0],
                                'pred_com': (pred_fgr * pred_pha + 1 - pred_pha)[0]}
        numbers |= {f'valid_{name}_{key}': value for key, value in _means(sums, ranks).items()}
    totals = [numbers[f'valid_{name}_total'] for name in sets]
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
    return {name: total / count for name, total, count in zip(names, totals, counts)}
