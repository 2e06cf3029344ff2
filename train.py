"""Four-stage training of recurrent matting networks.

    python train.py --stage 1 --model-variant mobilenetv3 --data-root /data
    torchrun --nproc-per-node 4 train.py --stage 1 --model-variant mobilenetv3 --data-root /data --resume auto

Paper: Robust High-Resolution Video Matting with Temporal Guidance, arXiv 2108.11515, section 5.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import torch

from dataset import (
    data_paths,
    matting_dataset,
    random_crop,
    segmentation_image_dataset,
    segmentation_video_dataset,
)
from model import ENCODERS, REFINERS, MattingNetwork
from model.weights import load_network
from train_config import PRESETS, STAGES, Preset, StageConfig, add_flags, resolve
from train_loss import LossWeights, matting_loss, segmentation_loss
from training import distributed
from training.checkpoint import Checkpoints, SaveError, read_state
from training.distributed import Ranks
from training.loop import AUTOCAST, Losses, Streams, Trainer
from training.memory import estimate
from training.optimization import Diverged
from training.sampler import Stream
from training.signals import EXIT_REQUEUE
from training.validation import ValidationSet

BAD_INPUT = (ValueError, OSError, RuntimeError)  # of set-up: values, files, downloads, missing packages


def parser_of(preset: Preset, name: str) -> ArgumentParser:
    parser = ArgumentParser(f'{name}.py', allow_abbrev=False, description='Train a matting network. Every setting has '
                            'a flag; --stage fills them from a preset.',
                            epilog=f'encoders: {", ".join(ENCODERS)}. refiners: {", ".join(REFINERS)}.')
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
    try:
        config = resolve(preset, stage, flags)
        ranks = distributed.start(config.device, config.distributed_addr, config.distributed_port)
        trainer = build(config, ranks)
        if ranks.is_main:
            print(description(trainer, config, dry_run))
    except BAD_INPUT as error:
        print(f'{preset_name}.py: {error}', file=sys.stderr)
        return 2
    try:
        return 0 if dry_run or trainer.train() else EXIT_REQUEUE
    except (Diverged, SaveError) as error:
        print(f'{preset_name}.py: {error}', file=sys.stderr)
        return 1
    finally:
        distributed.stop()


def build(config: StageConfig, ranks: Ranks) -> Trainer:
    """Every part of a run, put together; a saved state is loaded where `config.resume` asks for one."""
    with torch.device('meta'):
        MattingNetwork(config.model_variant, config.refiner)     # an unknown name is said before slow work
    precision = resolve_precision(config, ranks.device)
    checkpoints = Checkpoints(config.checkpoint_dir, config.keep_states)
    state = saved_state(config, checkpoints)
    streams, validation = build_data(config, ranks)
    torch.manual_seed(config.seed)                               # parts without pretrained weights start at random
    network = build_network(config, load=state is None and ranks.is_main).to(ranks.device)
    if config.channels_last:
        network = network.to(memory_format=torch.channels_last)
    weights = LossWeights(gradient=config.gradient_weight, composition=config.composition_weight,
                          perceptual=config.perceptual_weight)
    trainer = Trainer(network, config, streams, Losses(partial(matting_loss, weights=weights), segmentation_loss),
                      random_crop, ranks, precision, checkpoints, validation)
    if state is not None:
        changes = trainer.load_state_dict(state)
        if ranks.is_main:
            print(f'resumed at epoch {trainer.epoch}, step {trainer.step}'
                  + (f'; settings that changed: {", ".join(changes)}' if changes else ''))
    return trainer


def resolve_precision(config: StageConfig, device: torch.device) -> str:
    if config.disable_mixed_precision:
        return 'fp32'
    if config.precision != 'auto':
        return config.precision
    if device.type == 'cpu':
        return 'fp32'
    return 'bf16' if torch.cuda.is_bf16_supported(including_emulation=False) else 'fp16'


def saved_state(config: StageConfig, checkpoints: Checkpoints) -> dict | None:
    if config.resume == 'auto':
        return checkpoints.load_newest()
    if config.resume:
        return read_state(config.resume)
    if checkpoints.states():
        raise ValueError(f'--checkpoint-dir {config.checkpoint_dir} holds states of an earlier run: --resume auto goes '
                         'on with it, or name another folder')
    return None


def build_network(config: StageConfig, load: bool) -> MattingNetwork:
    """With the weights to start from where `load` is set; other ranks get them from the first."""
    if load and config.checkpoint:
        return load_network(config.checkpoint, config.model_variant, config.refiner).train()
    return MattingNetwork(config.model_variant, config.refiner, pretrained_backbone=load and config.pretrained_backbone)


def build_data(config: StageConfig, ranks: Ranks) -> tuple[Streams, dict[str, ValidationSet]]:
    """Loaders of every pass that is on.

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
    streams = Streams(**{name: Stream(dataset, batch_sizes.get(name, config.batch_size_per_gpu), workers, ranks.rank,
                                      ranks.world, config.seed, pin_memory=ranks.device.type == 'cuda')
                         for name, dataset in datasets.items()})
    if config.disable_validation:
        return streams, {}
    ratios = {'lr': 1., 'hr': config.downsample_ratio}
    validation = {tag: ValidationSet(matting_dataset(config.dataset, 'valid', paths, *size, seed=config.seed),
                                     ratios[tag], workers, config.validation_clips) for tag, size in sizes.items()}
    return streams, validation


def description(trainer: Trainer, config: StageConfig, memory: bool) -> str:
    """The run in words: settings, data, and what it will need."""
    lines = [f'  {name} = {value}' for name, value in asdict(config).items()] + [
        f'network: {trainer.network.describe()}',
        f'ranks: {trainer.ranks.world} on {trainer.ranks.device.type}, precision {trainer.precision}']
    lines += [f'{name}: {len(stream.dataset)} items, batches of {stream.sampler.batch_size} per rank, '
              f'{stream.num_workers} workers' for name, stream in trainer.streams.present().items()]
    lines += [f'validation {name}: {len(valid.indices())} of {len(valid.dataset)} clips, ratio '
              f'{valid.downsample_ratio:g}' for name, valid in trainer.validation.items()]
    lines.append(f'steps per epoch: {trainer.epoch_length()}, epochs {trainer.epoch}..{config.epoch_end - 1}')
    if memory:
        needs = estimate(trainer.network, config, AUTOCAST[trainer.precision])
        lines += [f'memory, {name}: {value:.2f} GiB' for name, value in needs.items()]
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
