"""Four-stage training of recurrent matting networks.

    python train.py --stage 1 --model-variant mobilenetv3 --data-root /data
    torchrun --nproc-per-node 4 train.py --stage 1 --model-variant mobilenetv3 --data-root /data --resume auto

Paper: Robust High-Resolution Video Matting with Temporal Guidance, arXiv 2108.11515, section 5.
"""

import cli  # noqa: F401  # isort: skip

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

import torch
from torch import nn

from dataset import (
    data_paths,
    matting_dataset,
    random_crop,
    segmentation_image_dataset,
    segmentation_video_dataset,
)
from model import REFINERS, VARIANTS, MattingNetwork
from model.weights import load_network
from passes.matting import MattingMeasure, MattingPass, Preparation, SegmentationPass, learning_rates
from train_config import PRESETS, STAGES, Preset, StageConfig, resolve
from train_loss import LossWeights, matting_loss, segmentation_loss
from training import command, distributed
from training.checkpoint import Checkpoints
from training.clips import ClipNetwork
from training.clock import Epochs
from training.distributed import Ranks
from training.loop import AUTOCAST, Run, Trainer
from training.memory import Probe, estimate
from training.passes import Pass, Terms
from training.sampler import Stream
from training.settings import add_flags
from training.validation import ValidationSet

IDENTITY = ('model_variant', 'refiner', 'optimizer')     # settings that a run and its state share


def parser_of(preset: Preset, name: str) -> ArgumentParser:
    """The flags of a preset's command."""
    parser = ArgumentParser(f'{name}.py', allow_abbrev=False, description='Train a matting network. Every setting has '
                            'a flag; --stage fills them from a preset.',
                            epilog=f'variants: {", ".join(VARIANTS)}. refiners: {", ".join(REFINERS)}.')
    default = '' if preset.stage is None else f' [{preset.stage}]'
    parser.add_argument('--stage', type=int, choices=sorted(STAGES), help=f'preset of a training stage{default}')
    parser.add_argument('--dry-run', action='store_true', help='print settings, sizes and memory, then stop')
    add_flags(parser, StageConfig)
    return parser


def main(preset_name: str = 'train', arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved."""
    preset = PRESETS[preset_name]
    flags = vars(parser_of(preset, preset_name).parse_args(arguments))
    stage, dry_run = flags.pop('stage'), flags.pop('dry_run')

    def prepared() -> Trainer:
        config = resolve(preset, stage, flags)
        return build(config, distributed.start(config.device, config.distributed_addr, config.distributed_port))

    return command.run(f'{preset_name}.py', prepared, partial(description, memory=dry_run), dry_run)


def build(config: StageConfig, ranks: Ranks) -> Trainer:
    """Every part of a run, put together; a saved state is loaded where `config.resume` asks for one."""
    with torch.device('meta'):
        MattingNetwork(config.model_variant, config.refiner)     # an unknown name is said before slow work
    checkpoints = Checkpoints(config.checkpoint_dir, config.keep_states)
    state = checkpoints.load(config.resume)
    weights = LossWeights(gradient=config.gradient_weight, composition=config.composition_weight,
                          perceptual=config.perceptual_weight)
    loss = partial(matting_loss, weights=weights)
    passes, validation = build_passes(config, ranks, loss)
    torch.manual_seed(config.seed)                               # parts without pretrained weights start at random
    network = build_network(config, load=state is None and ranks.is_main).to(ranks.device)
    if config.channels_last:
        network = network.to(memory_format=torch.channels_last)
    module = ranks.wrap(ClipNetwork(network, config.checkpoint_frames), config.compile)
    clock = Epochs(passes[0].stream, config.epoch_start, config.epoch_end, config.epoch_steps, config.accumulate,
                   config.checkpoint_save_interval)
    run = Run.of(config, checkpoints, ranks, learning_rates(config), IDENTITY)
    trainer = Trainer(network, module, passes, clock, run, validation)
    trainer.resume(state)
    return trainer


def build_network(config: StageConfig, load: bool) -> MattingNetwork:
    """With the weights to start from where `load` is set; other ranks get them from the first."""
    if load and config.checkpoint:
        return load_network(config.checkpoint, config.model_variant, config.refiner).train()
    return MattingNetwork(config.model_variant, config.refiner, pretrained_backbone=load and config.pretrained_backbone)


def build_passes(config: StageConfig, ranks: Ranks, loss: Callable[..., Terms]) \
        -> tuple[list[Pass], dict[str, ValidationSet]]:
    """Every pass that is on, with its loader, in the order of an iteration; and what is validated.

    Raises:
        FileNotFoundError: a set is missing; the message says how it should lie.
    """
    paths = data_paths(config.data_root or None, config.data_file or None)
    sizes = {'lr': (config.resolution_lr, config.seq_length_lr)}
    if config.train_hr:
        sizes['hr'] = (config.resolution_hr, config.seq_length_hr)
    datasets = {f'matting_{tag}': matting_dataset(config.dataset, 'train', paths, *size, seed=config.seed)
                for tag, size in sizes.items()}
    if config.segmentation:
        datasets['seg_video'] = segmentation_video_dataset(paths, *sizes['lr'], seed=config.seed)
        datasets['seg_image'] = segmentation_image_dataset(paths, config.resolution_lr, seed=config.seed)
    # frames of a segmentation pass are as many with images as with video
    batch_sizes = {'seg_image': config.batch_size_per_gpu * config.seq_length_lr}
    workers = max(1, config.num_workers // len(datasets)) if config.num_workers else 0
    streams = {name: Stream(dataset, batch_sizes.get(name, config.batch_size_per_gpu), workers, ranks.rank,
                            ranks.world, config.seed, pin_memory=ranks.device.type == 'cuda')
               for name, dataset in datasets.items()}
    prepare = Preparation(random_crop, config.crop_height, config.channels_last)
    ratios = {'lr': 1., 'hr': config.downsample_ratio}
    passes: list[Pass] = [MattingPass(tag, streams[f'matting_{tag}'], loss, prepare, ratios[tag]) for tag in sizes]
    passes += [SegmentationPass(name, streams[name], segmentation_loss, prepare, turn)
               for turn, name in enumerate(('seg_video', 'seg_image')) if name in streams]
    if config.disable_validation:
        return passes, {}
    valid = {tag: matting_dataset(config.dataset, 'valid', paths, *size, seed=config.seed)
             for tag, size in sizes.items()}
    return passes, {tag: ValidationSet(dataset, MattingMeasure(loss, dataset.has_foreground, ratios[tag]), workers,
                                       config.validation_clips) for tag, dataset in valid.items()}


def memory_needs(network: nn.Module, config: StageConfig, precision: str) -> dict[str, float]:
    """[GiB] by what needs it."""
    passes = {'lr': (config.resolution_lr, config.seq_length_lr, 1.)}
    if config.train_hr:
        passes['hr'] = (config.resolution_hr, config.seq_length_hr, config.downsample_ratio)
    probes = {name: Probe(side, min(frames, config.checkpoint_frames or frames), config.batch_size_per_gpu, ratio,
                          {'downsample_ratio': ratio}) for name, (side, frames, ratio) in passes.items()}
    return estimate(network, probes, AUTOCAST[precision], averaged=config.ema > 0)


def description(trainer: Trainer, memory: bool = False) -> str:
    """The run in words: settings, data, and what it will need."""
    config = StageConfig(**trainer.run.settings)
    lines = [f'  {name} = {value}' for name, value in asdict(config).items()] + [
        f'network: {trainer.network.describe()}',
        f'ranks: {trainer.ranks.world} on {trainer.ranks.device.type}, precision {trainer.run.precision}']
    lines += [f'{name}: {len(own.stream.dataset)} items, batches of {own.stream.sampler.batch_size} per rank, '
              f'{own.stream.num_workers} workers' for name, own in trainer.passes.items()]
    lines += [f'validation {name}: {len(valid.indices())} of {len(valid.dataset)} clips, ratio '
              f'{valid.measure.downsample_ratio:g}' for name, valid in trainer.validation.items()]
    lines.append(f'steps per epoch: {trainer.clock.length}, epochs {trainer.clock.epoch}..{config.epoch_end - 1}')
    if memory:
        needs = memory_needs(trainer.network, config, trainer.run.precision)
        lines += [f'memory, {name}: {value:.2f} GiB' for name, value in needs.items()]
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
