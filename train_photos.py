"""Train a matting network from photos with mattes, composed into moving clips on the device: our default weights.

    python train_photos.py --photos mattes --backgrounds pictures --preset cpu --run-dir runs/default
    python train_photos.py --photos mattes --backgrounds pictures --preset cpu --run-dir runs/default   # goes on

A run has a time budget, not a number of epochs: its phases and its learning rate follow the clock, and a run that was
stopped goes on where it stood. The recipe is explained in documentation/default_weights.md.
"""

import math
import os
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

# Beside another busy process, threads that wait by spinning take seconds a frame: read when torch is loaded.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import torch
from torch import Tensor

from dataset.photo_bank import OBJECT_CANVAS, PhotoBank, load_backgrounds
from dataset.photo_composer import ComposerConfig, PhotoComposer
from metrics import alpha_metrics
from model import MattingNetwork
from model.coarse_head import add_coarse_head, coarse_pass, pool_quarter, without_coarse_head
from model.weights import load_network
from train_config import add_flags, setting
from train_loss import LossWeights, matting_loss, segmentation_loss
from train_passes import learning_rates
from training.checkpoint import Checkpoints, SaveError
from training.clips import channels_last
from training.dilated import split_dilation
from training.distributed import Ranks
from training.log import Log, Meter
from training.loop import AUTOCAST
from training.optimization import Diverged, Optimization, Updater
from training.passes import Terms
from training.signals import EXIT_REQUEUE, StopRequest
from video.matter import cpu_has_bfloat16


@dataclass(frozen=True)
class Phase:
    """Part of a run."""

    share: float                  # of the time budget
    batches: tuple[tuple[int, int], ...]  # used in turn: side of the clips [px], clips
    seq_length: int               # frames
    coarse: bool = False          # only up to stride 4
    downsample_ratio: float = 1.  # below 1 the refiner is trained

    def batch(self, step: int) -> tuple[int, int]:
        """Side and number of the clips of a step."""
        return self.batches[step % len(self.batches)]


PRESETS: dict[str, tuple[Phase, ...]] = {
    # two cores: where people are, on stills; then edges and time; the refiner at the end
    'cpu': (Phase(0.30, ((192, 14),), 1, coarse=True), Phase(0.27, ((256, 8),), 2, coarse=True),
            Phase(0.35, ((256, 3),), 3), Phase(0.08, ((512, 2),), 2, downsample_ratio=0.5)),
    # two cores, from weights of 'cpu': more pictures of what is not a person, people in larger frames
    'cpu_more': (Phase(0.35, ((256, 14),), 1, coarse=True), Phase(0.25, ((256, 8), (320, 5)), 2, coarse=True),
                 Phase(0.33, ((256, 3), (320, 2)), 2), Phase(0.07, ((512, 2),), 2, downsample_ratio=0.5)),
    'gpu': (Phase(0.15, ((256, 64),), 1, coarse=True), Phase(0.60, ((256, 12), (384, 6)), 8),
            Phase(0.15, ((512, 2),), 15), Phase(0.10, ((1024, 2),), 4, downsample_ratio=0.375)),
    'smoke': (Phase(0.4, ((64, 4), (96, 2)), 1, coarse=True), Phase(0.4, ((64, 2),), 2),
              Phase(0.2, ((128, 2),), 2, downsample_ratio=0.5)),
}


@dataclass(frozen=True)
class PhotoConfig:
    """One run. Fields are flags; names that StageConfig has too mean the same."""

    photos: str = setting('folder with fgr/ and pha/ of the training photos (dataset.make_mattes)')
    backgrounds: str = setting('folder of pictures without people')
    run_dir: str = setting('weights, states and logs; a run found there goes on')
    preset: str = setting('phases, by the machine they are made for', 'cpu', tuple(PRESETS))
    minutes: float = setting('time budget of the whole run, pauses not counted', 120.)
    model_variant: str = setting('encoder, a name in model.ENCODERS', 'mobilenetv3')
    checkpoint: str = setting('weights to start from: a path or a name of model.weights', '')
    objects: str = setting('folder of pictures with alpha of things that are not people, laid behind the people', '')
    valid_photos: str = setting('folder with fgr/ and pha/ of held-out photos, for validation', '')
    learning_rate: float = setting('highest, of all parts but the refiner', 1.5e-3)
    learning_rate_refiner: float = setting('of the refiner', 2e-3)
    warmup_steps: int = setting('iterations of linear warm-up', 100)
    weight_decay: float = setting('of AdamW', 0.01)
    clip_gradient: float = setting('largest gradient norm; 0: no clipping', 1.)
    ema: float = setting('decay per iteration of the averaged weights, which are the result', 0.998)
    precision: str = setting('auto: bf16 where the device has instructions for it, else fp32', 'auto',
                             ('auto', 'fp32', 'bf16'))
    device: str = setting('cpu, cuda or auto', 'auto', ('auto', 'cpu', 'cuda'))
    save_minutes: float = setting('between two states', 5.)
    seed: int = setting('of every draw', 0)
    resume: str = setting('a state found in --run-dir is always gone on with; slurm/train.sbatch says it', 'auto',
                          ('auto',))
    disable_progress_bar: bool = setting('no tqdm', False)

    # what training.optimization.Updater asks for
    optimizer, adam_eps, untouched, nonfinite_limit = 'adamw', 1e-8, 'skip', 20
    learning_rate_backbone = learning_rate_aspp = learning_rate_decoder = property(lambda self: self.learning_rate)

    def __post_init__(self):
        for name in ('minutes', 'learning_rate', 'save_minutes'):
            if getattr(self, name) <= 0:
                raise ValueError(f'--{name.replace("_", "-")} must be larger than 0, got {getattr(self, name)}')
        if not 0 <= self.ema < 1:
            raise ValueError(f'--ema must be in [0, 1), got {self.ema}')
        if self.preset not in PRESETS:
            raise ValueError(f'--preset must be one of {", ".join(PRESETS)}, got {self.preset}')


class PhotoTrainer:
    """Runs the phases of a preset.

    Args:
        network: with a coarse head, on its device, channels-last.
        composers: makes the batches of a phase and a size, by (seq_length, size). valid: clips to validate on.
    """

    def __init__(self, network: MattingNetwork, config: PhotoConfig, composers: Mapping[tuple[int, int], PhotoComposer],
                 valid: PhotoComposer, device: torch.device, checkpoints: Checkpoints):
        self.network, self.config, self.composers, self.valid = network, config, composers, valid
        self.device, self.checkpoints = device, checkpoints
        self.phases = PRESETS[config.preset]
        optimization = Optimization.of(config, learning_rates(config))
        self.updater = Updater(network, network, optimization, Ranks(0, 1, device), config.precision)
        self.step, self.elapsed = 0, 0.   # elapsed [s]
        self.phase_steps: dict[int, int] = {}   # of the phase it is in: updates done
        self.pool, self.ahead = ThreadPoolExecutor(1), {}
        self.weights = LossWeights()

    @property
    def progress(self) -> float:
        return min(1., self.elapsed / (60 * self.config.minutes))

    def phase(self) -> int:
        """Index of the phase that the clock says."""
        end = 0.
        for index, phase in enumerate(self.phases):
            end += phase.share
            if self.progress < end - 1e-9:
                return index
        return len(self.phases) - 1

    def train(self) -> bool:
        """To the end of the budget. False when a signal ended it earlier, with everything saved."""
        config, before = self.config, self.phase()
        log = Log(Path(config.run_dir) / 'log', step=self.step, progress=False)
        meter, bar = Meter(self.device), Bar(self)
        self.network.train()
        last_save, clock = self.elapsed, time.monotonic()
        with StopRequest() as stop:
            while self.elapsed < 60 * config.minutes and stop.received is None:
                index = self.phase()
                if index != before:
                    log.say(f'phase {index}: {self.phases[index]}')
                    before = index
                terms = self.iterate(index)
                clips = self.phases[index].batch(self.step)[1]
                meter.count(clips, clips * self.phases[index].seq_length)
                self.step += 1
                now = time.monotonic()
                self.elapsed, clock = self.elapsed + now - clock, now
                if self.step % 20 == 0:
                    log.scalars({f'train_{name}': value for name, value in terms.items()} | meter.read(0.),
                                self.step, index)
                    bar.show(terms)
                if self.elapsed - last_save > 60 * config.save_minutes:
                    self.save(log)
                    last_save, clock = self.elapsed, time.monotonic()   # validation is not part of the budget
        self.save(log)
        log.close()
        return stop.received is None

    def iterate(self, index: int) -> Terms:
        """One update on one batch of clips."""
        self._set_rates()
        phase = self.phases[index]
        clip = self._next_clip(index)
        terms = self.updater.update([clip], lambda clip: self.losses(phase, *clip))
        # a short average at first: what untrained parts began with must not linger in it
        done = self.phase_steps.get(index, 0)
        self.updater.ema.decay = min(self.config.ema, (1 + done) / (10 + done))
        self.updater.ema.update()
        self.phase_steps = {index: done + 1}
        return terms

    def _next_clip(self, index: int) -> tuple[Tensor, ...]:
        """The batch of this step; the next one is composed meanwhile (by a core that waits, or another stream)."""
        future = self.ahead.pop((index, self.step), None) or self._compose(index, self.step)
        self.ahead = {(index, self.step + 1): self._compose(index, self.step + 1)}
        return future.result()

    def _compose(self, index: int, step: int) -> Future:
        size, clips = self.phases[index].batch(step)
        return self.pool.submit(self.composers[self.phases[index].seq_length, size].compositions, step, clips)

    def _set_rates(self) -> None:
        """Cosine to zero over the budget, after a warm-up."""
        factor = 0.5 * (1 + math.cos(math.pi * self.progress)) * min(1., (self.step + 1) / self.config.warmup_steps)
        for group in self.updater.optimizer.param_groups:
            group['lr'] = group['initial_lr'] * factor

    def losses(self, phase: Phase, src: Tensor, fgr: Tensor, pha: Tensor) -> Terms:
        """Terms of one batch, 'total' among them."""
        src = channels_last(src)
        if phase.coarse:
            return self.coarse_losses(src, fgr, pha)
        with self.autocast():
            pred_fgr, pred_pha = self.network(src, downsample_ratio=phase.downsample_ratio)[:2]
        return matting_loss(pred_fgr.float(), pred_pha.float(), fgr, pha, self.weights)

    def coarse_losses(self, src: Tensor, fgr: Tensor, pha: Tensor) -> Terms:
        fgr, pha = pool_quarter(fgr), pool_quarter(pha)
        with self.autocast():
            pred_fgr, pred_pha, logits = coarse_pass(self.network, src)
        terms = matting_loss(pred_fgr.float(), pred_pha.float(), fgr, pha, self.weights)
        terms['segmentation'] = segmentation_loss(logits.float(), pha)
        terms['total'] = terms['total'] + terms['segmentation']
        return terms

    def autocast(self) -> torch.autocast:
        precision = self.config.precision
        return torch.autocast(self.device.type, AUTOCAST[precision], enabled=precision != 'fp32')

    def save(self, log: Log) -> None:
        """The averaged weights, the full state, and how good they are."""
        self.checkpoints.save_weights(without_coarse_head(self.updater.ema.weights()), 0)
        self.checkpoints.save_state({'network': self.network.state_dict(), 'updater': self.updater.state_dict(),
                                     'streams': {}, 'step': self.step, 'elapsed': self.elapsed,
                                     'phase_steps': self.phase_steps, 'config': asdict(self.config)}, self.step)
        numbers = self.validate()
        log.scalars({f'valid_{name}': value for name, value in numbers.items()}, self.step, self.phase())
        log.say(f'{self.elapsed / 60:6.1f} min, step {self.step}: '
                + ', '.join(f'{name} {value:.2f}' for name, value in numbers.items()))

    @torch.no_grad()
    def validate(self, batches: int = 4, batch_size: int = 4) -> dict[str, float]:
        """MAD and MSE x 1000 of the averaged weights: at stride 4 in coarse phases, else at full size, ratio 1."""
        coarse = self.phases[self.phase()].coarse
        sums: dict[str, float] = {}
        with self.updater.ema.applied():
            self.network.eval()
            for index in range(batches):
                src, _, pha = self.valid.compositions(index, batch_size)
                src = channels_last(src)
                with self.autocast():
                    pred = coarse_pass(self.network, src)[1].clamp(0, 1) if coarse else self.network(src)[1]
                pha = pool_quarter(pha) if coarse else pha
                for name, value in alpha_metrics(pred.float(), pha).items():
                    sums[name] = sums.get(name, 0.) + value / batches
        self.network.train()
        return {name: value * (100 if name == 'dtssd' else 1000) for name, value in sums.items()}

    def load_state_dict(self, state: dict) -> None:
        if state['config']['model_variant'] != self.config.model_variant:
            raise ValueError(f'--run-dir holds a run of {state["config"]["model_variant"]}, asked for '
                             f'{self.config.model_variant}: name another --run-dir')
        self.network.load_state_dict(state['network'])
        self.updater.load_state_dict(state['updater'])
        self.step, self.elapsed, self.phase_steps = state['step'], state['elapsed'], state['phase_steps']


class Bar:
    """Progress in minutes of the budget."""

    def __init__(self, trainer: PhotoTrainer):
        from tqdm import tqdm
        self.trainer = trainer
        self.bar = tqdm(total=round(trainer.config.minutes, 1), unit='min', disable=trainer.config.disable_progress_bar,
                        bar_format='{desc} {percentage:3.0f}% |{bar}| {n:.1f} of {total} min{postfix}')

    def show(self, terms: Terms) -> None:
        self.bar.n = self.trainer.elapsed / 60
        self.bar.set_description(f'phase {self.trainer.phase()}')
        self.bar.set_postfix(step=self.trainer.step, loss=f'{float(terms["total"]):.4f}')


def build(config: PhotoConfig) -> PhotoTrainer:
    best = 'cuda' if torch.cuda.is_available() else 'cpu'
    device = torch.device(best if config.device == 'auto' else config.device)
    if config.precision == 'auto':
        config = replace(config, precision='bf16' if device.type == 'cuda' or cpu_has_bfloat16() else 'fp32')
    checkpoints = Checkpoints(Path(config.run_dir) / 'checkpoint')
    state = checkpoints.load_newest()
    torch.manual_seed(config.seed)
    if config.checkpoint and state is None:
        network = load_network(config.checkpoint, config.model_variant).train()
    else:
        network = MattingNetwork(config.model_variant)
    network = add_coarse_head(network).to(device, memory_format=torch.channels_last)
    if device.type == 'cpu':
        split_dilation(network)
    photos = PhotoBank.from_folders(Path(config.photos) / 'fgr', Path(config.photos) / 'pha').to(device)
    backgrounds = load_backgrounds(Path(config.backgrounds)).to(device)
    objects = PhotoBank.from_folders(Path(config.objects), canvas=OBJECT_CANVAS).to(device) if config.objects else None
    phases = PRESETS[config.preset]
    composers = {(phase.seq_length, size): PhotoComposer(
        photos, backgrounds, ComposerConfig(size=size, seq_length=phase.seq_length), config.seed, device, objects)
        for phase in phases for size, _ in phase.batches}
    held_out = Path(config.valid_photos) if config.valid_photos else None
    valid_photos = photos if held_out is None else PhotoBank.from_folders(held_out / 'fgr', held_out / 'pha')
    size = max(size for phase in phases if phase.downsample_ratio == 1 for size, _ in phase.batches)
    valid = PhotoComposer(valid_photos, backgrounds, ComposerConfig(size=size, seq_length=4), config.seed + 1, device)
    trainer = PhotoTrainer(network, config, composers, valid, device, checkpoints)
    if state is not None:
        trainer.load_state_dict(state)
        print(f'goes on at step {trainer.step}, {trainer.elapsed / 60:.1f} min')
    return trainer


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved."""
    parser = ArgumentParser('train_photos.py', description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_flags(parser, PhotoConfig)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        missing = [name for name in ('photos', 'backgrounds', 'run_dir') if name not in given]
        if missing:
            raise ValueError(f'needs {", ".join("--" + name.replace("_", "-") for name in missing)}')
        trainer = build(PhotoConfig(**given))
        print(trainer.network.describe())
    except (ValueError, OSError, RuntimeError) as error:
        print(f'train_photos.py: {error}', file=sys.stderr)
        return 2
    try:
        return 0 if trainer.train() else EXIT_REQUEUE
    except (Diverged, SaveError) as error:
        print(f'train_photos.py: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
