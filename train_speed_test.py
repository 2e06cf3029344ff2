"""Speed of training: clips per second, share of time spent waiting for data, memory.

    python train_speed_test.py --resolution-lr 256 --seq-length-lr 8           # generated clips, fp32 and bf16
    python train_speed_test.py --stage 3 --data-root /data --precisions bf16   # the real loaders of a stage

Precisions take turns, so that a machine that gets busier or slower does it to all of them.
"""

import cli  # noqa: F401  # isort: skip

import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from tempfile import TemporaryDirectory

from cli.command import command
from dataset.synthetic import write_tree
from train import build
from train_config import PRESETS, StageConfig, resolve
from training import distributed
from training.loop import Trainer
from training.settings import PRECISIONS, add_flags


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Exit status: 0 done, 2 bad input."""
    parser = ArgumentParser('train_speed_test.py', description='Time the iterations of a stage. Also takes every flag '
                            'of train.py.', allow_abbrev=False)
    parser.add_argument('--stage', type=int, default=1, choices=(1, 2, 3, 4))
    parser.add_argument('--precisions', default='fp32,bf16', help='separated by commas; fp16 too')
    parser.add_argument('--turns', type=int, default=3, help='of each precision')
    parser.add_argument('--steps', type=int, default=2, help='iterations per turn')
    add_flags(parser, StageConfig)
    flags = vars(parser.parse_args(arguments))
    stage, precisions = flags.pop('stage'), flags.pop('precisions').split(',')
    turns, steps = flags.pop('turns'), flags.pop('steps')
    if unknown := set(precisions) - set(PRECISIONS):
        raise ValueError(f'--precisions must be among {", ".join(PRECISIONS)}, got {", ".join(unknown)}')
    with TemporaryDirectory() as folder:
        if not flags['data_root'] and not flags['data_file']:
            flags['data_root'] = str(write_tree(folder, clips=4, frames=16, size=(640, 360)))
        defaults = {'model_variant': 'mobilenetv3', 'checkpoint': '', 'pretrained_backbone': False,
                    'disable_validation': True, 'checkpoint_dir': folder, 'log_dir': folder}
        given = {name: value for name, value in flags.items() if value is not None}
        config = resolve(PRESETS['train'], stage, defaults | given)
        ranks = distributed.start(config.device, config.distributed_addr, config.distributed_port)
        trainers = {name: build(replace(config, precision=name), ranks) for name in precisions}
        rates = {name: [] for name in precisions}
        for turn in range(-1, turns):                        # the first turn of each warms up
            for name, trainer in trainers.items():
                numbers = timed(trainer, steps)
                if turn >= 0:
                    rates[name].append(numbers)
    report(rates, ranks.world)
    distributed.stop()


def timed(trainer: Trainer, steps: int) -> dict[str, float]:
    """Seconds per iteration of some steps, and what the meter says."""
    trainer.network.train()
    trainer.meter.reset(trainer.waited())
    started = time.perf_counter()
    for _ in range(steps):
        if trainer.clock.pauses:
            trainer.clock.go_on()
        trainer.iterate()                                    # ends with a value on the host: nothing is left running
        trainer.step += 1
        trainer.clock.tick(0.)
    return {'seconds': (time.perf_counter() - started) / steps, **trainer.meter.read(trainer.waited())}


def report(rates: dict[str, list[dict[str, float]]], world: int) -> None:
    """Print the table: medians over the turns."""
    base = next(iter(rates))
    print(f'| precision | s per iteration | clips/s | frames/s | waiting for data | memory [MB] | against {base} |')
    print('| --- | --- | --- | --- | --- | --- | --- |')
    for name, turns in rates.items():
        middle = {key: median(turn[key] for turn in turns) for key in turns[0]}
        ratio = median(first['seconds'] / own['seconds'] for first, own in zip(rates[base], turns))
        print(f'| {name} | {middle["seconds"]:.2f} | {middle["clips_per_second"] * world:.2f} | '
              f'{middle["frames_per_second"] * world:.2f} | {middle["data_wait_share"]:.0%} | '
              f'{middle["memory_mb"]:.0f} | {ratio:.2f}x |')


if __name__ == '__main__':
    sys.exit(main())
