"""Train a matting network from photos with mattes, composed into moving clips on the device: our default weights.

    python train_photos.py --photos mattes --backgrounds pictures --preset cpu --run-dir runs/default
    python train_photos.py --photos mattes --backgrounds pictures --preset cpu --run-dir runs/default   # goes on

A run has a time budget, not a number of epochs: its phases and its learning rate follow the clock, and a run that was
stopped goes on where it stood. The recipe is explained in documentation/default_weights.md.
"""

import cli  # noqa: F401  # isort: skip

import math
import random
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dataset.draws import item_draws
from dataset.natural_photos import NaturalConfig, NaturalPhotos, held_out_names
from dataset.photo_bank import OBJECT_CANVAS, PhotoBank, load_backgrounds
from dataset.photo_composer import ComposerConfig, PhotoComposer
from engine.device import cpu_has_bfloat16
from metrics import alpha_metrics
from model import MattingNetwork
from model.coarse_head import add_coarse_head, coarse_pass, pool_quarter, without_coarse_head
from model.weights import load_network
from train_config import add_flags, setting
from train_loss import LossWeights, edge_loss, masked_mean, matting_loss, segmentation_loss
from train_passes import learning_rates
from training.checkpoint import Checkpoints, SaveError
from training.clips import channels_last, untracked_statistics
from training.dilated import split_dilation
from training.distributed import Ranks
from training.log import Log, Meter
from training.loop import AUTOCAST
from training.optimization import Diverged, Optimization, Updater
from training.passes import Terms
from training.signals import EXIT_REQUEUE, StopRequest

EDGE_WEIGHT = 0.15       # of the edge term where the refiner is trained


@dataclass(frozen=True)
class Phase:
    """Part of a run."""

    share: float                  # of the time budget
    batches: tuple[tuple[int, int], ...]  # used in turn: side of the clips [px], clips
    seq_length: int               # frames
    coarse: bool = False          # only up to stride 4
    ratios: tuple[float, float] = (1., 1.)  # downsample ratio, drawn between; below 1 the refiner is trained
    natural: int = 0              # natural photos beside the clips, a pass of their own
    natural_size: int = 256       # side of their crops [px]
    warm_up: int = 0              # up to so many frames before the clip that only fill the memory

    def batch(self, step: int) -> tuple[int, int]:
        """Side and number of the clips of a step."""
        return self.batches[step % len(self.batches)]


PRESETS: dict[str, tuple[Phase, ...]] = {
    # two cores: where people are, on stills; what memory is for; then edges; the refiner at the end
    'cpu': (Phase(0.48, ((256, 10),), 1, coarse=True, natural=6),
            Phase(0.12, ((256, 4),), 3, coarse=True, natural=6, warm_up=16),
            Phase(0.28, ((256, 3), (320, 2)), 2, natural=3, warm_up=12),
            Phase(0.12, ((512, 2),), 1, ratios=(0.25, 0.75), natural=2, warm_up=4)),
    # two cores, from weights: more of the same, less of the first
    'cpu_more': (Phase(0.25, ((256, 10), (320, 6)), 1, coarse=True, natural=6, natural_size=320),
                 Phase(0.20, ((256, 4),), 3, coarse=True, natural=6, warm_up=24),
                 Phase(0.40, ((256, 3), (320, 2), (384, 2)), 2, natural=3, natural_size=320, warm_up=16),
                 Phase(0.15, ((512, 2),), 1, ratios=(0.25, 0.75), natural=2, warm_up=4)),
    'gpu': (Phase(0.25, ((256, 48),), 1, coarse=True, natural=32),
            Phase(0.50, ((256, 12), (384, 6)), 8, natural=24, natural_size=320, warm_up=24),
            Phase(0.15, ((512, 2),), 15, natural=12, natural_size=448),
            Phase(0.10, ((1024, 2),), 4, ratios=(0.25, 0.75), natural=8)),
    'smoke': (Phase(0.4, ((64, 4), (96, 2)), 1, coarse=True, natural=2, natural_size=64),
              Phase(0.4, ((64, 2),), 2, natural=2, natural_size=64, warm_up=3),
              Phase(0.2, ((128, 2),), 2, ratios=(0.5, 0.75))),
}


@dataclass(frozen=True)
class PhotoConfig:
    """One run. Fields are flags; names that StageConfig has too mean the same."""

    photos: str = setting('folder with fgr/ and pha/ of the training photos (dataset.make_mattes)')
    backgrounds: str = setting('folder of pictures without people')
    run_dir: str = setting('weights, states and logs; a run found there goes on')
    preset: str = setting('phases, by the machine they are made for', 'cpu', tuple(PRESETS))
    minutes: float = setting('time budget of the whole run, pauses not counted', 120.)
    model_variant: str = setting('variant, a name in model.VARIANTS', 'efficientnet_lite0')
    pretrained_backbone: bool = setting('without --checkpoint: start the encoder from ImageNet', True)
    frozen_statistics: bool = setting("keep the statistics of the encoder's batch norms", True)
    checkpoint: str = setting('weights to start from: a path or a name of model.weights', '')
    objects: str = setting('folder of pictures with alpha of things that are not people, laid behind the people', '')
    natural: str = setting('folders with photos/ and masks/ of natural photos, separated by commas; without them their '
                           'pass is left out', '')
    valid_photos: str = setting('folder with fgr/ and pha/ of held-out photos, for validation', '')
    learning_rate: float = setting('highest, of all parts but encoder and refiner', 1e-3)
    learning_rate_backbone: float = setting('of the encoder', 2.5e-4)
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
    learning_rate_aspp = learning_rate_decoder = property(lambda self: self.learning_rate)

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
        composers: makes the batches of a phase and a size, by (seq_length, size).
        natural: makes the batches of natural photos, by size; empty where there are none.
        valid, valid_natural: clips and photos to validate on.
    """

    def __init__(self, network: MattingNetwork, config: PhotoConfig, composers: Mapping[tuple[int, int], PhotoComposer],
                 natural: Mapping[int, NaturalPhotos], valid: PhotoComposer, valid_natural: NaturalPhotos | None,
                 device: torch.device, checkpoints: Checkpoints):
        self.network, self.config, self.composers, self.valid = network, config, composers, valid
        self.natural, self.valid_natural = natural, valid_natural
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
        self.set_training()
        last_save, clock = self.elapsed, time.monotonic()
        with StopRequest() as stop:
            while self.elapsed < 60 * config.minutes and stop.received is None:
                index = self.phase()
                if index != before:
                    log.say(f'phase {index}: {self.phases[index]}')
                    before = index
                terms = self.iterate(index)
                phase, clips = self.phases[index], self.phases[index].batch(self.step)[1]
                meter.count(clips, clips * phase.seq_length + (phase.natural if self.natural else 0))
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
        clip, photos = self._next_batches(index)
        passes = [lambda: self.losses(phase, *clip)]
        if photos is not None:
            passes.append(lambda: {f'natural_{name}' if name != 'total' else name: term
                                   for name, term in self.natural_losses(phase, *photos).items()})
        terms: Terms = {}

        def run(losses) -> Terms:
            found = losses()
            terms.update({name: term.detach() for name, term in found.items()},
                         total=terms.get('total', 0) + found['total'].detach())
            return found
        self.updater.update(passes, run)
        # a short average at first: what untrained parts began with must not linger in it
        done = self.phase_steps.get(index, 0)
        self.updater.ema.decay = min(self.config.ema, (1 + done) / (10 + done))
        self.updater.ema.update()
        self.phase_steps = {index: done + 1}
        return terms

    def _next_batches(self, index: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
        """Clips and natural photos of this step; the next are made meanwhile (by a core that waits)."""
        future = self.ahead.pop((index, self.step), None) or self._make(index, self.step)
        self.ahead = {(index, self.step + 1): self._make(index, self.step + 1)}
        return future.result()

    def _make(self, index: int, step: int) -> Future:
        phase = self.phases[index]
        size, clips = phase.batch(step)

        def make():
            photos = None
            if phase.natural and self.natural:
                photos = self.natural[phase.natural_size].batch(step, phase.natural)
                photos = tuple(part.to(self.device) for part in photos)
            return self.composers[phase.seq_length, size].compositions(step, clips), photos
        return self.pool.submit(make)

    def set_training(self) -> None:
        """Training mode; an encoder from ImageNet keeps its statistics: batches here are small and of other scenes."""
        self.network.train()
        if self.config.frozen_statistics:
            for module in self.network.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _set_rates(self) -> None:
        """Cosine to zero over the budget, after a warm-up."""
        factor = 0.5 * (1 + math.cos(math.pi * self.progress)) * min(1., (self.step + 1) / self.config.warmup_steps)
        for group in self.updater.optimizer.param_groups:
            group['lr'] = group['initial_lr'] * factor

    def losses(self, phase: Phase, src: Tensor, fgr: Tensor, pha: Tensor) -> Terms:
        """Terms of one batch of compositions, 'total' among them."""
        src = channels_last(src)
        draws = item_draws(self.config.seed, 1, self.step)
        ratio = draws.uniform(*phase.ratios)
        rec = self.warmed_up(phase, src, ratio, draws)
        if phase.coarse:
            return self.coarse_losses(src, fgr, pha, rec)
        with self.autocast():
            pred_fgr, pred_pha = self.network(src, *rec, downsample_ratio=ratio)[:2]
        terms = matting_loss(pred_fgr.float(), pred_pha.float(), fgr, pha, self.weights)
        if ratio < 1:
            terms['edge'] = edge_loss(pred_pha.float(), pha)
            terms['total'] = terms['total'] + EDGE_WEIGHT * terms['edge']
        return terms

    def coarse_losses(self, src: Tensor, fgr: Tensor, pha: Tensor, rec: Sequence[Tensor | None]) -> Terms:
        fgr, pha = pool_quarter(fgr), pool_quarter(pha)
        with self.autocast():
            pred_fgr, pred_pha, logits, *_ = coarse_pass(self.network, src, *rec[1:])
        terms = matting_loss(pred_fgr.float(), pred_pha.float(), fgr, pha, self.weights)
        terms['segmentation'] = segmentation_loss(logits.float(), pha)
        terms['total'] = terms['total'] + terms['segmentation']
        return terms

    def natural_losses(self, phase: Phase, src: Tensor, seg: Tensor, known: Tensor) -> Terms:
        """Terms of natural photos, where their masks are sure: cross-entropy of the logits, L1 of alpha."""
        src = channels_last(src)
        with self.autocast():
            if phase.coarse:
                seg, known = pool_quarter(seg), (pool_quarter(known) > 0.99).float()
                _, pred_pha, logits, *_ = coarse_pass(self.network, src)
            else:
                hid = self.network.hidden(src, *[None] * 4)[0]
                pred_pha = self.network.project_mat(hid)[..., 3:, :, :]
                logits = self.network.project_seg(hid)
        terms = {'segmentation': masked_mean(
            F.binary_cross_entropy_with_logits(logits.float(), seg, reduction='none'), known),
            'pha_l1': masked_mean((pred_pha.float().clamp(-1, 2) - seg).abs(), known)}
        return terms | {'total': terms['segmentation'] + terms['pha_l1']}

    @torch.no_grad()
    def warmed_up(self, phase: Phase, src: Tensor, ratio: float, draws: random.Random) -> Sequence[Tensor | None]:
        """States (r1, r2, r3, r4) after some frames of the same clips, to and fro, at times of others before them:
        what a network remembers after a minute, or from before a cut, without the gradient's price."""
        rec = [None] * 4
        frames = draws.randint(1, phase.warm_up) if phase.warm_up and draws.random() < 0.7 else 0
        if not frames:
            return rec
        T = src.size(1)
        to_and_fro = [*range(T), *range(T - 2, 0, -1)]
        order = [to_and_fro[k % len(to_and_fro)] for k in range(frames)][::-1]
        before = draws.randint(0, frames) if draws.random() < 0.4 else 0     # frames of another clip
        with untracked_statistics(self.network):
            for clip, part in ((src.roll(1, 0), order[:before]), (src, order[before:])):
                if part:
                    frames = channels_last(clip[:, part])
                    with self.autocast():
                        rec = [None, *coarse_pass(self.network, frames, *rec[1:])[3:]] if phase.coarse else \
                            self.network(frames, *rec, downsample_ratio=ratio)[2:]
        return rec

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
            numbers = {name: value * (100 if name == 'dtssd' else 1000) for name, value in sums.items()}
            if self.valid_natural is not None:
                numbers |= self._validate_natural(coarse)
        self.set_training()
        return numbers

    def _validate_natural(self, coarse: bool, batches: int = 8, batch_size: int = 8) -> dict[str, float]:
        """On held-out natural photos: mean IoU of people x 100, mean alpha of photos without any x 1000."""
        overlaps, areas = [], []
        for index in range(batches):
            src, seg, known = (part.to(self.device) for part in self.valid_natural.batch(index, batch_size))
            src = channels_last(src)
            with self.autocast():
                pred = coarse_pass(self.network, src)[1].clamp(0, 1) if coarse else self.network(src)[1]
            if coarse:
                seg, known = pool_quarter(seg), (pool_quarter(known) > 0.99).float()
            found, true = (pred.float() > 0.5) * known, (seg > 0.5) * known
            both, either = ((found * true).flatten(1).sum(1), (found + true).clamp(max=1).flatten(1).sum(1))
            people = true.flatten(1).sum(1) > 0
            overlaps += (both / either.clamp(min=1))[people].tolist()
            areas += (pred.float() * known).flatten(1).mean(1)[~people].tolist()
        return {'natural_iou': 100 * sum(overlaps) / max(1, len(overlaps)),
                'natural_empty': 1000 * sum(areas) / max(1, len(areas))}

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
        network = MattingNetwork(config.model_variant,
                                 pretrained_backbone=config.pretrained_backbone and state is None)
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
    natural, valid_natural = {}, None
    if config.natural:
        folders = config.natural.split(',')
        natural = {phase.natural_size: NaturalPhotos(folders, NaturalConfig(size=phase.natural_size), config.seed,
                                                     lambda folder, name: name not in held_out_names(folder))
                   for phase in phases if phase.natural}
        valid_natural = NaturalPhotos(folders, NaturalConfig(smallest=0.95, largest=1., stretch=0., tone=0.),
                                      config.seed, lambda folder, name: name in held_out_names(folder))
    held_out = Path(config.valid_photos) if config.valid_photos else None
    valid_photos = photos if held_out is None else PhotoBank.from_folders(held_out / 'fgr', held_out / 'pha')
    size = max(size for phase in phases if phase.ratios[1] == 1 for size, _ in phase.batches)
    valid = PhotoComposer(valid_photos, backgrounds, ComposerConfig(size=size, seq_length=4, aspect=0), config.seed + 1,
                          device)
    trainer = PhotoTrainer(network, config, composers, natural, valid, valid_natural, device, checkpoints)
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
