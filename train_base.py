"""Train the coarse network with a plate, and (as train_refine.py) the refiner: the two stages of the paper.

    python train_base.py --dataset-name videomatte240k --model-backbone resnet50 --model-name base --epoch-end 8
    python train_refine.py --dataset-name videomatte240k --model-backbone resnet50 --model-name refine --epoch-end 1 \\
        --model-last-checkpoint checkpoint/base/epoch-7.pth

Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810, section 5. Any matting set over any backgrounds;
torchrun for several GPUs; --resume auto goes on with a run that was stopped.
"""

import cli  # noqa: F401  # isort: skip

import random
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from dataset.crop import random_crop
from dataset.matting import MattingDataset, matting_dataset
from dataset.paths import data_paths
from dataset.plate_damage import damaged_pair
from model.background import MattingBase, MattingRefine, start_from_base, start_from_deeplab
from model.background.backbones import start_from_difference
from model.state_dicts import read_state
from passes.plate import PlateMeasure, PlatePass, StagedNetwork, learning_rates
from passes.plate_config import PUBLISHED_SETS, STAGES, PlateConfig
from training import command, distributed
from training.ahead import Fixed
from training.checkpoint import Checkpoints
from training.clock import Epochs
from training.distributed import Ranks
from training.loop import Run, Trainer
from training.passes import Turn
from training.sampler import Stream
from training.settings import add_flags, filled
from training.validation import ValidationSet

SOLID = 0.95        # alpha above which a photograph shows the person alone


def main(stage: str = 'base', arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved."""
    parser = ArgumentParser(f'train_{stage}.py', description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_flags(parser, PlateConfig)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}

    def prepared() -> Trainer:
        config = resolve(stage, given)
        return build(stage, config, distributed.start(config.device, config.distributed_addr, config.distributed_port))
    return command.run(f'train_{stage}.py', prepared, description)


def resolve(stage: str, given: dict[str, object]) -> PlateConfig:
    """What the stage fixes, then flags.

    Raises:
        ValueError: a needed flag is missing, or a value is out of range.
    """
    settings = STAGES[stage] | given
    for name in ('dataset_name', 'background_dataset'):
        if settings.get(name):
            settings[name] = PUBLISHED_SETS.get(settings[name], settings[name])
    for kind in ('checkpoint', 'log'):
        settings[f'{kind}_dir'] = settings.get(f'{kind}_dir') or f'{kind}/{settings.get("model_name")}'
    return filled(PlateConfig, settings, ('model_last_checkpoint',) if stage == 'refine' else ())


def build(stage: str, config: PlateConfig, ranks: Ranks) -> Trainer:
    """Every part of a run, put together; a saved state is loaded where `config.resume` asks for one."""
    coarse = stage == 'base'
    with torch.device('meta'):
        empty_network(config, coarse)       # unknown names are said before slow work
    checkpoints = Checkpoints(config.checkpoint_dir, config.keep_states)
    state = checkpoints.load(config.resume)
    paths = data_paths(config.data_root or None, config.data_file or None)
    train, valid = (matting_dataset(config.dataset_name, split, paths, config.resolution, 1, config.seed,
                                    config.background_dataset) for split in ('train', 'valid'))
    torch.manual_seed(config.seed)
    network = build_network(config, coarse, load=state is None and ranks.is_main).to(ranks.device)
    stream = Stream(train, config.batch_size, config.num_workers, ranks.rank, ranks.world, config.seed,
                    pin_memory=ranks.device.type == 'cuda')
    how = {'solid': 0. if train.has_foreground else SOLID, 'normalise': not config.published_loss}
    if not coarse:
        how['detach_error'] = not config.published_loss
    clock = Epochs(stream, config.epoch_start, config.epoch_end, config.epoch_steps, config.accumulate,
                   config.checkpoint_interval)
    run = Run.of(config, checkpoints, ranks, rates(config, coarse),
                 ('optimizer', 'model_backbone', 'model_refine_kernel_size'))
    validation = {} if config.disable_validation else {
        stage: ValidationSet(fixed_frames(valid, config.seed), PlateMeasure(network, coarse), config.num_workers,
                             config.validation_frames)}
    passes = [PlatePass(stage, stream, prepare, coarse, **how)]
    trainer = Trainer(network, ranks.wrap(StagedNetwork(network)), passes, clock, run, validation)
    trainer.resume(state)
    return trainer


def rates(config: PlateConfig, coarse: bool) -> dict[str, float]:
    """Child of the network -> its learning rate."""
    return {part: rate for part, rate in learning_rates(config).items() if part != 'refiner' or not coarse}


def empty_network(config: PlateConfig, coarse: bool, pretrained: bool = False) -> MattingBase:
    """In training patches are refined whether or not an error is predicted, so that every step on every rank has
    some."""
    if coarse:
        return MattingBase(config.model_backbone, pretrained)
    return MattingRefine(config.model_backbone, config.model_backbone_scale, config.model_refine_mode,
                         config.model_refine_sample_pixels, config.model_refine_thresholding,
                         config.model_refine_kernel_size, False, pretrained)


def build_network(config: PlateConfig, coarse: bool, load: bool) -> MattingBase:
    """With the weights to start from where `load` is set; other ranks get them from the first. Says what was left
    over."""
    if not load:
        return empty_network(config, coarse)
    if config.model_last_checkpoint:
        network = empty_network(config, coarse)
        print(start_from_base(network, read_state(Path(config.model_last_checkpoint))[0], config.model_last_checkpoint))
        return network
    pretrained = config.pretrained_backbone and not config.model_pretrain_initialization
    network = empty_network(config, coarse, pretrained)
    if config.model_pretrain_initialization:
        source = config.model_pretrain_initialization
        print(start_from_deeplab(network, read_state(Path(source))[0], source))
    if pretrained or config.model_pretrain_initialization:
        start_from_difference(network.backbone)
    return network


def prepare(batch: tuple[Tensor, ...], turn: Turn) -> tuple[Tensor, ...]:
    """Clips of one frame, cropped to sides that are multiples of 4, with plates damaged by draws of this turn."""
    fgr, pha, bgr = random_crop(*(x.to(turn.device, non_blocking=True) for x in batch), generator=turn.draws)
    H, W = (max(4, side // 4 * 4) for side in pha.shape[-2:])
    fgr, pha, bgr = (x[:, 0, :, :H, :W] for x in (fgr, pha, bgr))
    generator = torch.Generator().manual_seed(turn.draws.getrandbits(62))
    return (*damaged_pair(fgr, pha, bgr, generator), fgr, pha)


def fixed_frames(dataset: MattingDataset, seed: int) -> Fixed:
    """Validation frames with the same damaged plates each time."""
    dataset.set_epoch(0)
    return Fixed(partial(plate_frame, dataset, seed), len(dataset))


def plate_frame(dataset: MattingDataset, seed: int, index: int) -> list[Tensor]:
    """src, plate, fgr, pha of an item."""
    fgr, pha, bgr = dataset[index]
    generator = torch.Generator().manual_seed(random.Random(f'plate {seed} {index}').getrandbits(62))
    src, plate = damaged_pair(fgr, pha, bgr, generator)
    return [x[0] for x in (src, plate, fgr, pha)]


def description(trainer: Trainer) -> str:
    """The run in words."""
    lines = [f'  {name} = {value}' for name, value in trainer.run.settings.items()] + [
        f'network: {trainer.network.describe()}',
        f'ranks: {trainer.ranks.world} on {trainer.ranks.device.type}, precision {trainer.run.precision}']
    lines += [f'{name}: {len(own.stream.dataset)} items, batches of {own.stream.sampler.batch_size} per rank'
              for name, own in trainer.passes.items()]
    lines.append(f'steps per epoch: {trainer.clock.length}, epochs {trainer.clock.epoch}..{trainer.clock.end - 1}')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
