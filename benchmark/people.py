"""What a matte for each person costs: by how many people there are, and by how long the clip is.

    python -m benchmark.people
    python -m benchmark.people --instance-weights network.safetensors --size 640 360

Time and memory of clips of two lengths; then CPU time of a frame on one thread, counts of people taking turns, as
ratios to one person. Without --instance-weights the instance network is untrained and narrow: its time is another, how
that grows is not.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cli.command import command
from cli.memory import peak_memory_mb, reset_peak_memory
from engine.instance import InstanceMatter
from engine.matter import Matter
from engine.people import PeopleMatter
from model.instance.network import InstanceForm
from model.weights import load_network

PEOPLE, LENGTHS, TURNS = (1, 2, 4, 8, 12), (30, 300), 3
WIDTH = 0.25            # of the untrained network
GROUND = 0.8            # of the height, that people reach down to

Frame = tuple[np.ndarray, np.ndarray]       # (H, W, 3) uint8, (N, H, W) bool
Method = Callable[[Iterator[Frame]], object]


def crowd(people: int, size: tuple[int, int], frames: int) -> Iterator[Frame]:
    """People side by side, each an ellipse of one colour in an equal part of the width, over noise."""
    (W, H), rng = size, np.random.default_rng(0)
    y, x = np.mgrid[:H, :W].astype(np.float32)
    for frame in range(frames):
        middles = (np.arange(people) + 0.5 + 0.1 * np.sin(frame / 5)) * W / people
        masks = np.stack([((x - middle) * 2.6 * people / W) ** 2 + ((y / H - GROUND / 2) * 2.5) ** 2 < 1
                          for middle in middles])
        pixels = rng.integers(90, 130, (H, W, 3), np.uint8)
        for number, mask in enumerate(masks):
            pixels[mask] = (200 - 12 * number, 80 + 12 * number, 60)
        yield pixels, masks


def by_split(matter: PeopleMatter, frames: Iterator[Frame]) -> None:
    """The matte of everybody, divided."""
    matter.reset()
    for pixels, masks in frames:
        matter.step(pixels, masks)


def by_network(matter: InstanceMatter, frames: Iterator[Frame]) -> None:
    """The instance network."""
    for prediction in matter.run(frames):
        prediction.rows(0, prediction.height)


def cpu_seconds(method: Method, people: int, size: tuple[int, int], frames: int) -> float:
    """Of a frame."""
    clip = list(crowd(people, size, frames))
    start = time.process_time()
    method(iter(clip))
    return (time.process_time() - start) / frames


def growth(methods: dict[str, Method], size: tuple[int, int], frames: int) -> Iterator[str]:
    """A row for each method: seconds with one person, and the ratio of every other count to that."""
    for name, method in methods.items():
        cpu_seconds(method, 1, size, frames)                                             # what a first call costs
        turns = [[cpu_seconds(method, people, size, frames) for people in PEOPLE] for _ in range(TURNS)]
        best = np.min(turns, axis=0)
        yield f'| {name} | {best[0]:.3f} s | ' + ' | '.join(f'{value / best[0]:.2f}' for value in best[1:]) + ' |'


def lengths(methods: dict[str, Method], size: tuple[int, int]) -> Iterator[str]:
    """A row for each method: time and memory of a frame of each length, two people."""
    for name, method in methods.items():
        cells = []
        for frames in LENGTHS:
            reset_peak_memory('cpu')
            start = time.process_time()
            method(crowd(2, size, frames))
            cells.append(f'{(time.process_time() - start) / frames:.3f} s, {peak_memory_mb("cpu"):.0f} MB')
        yield f'| {name} | ' + ' | '.join(cells) + ' |'


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(prog='benchmark.people', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', default='default', metavar='NAME-OR-PATH', help='of the matte that is divided')
    parser.add_argument('--instance-weights', type=Path)
    parser.add_argument('--size', type=int, nargs=2, default=(640, 360), metavar=('W', 'H'))
    parser.add_argument('--frames', type=int, default=8, help='of a turn (default: %(default)s)')
    args = parser.parse_args(argv)
    if args.frames < 1 or min(args.size) < 16:
        raise ValueError(f'--frames must be at least 1 and --size at least 16, got {args.frames} and {args.size}')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = args.instance_weights or InstanceForm.narrow(WIDTH).build()
    methods = {'split': partial(by_split, PeopleMatter(Matter(load_network(args.checkpoint)))),
               'network': partial(by_network, InstanceMatter(network, 'cpu'))}
    print('| a frame, two people | ' + ' | '.join(f'{frames} frames' for frames in LENGTHS) + ' |')
    print('| --- ' * (1 + len(LENGTHS)) + '|', *lengths(methods, tuple(args.size)), sep='\n')
    print('\n| | one person | ' + ' | '.join(f'{people} people' for people in PEOPLE[1:]) + ' |')
    print('| --- ' * (1 + len(PEOPLE)) + '|', *growth(methods, tuple(args.size), args.frames), sep='\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
