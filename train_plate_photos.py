"""Train a network with a plate from photos with mattes, composed on the device: our weights for background plates.

    python train_plate_photos.py --photos packed --backgrounds packed/backgrounds --objects packed/objects \\
        --valid-photos mattes_test --run-dir runs/plate
    (the same again goes on with it)

A run has a time budget: first the coarse network on small frames, then the refiner on large ones. The stages of the
paper on its data sets are train_base.py and train_refine.py. The recipe: documentation/background_plate.md.
"""

import cli  # noqa: F401  # isort: skip

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dataset.photo_bank import OBJECT_CANVAS, PhotoBank, load_backgrounds
from dataset.plate_composer import PlateComposer
from model.background import MattingRefine
from model.background.backbones import start_from_difference
from passes.plate import PlateMeasure, PlatePass, StagedNetwork, learning_rates, move_again, stand_still
from train_config import add_flags, setting
from training import command
from training.checkpoint import Checkpoints
from training.clock import Budget
from training.distributed import Ranks
from training.loop import Run, Trainer
from training.optimization import Optimization
from training.passes import Terms, Turn
from training.validation import ValidationSet


@dataclass(frozen=True)
class Phase:
    """Part of a run."""

    share: float                              # of the time budget
    batches: tuple[tuple[int, int], ...]      # used in turn: side of the frames [px], frames
    scales: tuple[float, ...] = ()            # the refiner is trained, with these backbone scales in turn
    pixels: float = 0.25                      # share of a frame that is refined


PRESETS: dict[str, tuple[Phase, ...]] = {
    'cpu': (Phase(0.45, ((160, 12),)), Phase(0.30, ((256, 6), (192, 10))),
            Phase(0.25, ((512, 3), (640, 2)), (0.5, 0.25))),
    'gpu': (Phase(0.6, ((256, 64), (384, 32))), Phase(0.4, ((1024, 6), (768, 10)), (0.25, 0.5))),
    'smoke': (Phase(0.5, ((64, 4), (96, 2))), Phase(0.5, ((128, 2),), (0.5, 0.25))),
}


VALID_PIXELS = 40_000        # refined in validation


@dataclass(frozen=True)
class PlatePhotoConfig:
    """One run. Fields are flags; names that StageConfig has too mean the same."""

    photos: str = setting('folder with fgr/ and pha/ of the training photos (dataset.make_mattes)')
    backgrounds: str = setting('folder of pictures without people')
    run_dir: str = setting('weights, states and logs; a run found there goes on')
    phases: str = setting('of the run, by the machine they are made for', 'cpu', tuple(PRESETS), ('--preset',))
    minutes: float = setting('time budget of the whole run, pauses not counted', 90.)
    model_variant: str = setting('a name in model.background.BACKBONES', 'efficientnet_lite0', aliases=('--variant',))
    pretrained_backbone: bool = setting('start the encoder from ImageNet weights', True)
    objects: str = setting('folder of pictures with alpha of things: part of the scene, or foreground', '')
    valid_photos: str = setting('folder with fgr/ and pha/ of held-out photos, for validation', '')
    learning_rate_backbone: float = setting('highest', 3e-4)
    learning_rate: float = setting('highest, of ASPP and decoder', 1e-3)
    learning_rate_refiner: float = setting('highest; the refiner begins when the schedule has come down to a seventh',
                                           5e-3)
    warmup_steps: int = setting('iterations of linear warm-up', 50)
    weight_decay: float = setting('of AdamW', 0.01)
    clip_gradient: float = setting('largest gradient norm; 0: no clipping', 1.)
    ema: float = setting('decay per iteration of the averaged weights, which are the result', 0.995)
    device: str = setting('cpu, cuda or auto', 'auto', ('auto', 'cpu', 'cuda'))
    save_minutes: float = setting('between two states', 5.)
    seed: int = setting('of every draw', 0)
    resume: str = setting('a state found in --run-dir is always gone on with; slurm/train.sbatch says it', 'auto',
                          ('auto',))
    disable_progress_bar: bool = setting('no tqdm', False)

    optimizer, schedule = 'adamw', 'cosine'
    learning_rate_aspp = learning_rate_decoder = property(lambda self: self.learning_rate)

    def __post_init__(self):
        for name in ('minutes', 'learning_rate', 'save_minutes'):
            if getattr(self, name) <= 0:
                raise ValueError(f'--{name.replace("_", "-")} must be larger than 0, got {getattr(self, name)}')
        if not 0 <= self.ema < 1:
            raise ValueError(f'--ema must be in [0, 1), got {self.ema}')
        if self.phases not in PRESETS:
            raise ValueError(f'--phases must be one of {", ".join(PRESETS)}, got {self.phases}')


class ComposedFrames:
    """Batches of the phase that the clock says; the next one is composed while this one is computed with.

    Args:
        composers: size of the frames [px] -> what makes them.
    """

    def __init__(self, phases: Sequence[Phase], clock: Budget, composers: Mapping[int, PlateComposer]):
        self.phases, self.clock, self.composers, self.waited = phases, clock, composers, 0.
        self.pool, self.ahead = ThreadPoolExecutor(1), {}

    def take(self, count: int, step: int) -> list[tuple[Tensor, ...]]:
        """The batch of a step; the next one is made meanwhile."""
        part, start = self.clock.part, time.perf_counter()
        batch = (self.ahead.pop((part, step), None) or self._compose(part, step)).result()
        self.waited += time.perf_counter() - start
        self.ahead = {(part, step + 1): self._compose(part, step + 1)}
        return [batch]

    def _compose(self, part: int, step: int) -> Future:
        batches = self.phases[part].batches
        size, frames = batches[step % len(batches)]
        return self.pool.submit(self.composers[size].batch, step, frames)

    def state_dict(self) -> dict:
        """Nothing: the step says everything."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Nothing: the step says everything."""


class PhasePass(PlatePass):
    """A stage, in the phases that are its own."""

    def __init__(self, name: str, stream: ComposedFrames, network: MattingRefine, coarse: bool):
        super().__init__(name, stream, lambda batch, turn: batch, coarse)
        self.network = network

    def due(self, step: int) -> bool:
        """Whether the clock is in this phase."""
        return self.coarse != bool(self.stream.phases[self.stream.clock.part].scales)

    def losses(self, batch: tuple[Tensor, ...], turn: Turn) -> Terms:
        if self.coarse:
            move_again(self.network)
        else:
            stand_still(self.network)
        return super().losses(batch, turn)

    def settings(self, pha: Tensor, turn: Turn) -> dict[str, float]:
        phase = self.stream.phases[self.stream.clock.part]
        if self.coarse:
            return {}
        return {'backbone_scale': phase.scales[turn.step // len(phase.batches) % len(phase.scales)],
                'refine_sample_pixels': int(phase.pixels * pha[0].numel())}


class FixedFrames(Dataset):
    """The same frames with the same damaged plates each time."""

    def __init__(self, composer: PlateComposer, frames: int = 16):
        self.composer, self.frames = composer, frames

    def set_epoch(self, epoch: int) -> None:
        """They are always the same."""

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, index: int) -> list[Tensor]:
        return [x[0] for x in self.composer.batch(index, 1)]


def build(config: PlatePhotoConfig) -> Trainer:
    """Every part of a run, put together; a state found in its folder is loaded."""
    best = 'cuda' if torch.cuda.is_available() else 'cpu'
    device = torch.device(best if config.device == 'auto' else config.device)
    checkpoints = Checkpoints(Path(config.run_dir) / 'checkpoint', flag='--run-dir')
    state = checkpoints.load_newest()
    torch.manual_seed(config.seed)
    network = build_network(config, fresh=state is None).to(device)
    photos = PhotoBank.from_folders(Path(config.photos) / 'fgr', Path(config.photos) / 'pha').to(device)
    backgrounds = load_backgrounds(Path(config.backgrounds)).to(device)
    objects = PhotoBank.from_folders(Path(config.objects), canvas=OBJECT_CANVAS).to(device) if config.objects else None
    phases = PRESETS[config.phases]
    sizes = {size for phase in phases for size, _ in phase.batches}
    composers = {size: PlateComposer(photos, backgrounds, size, config.seed, device, objects) for size in sizes}
    held_out = Path(config.valid_photos) if config.valid_photos else None
    valid_photos = photos if held_out is None else PhotoBank.from_folders(held_out / 'fgr', held_out / 'pha')
    coarse, fine = (FixedFrames(PlateComposer(valid_photos, backgrounds, size, config.seed + 100, device, objects))
                    for size in (phases[0].batches[0][0], phases[-1].batches[0][0]))
    validation = {'base': ValidationSet(coarse, PlateMeasure(network, coarse=True)),
                  'refine': ValidationSet(fine, PlateMeasure(network, coarse=False, backbone_scale=0.5,
                                                             refine_sample_pixels=VALID_PIXELS))}
    clock = Budget(config.minutes, [phase.share for phase in phases], config.save_minutes)
    stream = ComposedFrames(phases, clock, composers)
    passes = [PhasePass('base', stream, network, coarse=True), PhasePass('refine', stream, network, coarse=False)]
    run = Run(checkpoints, str(Path(config.run_dir) / 'log'), Ranks(0, 1, device),
              Optimization.of(config, learning_rates(config)), seed=config.seed,
              progress_bar=not config.disable_progress_bar, settings=asdict(config), identity=('model_variant',))
    trainer = Trainer(network, StagedNetwork(network), passes, clock, run, validation)
    trainer.resume(state)
    return trainer


def build_network(config: PlatePhotoConfig, fresh: bool) -> MattingRefine:
    """Scale and share of refined pixels are set by the phases; patches are refined whether or not an error is
    predicted, so that there always are some."""
    pretrained = fresh and config.pretrained_backbone
    network = MattingRefine(config.model_variant, 0.5, refine_prevent_oversampling=False,
                            pretrained_backbone=pretrained)
    if pretrained:
        start_from_difference(network.backbone)
    return network


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved."""
    parser = ArgumentParser('train_plate_photos.py', description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_flags(parser, PlatePhotoConfig)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}

    def prepared() -> Trainer:
        missing = [name for name in ('photos', 'backgrounds', 'run_dir') if name not in given]
        if missing:
            raise ValueError(f'needs {", ".join("--" + name.replace("_", "-") for name in missing)}')
        return build(PlatePhotoConfig(**given))
    return command.run('train_plate_photos.py', prepared, lambda trainer: trainer.network.describe())


if __name__ == '__main__':
    sys.exit(main())
