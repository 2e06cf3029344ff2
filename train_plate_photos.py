"""Train a network with a plate from photos with mattes, composed on the device: our weights for background plates.

    python train_plate_photos.py --photos packed --backgrounds packed/backgrounds --objects packed/objects \\
        --run-dir runs/plate
    (the same again goes on with it)

A run has a time budget: first the coarse network on small frames, then the refiner on large ones. The stages of the
paper on its data sets are train_base.py and train_refine.py. The recipe: documentation/background_plate.md.
"""

import math
import os
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')      # as in train_photos.py

import torch
from torch import Tensor

from dataset.photo_bank import OBJECT_CANVAS, PhotoBank, load_backgrounds
from dataset.plate_composer import PlateComposer
from model.background import MattingBase, MattingRefine
from model.background.backbones import start_from_difference
from train_config import add_flags, setting
from train_loss import plate_base_loss, plate_refine_loss
from training.checkpoint import Checkpoints, SaveError
from training.clips import seeded
from training.distributed import Ranks
from training.log import Log, Meter
from training.metrics import alpha_metrics
from training.optimization import Diverged, Terms, Updater
from training.signals import EXIT_REQUEUE, StopRequest


@dataclass(frozen=True)
class Phase:
    """Part of a run."""

    share: float                              # of the time budget
    batches: tuple[tuple[int, int], ...]      # used in turn: side of the frames [px], frames
    scales: tuple[float, ...] = ()            # the refiner is trained, with these backbone scales in turn
    pixels: float = 0.25                      # share of a frame that is refined

    def batch(self, step: int) -> tuple[int, int]:
        return self.batches[step % len(self.batches)]


PRESETS: dict[str, tuple[Phase, ...]] = {
    'cpu': (Phase(0.45, ((160, 12),)), Phase(0.30, ((256, 6), (192, 10))),
            Phase(0.25, ((512, 3), (640, 2)), (0.5, 0.25))),
    'gpu': (Phase(0.6, ((256, 64), (384, 32))), Phase(0.4, ((1024, 6), (768, 10)), (0.25, 0.5))),
    'smoke': (Phase(0.5, ((64, 4), (96, 2))), Phase(0.5, ((128, 2),), (0.5, 0.25))),
}


@dataclass(frozen=True)
class PlatePhotoConfig:
    """One run. Fields are flags; names that StageConfig has too mean the same."""

    photos: str = setting('folder with fgr/ and pha/ of the training photos (dataset.make_mattes)')
    backgrounds: str = setting('folder of pictures without people')
    run_dir: str = setting('weights, states and logs; a run found there goes on')
    preset: str = setting('phases, by the machine they are made for', 'cpu', tuple(PRESETS))
    minutes: float = setting('time budget of the whole run, pauses not counted', 90.)
    model_variant: str = setting('a name in model.background.BACKBONES', 'efficientnet_lite0')
    pretrained_backbone: bool = setting('start the encoder from ImageNet weights', True)
    objects: str = setting('folder of pictures with alpha of things: part of the scene, or foreground', '')
    valid_photos: str = setting('folder with fgr/ and pha/ of held-out photos, for validation', '')
    learning_rate_backbone: float = setting('highest', 3e-4)
    learning_rate: float = setting('highest, of ASPP and decoder', 1e-3)
    learning_rate_refiner: float = setting('highest', 1e-3)
    warmup_steps: int = setting('iterations of linear warm-up', 50)
    weight_decay: float = setting('of AdamW', 0.01)
    clip_gradient: float = setting('largest gradient norm; 0: no clipping', 1.)
    ema: float = setting('decay per iteration of the averaged weights, which are the result', 0.995)
    device: str = setting('cpu, cuda or auto', 'auto', ('auto', 'cpu', 'cuda'))
    save_minutes: float = setting('between two states', 5.)
    seed: int = setting('of every draw', 0)
    disable_progress_bar: bool = setting('print nothing between saves', False)

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


class PlateTrainer:
    """Runs the phases of a preset.

    Args:
        network: on its device. composers: size of the frames -> what makes them. valid: frames to validate on.
    """

    def __init__(self, network: MattingRefine, config: PlatePhotoConfig, composers: Mapping[int, PlateComposer],
                 valid: Mapping[int, PlateComposer], device: torch.device, checkpoints: Checkpoints):
        self.network, self.config, self.composers, self.valid = network, config, composers, valid
        self.device, self.checkpoints = device, checkpoints
        self.phases = PRESETS[config.preset]
        self.updater = Updater(network, network, config, Ranks(0, 1, device), 'fp32')
        self.step, self.elapsed, self.phase_steps = 0, 0., 0         # elapsed [s]
        self.pool, self.ahead = ThreadPoolExecutor(1), {}

    @property
    def progress(self) -> float:
        return min(1., self.elapsed / (60 * self.config.minutes))

    def phase(self) -> int:
        end = 0.
        for index, phase in enumerate(self.phases):
            end += phase.share
            if self.progress < end - 1e-9:
                return index
        return len(self.phases) - 1

    def train(self) -> bool:
        """To the end of the budget. False when a signal ended it earlier, with everything saved."""
        config, before = self.config, self.phase()
        log, meter = Log(Path(config.run_dir) / 'log', step=self.step, progress=False), Meter(self.device)
        last_save, clock = self.elapsed, time.monotonic()
        with StopRequest() as stop:
            while self.elapsed < 60 * config.minutes and stop.received is None:
                index = self.phase()
                if index != before:
                    log.say(f'phase {index}: {self.phases[index]}')
                    before, self.phase_steps = index, 0
                terms = self.iterate(index)
                meter.count(*[self.phases[index].batch(self.step)[1]] * 2)
                self.step += 1
                now = time.monotonic()
                self.elapsed, clock = self.elapsed + now - clock, now
                if self.step % 20 == 0:
                    log.scalars({f'train_{name}': value for name, value in terms.items()} | meter.read(0.),
                                self.step, index)
                    if not config.disable_progress_bar:
                        log.say(f'{self.elapsed / 60:6.1f} min, step {self.step}, phase {index}: '
                                + ', '.join(f'{name} {float(value):.4f}' for name, value in terms.items()))
                if self.elapsed - last_save > 60 * config.save_minutes:
                    self.save(log)
                    last_save, clock = self.elapsed, time.monotonic()   # validation is not part of the budget
        self.save(log)
        log.close()
        return stop.received is None

    def iterate(self, index: int) -> Terms:
        """One update on one batch of frames."""
        seeded(self.config.seed, self.step)             # of dropout: a run that was stopped goes on as it would have
        self._set_rates()
        self._set_mode(refining=bool(self.phases[index].scales))
        terms = self.updater.update([self._next(index)], lambda item: self.losses(self.phases[index], *item))
        self.updater.ema.decay = min(self.config.ema, (1 + self.phase_steps) / (10 + self.phase_steps))
        self.updater.ema.update()
        self.phase_steps += 1
        return terms

    def _set_mode(self, refining: bool) -> None:
        """While the refiner is trained, encoder and ASPP stay as they are: two or three frames have no batch statistics
        worth keeping, and half of the time is saved."""
        self.network.train()
        for part in (self.network.backbone, self.network.aspp):
            part.requires_grad_(not refining)
            part.train(not refining)
        if refining:
            self.network.decoder.eval()

    def _next(self, index: int) -> tuple[Tensor, ...]:
        """The batch of this step; the next one is composed meanwhile."""
        future = self.ahead.pop((index, self.step), None) or self._compose(index, self.step)
        self.ahead = {(index, self.step + 1): self._compose(index, self.step + 1)}
        return future.result()

    def _compose(self, index: int, step: int) -> Future:
        size, count = self.phases[index].batch(step)
        return self.pool.submit(self.composers[size].batch, step, count)

    def _set_rates(self) -> None:
        """Cosine to zero over the budget, after a warm-up."""
        factor = 0.5 * (1 + math.cos(math.pi * self.progress)) * min(1., (self.step + 1) / self.config.warmup_steps)
        for group in self.updater.optimizer.param_groups:
            # the refiner only begins when the others end
            group['lr'] = group['initial_lr'] * (max(factor, 0.1) if group['name'] == 'refiner' else factor)

    def losses(self, phase: Phase, src: Tensor, plate: Tensor, fgr: Tensor, pha: Tensor) -> Terms:
        """Terms of one batch, 'total' among them."""
        network = self.network
        src, plate = (x.contiguous(memory_format=torch.channels_last) for x in (src, plate))
        if not phase.scales:
            pred_pha, pred_fgr, err, _ = MattingBase.forward(network, src, plate)
            return plate_base_loss({'pha': pred_pha, 'fgr': pred_fgr, 'err': err}, fgr, pha)
        network.backbone_scale = phase.scales[self.step % len(phase.scales)]
        network.refine_sample_pixels = int(phase.pixels * pha[0].numel())
        network.refine_prevent_oversampling = False     # every step has patches
        names = ('pha', 'fgr', 'pha_sm', 'fgr_sm', 'err_sm')
        return plate_refine_loss(dict(zip(names, network(src, plate), strict=False)), fgr, pha)

    def save(self, log: Log) -> None:
        """The averaged weights, the full state, and how good they are."""
        self.checkpoints.save_weights(self.updater.ema.weights(), 0)
        self.checkpoints.save_state({'network': self.network.state_dict(), 'updater': self.updater.state_dict(),
                                     'streams': {}, 'step': self.step, 'elapsed': self.elapsed,
                                     'phase_steps': self.phase_steps, 'config': asdict(self.config)}, self.step)
        numbers = self.validate()
        log.scalars({f'valid_{name}': value for name, value in numbers.items()}, self.step, self.phase())
        log.say(f'{self.elapsed / 60:6.1f} min, step {self.step}: '
                + ', '.join(f'{name} {value:.2f}' for name, value in numbers.items()))

    @torch.no_grad()
    def validate(self, batches: int = 6, batch_size: int = 4) -> dict[str, float]:
        """MAD and MSE x 1000 of the averaged weights on the same damaged plates each time, by the coarse network."""
        sums: dict[str, float] = {}
        with self.updater.ema.applied():
            self.network.eval()
            for size, composer in self.valid.items():
                for index in range(batches):
                    src, plate, _, pha = composer.batch(index, batch_size)
                    pred = MattingBase.forward(self.network, src, plate)[0]
                    for name, value in alpha_metrics(pred[:, None], pha[:, None]).items():
                        sums[f'{name}_{size}'] = sums.get(f'{name}_{size}', 0.) + 1000 * value / batches
        return sums

    def load_state_dict(self, state: dict) -> None:
        if state['config']['model_variant'] != self.config.model_variant:
            raise ValueError(f'--run-dir holds a run of {state["config"]["model_variant"]}, asked for '
                             f'{self.config.model_variant}: name another --run-dir')
        self.network.load_state_dict(state['network'])
        self.updater.load_state_dict(state['updater'])
        self.step, self.elapsed, self.phase_steps = state['step'], state['elapsed'], state['phase_steps']


def build(config: PlatePhotoConfig) -> PlateTrainer:
    best = 'cuda' if torch.cuda.is_available() else 'cpu'
    device = torch.device(best if config.device == 'auto' else config.device)
    checkpoints = Checkpoints(Path(config.run_dir) / 'checkpoint')
    state = checkpoints.load_newest()
    torch.manual_seed(config.seed)
    fresh = state is None and config.pretrained_backbone
    network = MattingRefine(config.model_variant, pretrained_backbone=fresh)
    if fresh:
        start_from_difference(network.backbone)
    network = network.to(device, memory_format=torch.channels_last)
    photos = PhotoBank.from_folders(Path(config.photos) / 'fgr', Path(config.photos) / 'pha').to(device)
    backgrounds = load_backgrounds(Path(config.backgrounds)).to(device)
    objects = PhotoBank.from_folders(Path(config.objects), canvas=OBJECT_CANVAS).to(device) if config.objects else None
    sizes = {size for phase in PRESETS[config.preset] for size, _ in phase.batches}
    composers = {size: PlateComposer(photos, backgrounds, size, config.seed, device, objects) for size in sizes}
    held_out = Path(config.valid_photos) if config.valid_photos else None
    valid_photos = photos if held_out is None else PhotoBank.from_folders(held_out / 'fgr', held_out / 'pha')
    valid = {min(sizes): PlateComposer(valid_photos, backgrounds, min(sizes), config.seed + 100, device, objects)}
    trainer = PlateTrainer(network, config, composers, valid, device, checkpoints)
    if state is not None:
        trainer.load_state_dict(state)
        print(f'goes on at step {trainer.step}, {trainer.elapsed / 60:.1f} min')
    return trainer


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved."""
    parser = ArgumentParser('train_plate_photos.py', description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_flags(parser, PlatePhotoConfig)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        missing = [name for name in ('photos', 'backgrounds', 'run_dir') if name not in given]
        if missing:
            raise ValueError(f'needs {", ".join("--" + name.replace("_", "-") for name in missing)}')
        trainer = build(PlatePhotoConfig(**given))
    except (ValueError, OSError, RuntimeError) as error:
        print(f'train_plate_photos.py: {error}', file=sys.stderr)
        return 2
    try:
        return 0 if trainer.train() else EXIT_REQUEUE
    except (Diverged, SaveError) as error:
        print(f'train_plate_photos.py: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
