"""Train a matting network from photos with mattes, composed into moving clips on the device: our default weights.

    python train_photos.py --photos mattes --backgrounds pictures --phases cpu --run-dir runs/default
    python train_photos.py --photos mattes --backgrounds pictures --phases cpu --run-dir runs/default   # goes on

A run has a time budget, not a number of epochs: its phases and its learning rate follow the clock, and a run that was
stopped goes on where it stood. The recipe is explained in documentation/default_weights.md.
"""

import cli  # noqa: F401  # isort: skip

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from dataset.composing import ComposerConfig
from dataset.natural_photos import NaturalConfig, NaturalPhotos, held_out_names
from dataset.photo_bank import OBJECT_CANVAS, PhotoBank, load_backgrounds
from dataset.photo_composer import PhotoComposer
from engine.device import cpu_has_bfloat16
from model import MattingNetwork
from model.coarse_head import add_coarse_head, without_coarse_head
from model.weights import load_network
from passes.matting import PARTS
from passes.photos import (
    ClipPass,
    NaturalMeasure,
    NaturalPass,
    Phase,
    PhotoMeasure,
    PhotoRun,
    frozen_encoder,
)
from training import command
from training.ahead import Ahead, Fixed
from training.checkpoint import Checkpoints
from training.clock import Budget
from training.dilated import split_dilation
from training.distributed import Ranks
from training.frozen_norms import join_norms
from training.loop import Run, Trainer, autocast
from training.optimization import Optimization
from training.passes import Pass
from training.settings import ClockSettings, setting
from training.validation import ValidationSet

JOINED = ('efficientnet_lite0', 'mobilenetv3', 'resnet50')       # encoders that `join_norms` is tested with
PRESETS: dict[str, tuple[Phase, ...]] = {
    # two cores: where people are, on stills; what memory is for; then edges; the refiner at the end
    'cpu': (Phase(0.48, ((256, 10),), 1, coarse=True, natural=6),
            Phase(0.12, ((256, 4),), 3, coarse=True, natural=6, warm_up=16),
            Phase(0.28, ((256, 3), (320, 2)), 2, natural=3, warm_up=3),
            Phase(0.12, ((512, 2),), 1, ratios=(0.25, 0.75), natural=2, warm_up=4)),
    # two cores, from weights: more natural photos, which cost no composing; longer memory; the whole network
    'cpu_more': (Phase(0.4, ((256, 8), (320, 5)), 1, coarse=True, natural=10, natural_size=288),
                 Phase(0.35, ((256, 4),), 3, coarse=True, natural=8, warm_up=24),
                 Phase(0.25, ((256, 3), (320, 2), (384, 1)), 2, natural=4, natural_size=320, warm_up=20)),
    # two cores, from weights: mostly real scenes; memory and the whole network only at the end
    'cpu_scenes': (Phase(0.6, ((256, 5), (320, 3)), 1, coarse=True, natural=16, natural_size=288),
                   Phase(0.2, ((256, 4),), 3, coarse=True, natural=8, warm_up=12),
                   Phase(0.2, ((256, 3), (384, 1)), 2, natural=4, natural_size=320, warm_up=12)),
    # two cores, after it: a run of its own, whose rates begin anew, for edges and the refiner
    'cpu_edges': (Phase(0.25, ((256, 4),), 3, coarse=True, natural=6, warm_up=24),
                  Phase(0.3, ((256, 3), (384, 1)), 2, natural=3, warm_up=20),
                  Phase(0.45, ((512, 2), (640, 1)), 1, ratios=(0.25, 0.75), natural=2, warm_up=2)),
    'gpu': (Phase(0.25, ((256, 48),), 1, coarse=True, natural=32),
            Phase(0.50, ((256, 12), (384, 6)), 8, natural=24, natural_size=320, warm_up=24),
            Phase(0.15, ((512, 2),), 15, natural=12, natural_size=448),
            Phase(0.10, ((1024, 2),), 4, ratios=(0.25, 0.75), natural=8)),
    'smoke': (Phase(0.4, ((64, 4), (96, 2)), 1, coarse=True, natural=2, natural_size=64),
              Phase(0.4, ((64, 2),), 2, natural=2, natural_size=64, warm_up=3),
              Phase(0.2, ((128, 2),), 2, ratios=(0.5, 0.75))),
}


@dataclass(frozen=True, kw_only=True)
class PhotoConfig(ClockSettings):
    """One run. Fields are flags; names that StageConfig has too mean the same."""

    phases: str = setting('of the run, by the machine they are made for', 'cpu', tuple(PRESETS), ('--preset',))
    model_variant: str = setting('a name in model.VARIANTS', 'efficientnet_lite0', aliases=('--variant',))
    pretrained_backbone: bool = setting('without --checkpoint: start the encoder from ImageNet', True)
    frozen_statistics: bool = setting("keep the statistics of the encoder's batch norms", True)
    checkpoint: str = setting('weights to start from: a path or a name of model.weights', '')
    frozen: str = setting('beginnings of names of weights that stay as they are, separated by commas: with '
                          'backbone._conv_stem,backbone._blocks.0.,... an update takes two thirds of the time', '')
    objects: str = setting('folder of pictures with alpha of things that are not people, laid behind the people', '')
    natural: str = setting('folders with photos/ and masks/ of natural photos, separated by commas; without them their '
                           'pass is left out', '')
    learning_rate: float = setting('highest, of all parts but encoder and refiner', 1e-3)
    learning_rate_backbone: float = setting('of the encoder', 2.5e-4)
    learning_rate_refiner: float = setting('of the refiner', 2e-3)
    precision: str = setting('auto: bf16 where the device has instructions for it, else fp32', 'auto',
                             ('auto', 'fp32', 'bf16'))

    schedule: ClassVar[str] = 'cosine'
    RANGES = (('minutes', lambda x: x > 0, 'larger than 0'),
              ('learning_rate_backbone learning_rate_refiner', lambda x: x >= 0, 'at least 0'))

    @property
    def rates(self) -> dict[str, float]:
        """Child of the network -> learning rate."""
        return {name: {'backbone': self.learning_rate_backbone, 'refiner': self.learning_rate_refiner}.get(
            part, self.learning_rate) for name, part in PARTS.items()}


def build(config: PhotoConfig) -> Trainer:
    """Every part of a run, put together; a state found in its folder is loaded."""
    best = 'cuda' if torch.cuda.is_available() else 'cpu'
    device = torch.device(best if config.device == 'auto' else config.device)
    if config.precision == 'auto':
        config = replace(config, precision='bf16' if device.type == 'cuda' or cpu_has_bfloat16() else 'fp32')
    checkpoints = Checkpoints(Path(config.run_dir) / 'checkpoint', flag='--run-dir')
    state = checkpoints.load_newest()
    torch.manual_seed(config.seed)
    phases = PRESETS[config.phases]
    clock = Budget(config.minutes, [phase.share for phase in phases], config.save_minutes)
    photo_run = PhotoRun(build_network(config, device, state is None), phases, clock,
                         partial(autocast, device, config.precision), config.seed)
    passes, validation = build_passes(config, device, photo_run)
    run = Run(checkpoints, str(Path(config.run_dir) / 'log'), Ranks(0, 1, device),
              Optimization.of(config, config.rates), config.precision, config.seed,
              progress_bar=not config.disable_progress_bar, settings=asdict(config), identity=('model_variant',),
              published=without_coarse_head,
              training_mode=frozen_encoder if config.frozen_statistics else MattingNetwork.train)
    trainer = Trainer(photo_run.network, photo_run.network, passes, clock, run, validation)
    trainer.resume(state)
    return trainer


def build_network(config: PhotoConfig, device: torch.device, fresh: bool) -> MattingNetwork:
    """With a coarse head, on its device; a run that goes on takes its weights from the state."""
    if config.checkpoint and fresh:
        network = load_network(config.checkpoint, config.model_variant).train()
    else:
        network = MattingNetwork(config.model_variant, pretrained_backbone=config.pretrained_backbone and fresh)
    network = add_coarse_head(network).to(device, memory_format=torch.channels_last)
    if device.type == 'cpu':
        split_dilation(network)
        if config.frozen_statistics and config.model_variant in JOINED:
            join_norms(network.backbone)
    freeze(network, [name for name in config.frozen.split(',') if name])
    return network


def freeze(network: MattingNetwork, beginnings: Sequence[str]) -> None:
    """Keep the weights whose names begin so.

    Raises:
        ValueError: a beginning that no name has.
    """
    weights = dict(network.named_parameters())
    for beginning in beginnings:
        chosen = [weight for name, weight in weights.items() if name.startswith(beginning)]
        if not chosen:
            raise ValueError(f'--frozen: no weight begins with {beginning!r}, expected for example backbone.')
        for weight in chosen:
            weight.requires_grad_(False)


def build_passes(config: PhotoConfig, device: torch.device,
                 run: PhotoRun) -> tuple[list[Pass], dict[str, ValidationSet]]:
    """Clips, natural photos where there are any, and what is validated."""
    photos = PhotoBank.from_folders(Path(config.photos) / 'fgr', Path(config.photos) / 'pha').to(device)
    backgrounds = load_backgrounds(Path(config.backgrounds)).to(device)
    objects = PhotoBank.from_folders(Path(config.objects), canvas=OBJECT_CANVAS).to(device) if config.objects else None
    composers = {(phase.seq_length, size): PhotoComposer(
        photos, backgrounds, ComposerConfig(size=size, seq_length=phase.seq_length), config.seed, device, objects)
        for phase in run.phases for size, _ in phase.batches}
    held_out = Path(config.valid_photos) if config.valid_photos else None
    valid_photos = photos if held_out is None else PhotoBank.from_folders(held_out / 'fgr', held_out / 'pha')
    size = max(size for phase in run.phases if phase.ratios[1] == 1 for size, _ in phase.batches)
    valid = PhotoComposer(valid_photos, backgrounds, ComposerConfig(size=size, seq_length=4, aspect=0), config.seed + 1,
                          device)                   # without objects: validation stays comparable between runs
    validation = {'photos': ValidationSet(Fixed(partial(valid.compositions, batch_size=4), 4), PhotoMeasure(run))}
    pool = ThreadPoolExecutor(1)

    def clips(index: int, step: int) -> tuple[Tensor, ...]:
        size, count = run.phases[index].batch(step)
        return composers[run.phases[index].seq_length, size].compositions(step, count)

    passes: list[Pass] = [ClipPass(Ahead(clips, lambda: run.clock.part, pool), run)]
    if config.natural:
        folders = config.natural.split(',')
        natural = {phase.natural_size: NaturalPhotos(folders, NaturalConfig(size=phase.natural_size), config.seed,
                                                     lambda folder, name: name not in held_out_names(folder))
                   for phase in run.phases if phase.natural}

        def natural_batch(index: int, step: int) -> tuple[Tensor, ...]:
            phase = run.phases[index]
            return tuple(part.to(device) for part in natural[phase.natural_size].batch(step, phase.natural))

        passes.append(NaturalPass(Ahead(natural_batch, lambda: run.clock.part, pool), run))
        whole = NaturalConfig(size=min(256, max(natural)), smallest=0.95, largest=1., stretch=0., tone=0.)
        valid_natural = NaturalPhotos(folders, whole, config.seed, lambda folder, name: name in held_out_names(folder))
        validation['natural'] = ValidationSet(Fixed(partial(valid_natural.batch, batch_size=8), 8), NaturalMeasure(run))
    return passes, validation


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved."""
    return command.run_by_clock('train_photos.py', __doc__, PhotoConfig, build, arguments)


if __name__ == '__main__':
    sys.exit(main())
