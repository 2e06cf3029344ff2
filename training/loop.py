"""The one training loop: passes, each an update of its own, in iterations that a clock counts.

It knows no network: what is computed is in the passes, how long and how fast in what it is handed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from .checkpoint import Checkpoints
from .clips import seeded
from .clock import Budget, Epochs
from .distributed import Ranks
from .log import Log, Meter
from .optimization import Optimization, Updater
from .passes import Pass, Terms, Turn
from .settings import EpochSettings
from .signals import StopRequest
from .validation import ValidationSet, validate

AUTOCAST = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """What a network computes in at 'fp32', 'bf16' or 'fp16'."""
    return torch.autocast(device.type, AUTOCAST[precision], enabled=precision != 'fp32')


@dataclass(frozen=True)
class Run:
    """What a run is beside its network, its passes and its clock.

    Args:
        log_dir: of TensorBoard files and scalars.csv.
        precision: 'fp32', 'bf16' or 'fp16'.
        accumulate: batches per update.
        scalars_every, pictures_every: iterations between two looks.
        settings: kept in every state; those that differ are told when a run goes on. `wandb_project` among them names
            where else to log.
        identity: names of settings that a run which goes on must share with the state.
        published: (weights) -> what of them is saved for inference.
        training_mode: puts the network into it.
    """

    checkpoints: Checkpoints
    log_dir: str
    ranks: Ranks
    optimization: Optimization
    precision: str = 'fp32'
    seed: int = 0
    accumulate: int = 1
    scalars_every: int = 20
    pictures_every: int = 500
    progress_bar: bool = True
    settings: Mapping[str, object] = field(default_factory=dict)
    identity: Sequence[str] = ('optimizer',)
    published: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    training_mode: Callable[[nn.Module], object] = nn.Module.train

    @classmethod
    def of(cls, config: EpochSettings, checkpoints: Checkpoints, ranks: Ranks, rates: Mapping[str, float],
           identity: Sequence[str]) -> 'Run':
        """As the settings of a run by epochs say; `rates` as in `Optimization`."""
        return cls(checkpoints, config.log_dir, ranks, Optimization.of(config, rates),
                   config.precision_on(ranks.device), config.seed, config.accumulate, config.log_train_loss_interval,
                   config.log_train_images_interval, not config.disable_progress_bar, asdict(config), identity)


class Trainer:
    """Trains one network.

    Args:
        network: on its device, with the weights to start from.
        module: what passes call: the network, wrapped for clips and ranks or not.
        passes: in the order of an iteration.
        validation: name -> what to validate on; none: no validation.
    """

    def __init__(self, network: nn.Module, module: nn.Module, passes: Sequence[Pass], clock: Epochs | Budget, run: Run,
                 validation: Mapping[str, ValidationSet] | None = None):
        self.network, self.module, self.clock, self.run = network, module, clock, run
        self.passes = {own.name: own for own in passes}
        self.ranks, self.checkpoints, self.validation = run.ranks, run.checkpoints, dict(validation or {})
        self.updater = Updater(network, module, run.optimization, run.ranks, run.precision)
        self.step = 0
        self.best = float('inf')
        self.scalars: dict[str, Tensor] = {}        # of this iteration, where they are due
        self.pictures: dict[str, Tensor] = {}
        self.meter = Meter(run.ranks.device)

    def train(self) -> bool:
        """From where it stands to the end. False when a signal ended it earlier, with everything saved."""
        self.log = Log(self.run.log_dir, self.ranks.is_main, self.step, self.run.progress_bar,
                       str(self.run.settings.get('wandb_project', '')), self.run.settings)
        self.run.training_mode(self.network)
        try:
            with StopRequest() as stop:
                while not self.clock.finished:
                    self.log.show(*self.clock.bar())
                    self.meter.reset(self.waited())
                    if not self.train_part(stop):
                        return False
                    self.save()
                    self.validate()
                    self.clock.go_on()
                    self.save_state()
            return True
        finally:
            self.log.close()

    def train_part(self, stop: StopRequest) -> bool:
        """To the next pause."""
        since = time.perf_counter()
        while not self.clock.pauses:
            terms = self.iterate()
            loss = self.log_iteration(terms)
            self.step += 1
            now = time.perf_counter()
            self.clock.tick(self.ranks.sum([now - since])[0] / self.ranks.world)
            self.log.show(*self.clock.bar(), loss)
            if self.ranks.any(stop.received is not None):
                self.save()
                name = stop.received.name if stop.received else 'signal on another rank'
                self.log.say(f'{name}: saved after step {self.step}, go on with --resume auto')
                self.ranks.any(False)       # nobody leaves before the files are whole
                return False
            if self.clock.saves(self.step):
                self.save()
                now = time.perf_counter()
            since = now
        return True

    def iterate(self) -> Terms:
        """The passes that are due, each an optimizer step unless it joins another; terms as they are logged."""
        self.updater.set_rates(self.clock.progress, self.step)
        updates: list[list[Pass]] = []
        for own in self.passes.values():
            if own.due(self.step):
                updates += [] if own.joins and updates else [[]]
                updates[-1].append(own)
        logged: Terms = {}
        for joint in updates:
            logged |= self.update({own: own.stream.take(self.run.accumulate, self.step) for own in joint})
        self.updater.ema.update(self.clock.age)
        return logged

    def update(self, batches: Mapping[Pass, list]) -> Terms:
        """One update on the mean gradient of all batches. The terms are those of the last batch of each pass."""
        found: dict[Pass, Terms] = {}

        def loss(item: tuple[Pass, int, object]) -> Terms:
            own, index, batch = item
            found[own] = own.losses(batch, self.turn(own, index))
            return found[own]

        self.updater.update([(own, index, batch) for own, taken in batches.items()
                             for index, batch in enumerate(taken)], loss)
        all_logged: Terms = {}
        for own, taken in batches.items():
            for batch in taken:
                self.meter.count(*own.counted(batch))
            logged = own.logged({name: term.detach() for name, term in found[own].items()})
            if own.logs(self.step, self.run.scalars_every):
                self.scalars |= logged
            all_logged |= logged
        return all_logged

    def turn(self, own: Pass, index: int) -> Turn:
        """For batch `index` of an update."""
        draws = seeded(self.run.seed, self.step, self.ranks.rank, own.tag, index)
        return Turn(self.step, self.ranks.device, draws, partial(self.forward, self.module), partial(self.show, own))

    def forward(self, module: nn.Module, *inputs: Tensor, **arguments) -> list[Tensor]:
        """A module under autocast; its heads as float32."""
        with autocast(self.ranks.device, self.run.precision):
            heads = module(*inputs, **arguments)
        return [head.float() for head in heads]

    def show(self, own: Pass, tag: str, **clips: Tensor) -> None:
        """Keep clips for the log, where pictures of this pass are due."""
        if self.ranks.is_main and own.logs(self.step, self.run.pictures_every):
            self.pictures |= {f'{tag}_{name}': clip.detach() for name, clip in clips.items()}

    def waited(self) -> float:
        """[s] spent waiting for batches."""
        return sum({id(own.stream): own.stream.waited for own in self.passes.values()}.values())

    def log_iteration(self, terms: Terms) -> float | None:
        """The loss of the first pass, where it is due."""
        self.log.scalars(self.scalars, self.step, self.clock.part)
        self.log.images(self.pictures, self.step)
        self.scalars, self.pictures = {}, {}
        if self.step % self.run.scalars_every:
            return None
        rates = {group['name']: group['lr'] for group in self.updater.optimizer.param_groups}
        self.log.scalars({**{f'learning_rate_{name}': rate for name, rate in rates.items()},
                          'gradient_norm': self.updater.gradient_norm, 'skipped_updates': self.updater.skipped,
                          **self.meter.read(self.waited())}, self.step, self.clock.part)
        return next((float(value) for name, value in terms.items() if name.endswith('total')), None)

    def validate(self) -> None:
        """Averaged weights on fixed clips, spread over the ranks; those with the lowest loss are kept."""
        if not self.validation:
            return
        with self.updater.ema.applied():
            self.network.eval()
            numbers, strips = validate(partial(self.forward, self.network), self.validation, self.ranks)
        self.run.training_mode(self.network)
        last = max(self.step - 1, 0)
        for name, strip in strips.items():
            self.log.strip(f'valid_{name}', strip, last)
        self.log.scalars(numbers, last, self.clock.part)
        self.log.say(f'{self.clock.place()}: ' + ', '.join(f'{name} {value:.5f}' for name, value in numbers.items()))
        if numbers.get('valid_loss', self.best) < self.best:
            self.best = numbers['valid_loss']
            if self.ranks.is_main:
                place = {'epoch': self.clock.epoch, 'step': self.step}
                self.checkpoints.save_best(self.run.published(self.updater.ema.weights()), place | numbers)

    def save(self) -> None:
        """Weights of this epoch and the full state."""
        if self.ranks.is_main:
            self.checkpoints.save_weights(self.run.published(self.updater.ema.weights()), self.clock.epoch)
        self.save_state()

    def save_state(self) -> None:
        """On the first rank."""
        if self.ranks.is_main:
            self.checkpoints.save_state(self.state_dict(), self.step)

    def state_dict(self) -> dict:
        """Everything that a run needs to go on alike."""
        return {'network': self.network.state_dict(), 'updater': self.updater.state_dict(),
                'streams': {name: own.stream.state_dict() for name, own in self.passes.items()},
                **self.clock.state_dict(), 'step': self.step, 'best': self.best, 'config': dict(self.run.settings)}

    def load_state_dict(self, state: dict) -> list[str]:
        """Go to where a saved run stood.

        Returns:
            Settings that differ from that run's, as 'name: before -> now'.
        Raises:
            ValueError: the state belongs to another network or optimizer.
        """
        before, now = state['config'], self.run.settings
        for name in self.run.identity:
            if name in now and before.get(name, now[name]) != now[name]:
                raise ValueError(f'the state belongs to a run with {name} {before[name]}, this one has {now[name]}: '
                                 f'name another {self.checkpoints.flag}')
        self.network.load_state_dict(state['network'])
        self.updater.load_state_dict(state['updater'])
        for name, own in self.passes.items():
            if name in state['streams']:
                own.stream.load_state_dict(state['streams'][name])
        self.clock.load_state_dict(state)
        self.step, self.best = state['step'], state.get('best', self.best)
        return [f'{name}: {before.get(name)} -> {value}' for name, value in now.items()
                if before.get(name) != value and name != 'resume']

    def resume(self, state: dict | None) -> None:
        """As `load_state_dict`, and says so; None: begin."""
        if state is not None:
            changes = self.load_state_dict(state)
            if self.ranks.is_main:
                print(f'resumed at {self.clock.place()}, step {self.step}'
                      + (f'; settings that changed: {", ".join(changes)}' if changes else ''))
