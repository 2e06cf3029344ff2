"""One update: gradients of some clips, guarded against values that are not finite, then a step of the optimizer."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields

import torch
from torch import nn

from .distributed import Ranks
from .ema import Ema
from .passes import Terms


class Diverged(RuntimeError):
    """Too many updates in a row were not finite."""


@dataclass(frozen=True)
class Optimization:
    """How weights are updated.

    Args:
        rates: part of the network (the name of a child) -> its learning rate before the schedule.
        optimizer: 'adam' or 'adamw'.
        untouched: 'skip' or 'zero', see `Updater`.
        schedule: 'constant', 'cosine' or 'poly' (power 0.9), these two to zero over the run.
        warmup_steps: iterations of linear warm-up.
        clip_gradient: largest gradient norm; 0: no clipping.
        ema: decay per iteration of averaged weights; 0: none.
        nonfinite_limit: skipped updates in a row that end the run.
    """

    rates: Mapping[str, float]
    optimizer: str = 'adam'
    weight_decay: float = 0.
    adam_eps: float = 1e-8
    untouched: str = 'skip'
    schedule: str = 'constant'
    warmup_steps: int = 0
    clip_gradient: float = 0.
    ema: float = 0.
    nonfinite_limit: int = 20

    @classmethod
    def of(cls, config, rates: Mapping[str, float]) -> 'Optimization':
        """From the settings of a run that have the same names; those it lacks keep their defaults."""
        names = {item.name for item in fields(cls)} - {'rates'}
        return cls(rates, **{name: getattr(config, name) for name in names if hasattr(config, name)})

    def factor(self, progress: float, step: int) -> float:
        """Share of each learning rate; a function of the place in the run, so there is no state to save."""
        factor = {'cosine': 0.5 * (1 + math.cos(math.pi * progress)),
                  'poly': max(1 - progress, 0.) ** 0.9}.get(self.schedule, 1.)
        return factor * min(1., (step + 1) / self.warmup_steps) if self.warmup_steps else factor


def build_optimizer(network: nn.Module, settings: Optimization) -> torch.optim.Optimizer:
    """Adam or AdamW with one group per part of the network.

    Raises:
        ValueError: the network has a part with parameters that no learning rate is known for.
    """
    groups = []
    for name, child in network.named_children():
        parameters = list(child.parameters())
        if parameters and name not in settings.rates:
            raise ValueError(f'network part {name!r} has no learning rate, known parts: {", ".join(settings.rates)}')
        if parameters:
            rate = settings.rates[name]
            groups.append({'params': parameters, 'lr': rate, 'initial_lr': rate, 'name': name})
    kind = torch.optim.AdamW if settings.optimizer == 'adamw' else torch.optim.Adam
    return kind(groups, eps=settings.adam_eps, weight_decay=settings.weight_decay)


class Updater:
    """The optimizer and what stands around it.

    Parameters that a pass does not use (the refiner at ratio 1, one of the projections) get no gradient. They are left
    alone; `settings.untouched == 'zero'` steps on zeros instead, as the published training did under torch 1.9, where
    such parameters drift on old momentum.

    Args:
        network: the bare network. module: what is called, wrapped for several ranks or not.
        precision: 'fp16' adds loss scaling.
    """

    def __init__(self, network: nn.Module, module: nn.Module, settings: Optimization, ranks: Ranks,
                 precision: str):
        self.network, self.module, self.settings, self.ranks = network, module, settings, ranks
        self.optimizer = build_optimizer(network, settings)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=precision == 'fp16')
        self.ema = Ema(network, settings.ema)
        self.buffers = list(network.buffers())
        self.saved_buffers = [buffer.clone() for buffer in self.buffers]
        self.skipped = self.skipped_in_a_row = 0
        self.gradient_norm = 0.

    def set_rates(self, progress: float, step: int) -> None:
        """For iteration `step` of a run of which a share `progress` is done."""
        factor = self.settings.factor(progress, step)
        for group in self.optimizer.param_groups:
            group['lr'] = group['initial_lr'] * factor

    def update(self, clips: Sequence, loss: Callable[..., Terms]) -> None:
        """One step on the mean gradient of `clips`.

        An update whose loss or gradient is not finite on any rank is skipped on all of them, and running statistics
        return to what they were.

        Args:
            loss: of one clip; the entry 'total' is differentiated.
        Raises:
            Diverged: `settings.nonfinite_limit` updates in a row were skipped.
        """
        with torch.no_grad():
            torch._foreach_copy_(self.saved_buffers, self.buffers)
        finite = True
        for index, clip in enumerate(clips):
            more = index < len(clips) - 1 and hasattr(self.module, 'no_sync')
            with self.module.no_sync() if more else nullcontext():
                terms = loss(clip)
                self.scaler.scale(terms['total'] / len(clips)).backward()
            finite = finite and math.isfinite(terms['total'].item())
        finite = self._step(finite)
        self._count(finite, terms)

    def _step(self, finite: bool) -> bool:
        self.scaler.unscale_(self.optimizer)
        parameters = [p for p in self.network.parameters() if p.grad is not None]
        self.gradient_norm = nn.utils.get_total_norm([p.grad for p in parameters]).item()
        scaled = self.scaler.is_enabled()       # the scaler skips infinite gradients itself and lowers its scale
        finite = not self.ranks.any(not (finite and (scaled or math.isfinite(self.gradient_norm))))
        if finite:
            if self.settings.clip_gradient and math.isfinite(self.gradient_norm):
                nn.utils.clip_grads_with_norm_(parameters, self.settings.clip_gradient,
                                               torch.tensor(self.gradient_norm, device=self.ranks.device))
            if self.settings.untouched == 'zero':
                for parameter in self.optimizer.state:
                    if parameter.grad is None:
                        parameter.grad = torch.zeros_like(parameter)
            self.scaler.step(self.optimizer)
        else:
            with torch.no_grad():
                torch._foreach_copy_(self.buffers, self.saved_buffers)
        if scaled:
            self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return finite

    def _count(self, finite: bool, terms: Terms) -> None:
        self.skipped += not finite
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        if self.skipped_in_a_row >= self.settings.nonfinite_limit:
            values = ', '.join(f'{name} {term.item():.4g}' for name, term in terms.items())
            raise Diverged(f'{self.skipped_in_a_row} updates in a row were not finite (last: {values}, gradient norm '
                           f'{self.gradient_norm:.4g}): lower the learning rates, add --clip-gradient 1 or use '
                           '--precision fp32')

    def state_dict(self) -> dict:
        """Optimizer, scaler, averages and what was skipped."""
        return {'optimizer': self.optimizer.state_dict(), 'scaler': self.scaler.state_dict(),
                'ema': self.ema.state_dict(), 'skipped': self.skipped, 'skipped_in_a_row': self.skipped_in_a_row}

    def load_state_dict(self, state: dict) -> None:
        """Go to where `state_dict` was taken; rates stay those of this run."""
        rates = [group['initial_lr'] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state['optimizer'])
        for group, rate in zip(self.optimizer.param_groups, rates):   # a resumed run may be given other rates
            group['initial_lr'] = rate
            group['eps'], group['weight_decay'] = self.settings.adam_eps, self.settings.weight_decay
        if self.scaler.is_enabled() and state['scaler']:
            self.scaler.load_state_dict(state['scaler'])
        self.ema.load_state_dict(state['ema'])
        self.skipped, self.skipped_in_a_row = state['skipped'], state['skipped_in_a_row']
