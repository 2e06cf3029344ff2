"""Train a network with a plate from photos with mattes, composed on the device: our weights for background plates.

    python train_plate_photos.py --photos packed --backgrounds packed/backgrounds --objects packed/objects \\
        --valid-photos mattes_test --run-dir runs/plate
    (the same again goes on with it)

A run has a time budget: first the coarse network on small frames, then the refiner on large ones. The stages of the
paper on its data sets are train_base.py and train_refine.py. The recipe: documentation/background_plate.md.
"""

import cli  # noqa: F401  # isort: skip

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from dataset.photo_bank import OBJECT_CANVAS, PhotoBank, load_backgrounds
from dataset.plate_composer import PlateComposer
from model.background import MattingRefine, start_from_base
from model.background.backbones import start_from_difference
from model.state_dicts import read_state
from model.weights import resolve_checkpoint
from passes.plate import PlateMeasure, PlatePass, StagedNetwork, learning_rates, move_again, stand_still
from training import command
from training.ahead import Ahead, Fixed
from training.checkpoint import Checkpoints
from training.clock import Budget
from training.distributed import Ranks
from training.loop import Run, Trainer
from training.optimization import Optimization
from training.passes import Terms, Turn
from training.settings import ClockSettings, setting
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
    # from weights: larger frames, where hair and gaps show; then the refiner alone
    'cpu_more': (Phase(0.78, ((256, 6), (320, 4), (384, 3))), Phase(0.22, ((640, 3), (768, 2)), (0.5, 0.4))),
    'gpu': (Phase(0.6, ((256, 64), (384, 32))), Phase(0.4, ((1024, 6), (768, 10)), (0.25, 0.5))),
    'smoke': (Phase(0.5, ((64, 4), (96, 2))), Phase(0.5, ((128, 2),), (0.5, 0.25))),
}


VALID_FRAMES, VALID_PIXELS = 16, 40_000        # of validation: frames, refined of each


@dataclass(frozen=True, kw_only=True)
class PlatePhotoConfig(ClockSettings):
    """One run. Fields are flags; names that StageConfig has too mean the same."""

    phases: str = setting('of the run, by the machine they are made for', 'cpu', tuple(PRESETS), ('--preset',))
    minutes: float = setting('time budget of the whole run, pauses not counted', 90.)
    model_variant: str = setting('a name in model.background.BACKBONES', 'efficientnet_lite0', aliases=('--variant',))
    pretrained_backbone: bool = setting('start the encoder from ImageNet weights', True)
    objects: str = setting('folder of pictures with alpha of things: part of the scene, or foreground', '')
    learning_rate_backbone: float = setting('highest', 3e-4)
    learning_rate: float = setting('highest, of ASPP and decoder', 1e-3)
    learning_rate_refiner: float = setting('highest; the refiner begins when the schedule has come down to a seventh',
                                           5e-3)
    warmup_steps: int = setting('iterations of linear warm-up', 50)
    ema: float = setting('decay per iteration of the averaged weights, which are the result', 0.995)

    schedule: ClassVar[str] = 'cosine'
    learning_rate_aspp = learning_rate_decoder = property(lambda self: self.learning_rate)
    RANGES = (('minutes', lambda x: x > 0, 'larger than 0'),
              ('learning_rate_backbone learning_rate_refiner', lambda x: x >= 0, 'at least 0'))


class PhasePass(PlatePass):
    """A stage, in the phases that are its own."""

    def __init__(self, stream: Ahead, phases: Sequence[Phase], network: MattingRefine, coarse: bool):
        super().__init__('base' if coarse else 'refine', stream, lambda batch, turn: batch, coarse)
        self.phases, self.network = phases, network

    @property
    def phase(self) -> Phase:
        """That the clock says."""
        return self.phases[self.stream.part()]

    def due(self, step: int) -> bool:
        """Whether the clock is in a phase of this stage."""
        return self.coarse != bool(self.phase.scales)

    def losses(self, batch: tuple[Tensor, ...], turn: Turn) -> Terms:
        if self.coarse:
            move_again(self.network)
        else:
            stand_still(self.network)
        return super().losses(batch, turn)

    def settings(self, pha: Tensor, turn: Turn) -> dict[str, float]:
        phase = self.phase
        if self.coarse:
            return {}
        return {'backbone_scale': phase.scales[turn.step // len(phase.batches) % len(phase.scales)],
                'refine_sample_pixels': int(phase.pixels * pha[0].numel())}


def fixed_frames(composer: PlateComposer) -> Fixed:
    """The same frames with the same damaged plates each time."""
    return Fixed(lambda index: [x[0] for x in composer.batch(index, 1)], VALID_FRAMES)


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
    coarse, fine = (fixed_frames(PlateComposer(valid_photos, backgrounds, size, config.seed + 100, device, objects))
                    for size in (phases[0].batches[0][0], phases[-1].batches[0][0]))
    validation = {'base': ValidationSet(coarse, PlateMeasure(network, coarse=True)),
                  'refine': ValidationSet(fine, PlateMeasure(network, coarse=False, backbone_scale=0.5,
                                                             refine_sample_pixels=VALID_PIXELS))}
    clock = Budget(config.minutes, [phase.share for phase in phases], config.save_minutes)

    def frames(part: int, step: int) -> tuple[Tensor, ...]:
        size, count = phases[part].batches[step % len(phases[part].batches)]
        return composers[size].batch(step, count)

    stream = Ahead(frames, lambda: clock.part)
    passes = [PhasePass(stream, phases, network, coarse) for coarse in (True, False)]
    run = Run(checkpoints, str(Path(config.run_dir) / 'log'), Ranks(0, 1, device),
              Optimization.of(config, learning_rates(config)), seed=config.seed,
              progress_bar=not config.disable_progress_bar, settings=asdict(config), identity=('model_variant',))
    trainer = Trainer(network, StagedNetwork(network), passes, clock, run, validation)
    trainer.resume(state)
    return trainer


def build_network(config: PlatePhotoConfig, fresh: bool) -> MattingRefine:
    """Scale and share of refined pixels are set by the phases; patches are refined whether or not an error is
    predicted, so that there always are some."""
    pretrained = fresh and config.pretrained_backbone and not config.checkpoint
    network = MattingRefine(config.model_variant, 0.5, refine_prevent_oversampling=False,
                            pretrained_backbone=pretrained)
    if pretrained:
        start_from_difference(network.backbone)
    if fresh and config.checkpoint:
        print(start_from_base(network, read_state(resolve_checkpoint(config.checkpoint))[0], config.checkpoint))
    return network


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved."""
    return command.run_by_clock('train_plate_photos.py', __doc__, PlatePhotoConfig, build, arguments)


if __name__ == '__main__':
    sys.exit(main())
