"""How well people are told apart, on composed clips: python -m evaluation.benchmark people --photos DIR ...

Clips are composed from held-out photos, seeded, easy to hard by how much people cover each other; masks are damaged as
trackers damage them. `split` divides the matte of --checkpoint; --instance-weights adds the instance network, alone and
together with that matte.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cli.command import run_command
from dataset.mask_damage import MaskDamageConfig
from dataset.people_composer import PeopleClip, PeopleComposer, PeopleConfig
from dataset.photo_bank import PhotoBank, load_backgrounds
from engine.division import divide
from engine.instance import BothPrediction, InstanceMatter
from engine.matter import Matter
from engine.people import PeopleMatter
from files import whole_file
from metrics.instance import PROTOCOLS, measure_people, settled
from model.weights import load_network

COMPOSED = ('easy', 'medium', 'hard')
SHOWN = ('mad', 'mad_unk', 'grad', 'conn', 'dtssd', 'messddt', 'iou')
Method = Callable[[PeopleClip], Tensor]      # -> (T, N, H, W)


def pixels_of(clip: PeopleClip) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Frames (H, W, 3) uint8 with their masks (N, H, W) bool."""
    for src, msk in zip(clip.src, clip.msk):
        yield (src.permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).numpy(), msk.numpy() > 0


def split(matter: Matter) -> Method:
    """The matte of everybody, divided."""
    people = PeopleMatter(matter)

    def method(clip: PeopleClip) -> Tensor:
        people.reset()
        return torch.stack([people.step(pixels, masks)[1] for pixels, masks in pixels_of(clip)])
    return method


def perfect_split() -> Method:
    """The true matte of everybody, divided: the least error that dividing can make."""
    return lambda clip: torch.from_numpy(np.stack([divide(pha.sum(0).numpy(), msk.numpy() > 0)
                                                   for pha, msk in zip(clip.pha, clip.msk)]))


def network(matter: InstanceMatter) -> Method:
    return lambda clip: torch.stack([prediction.shares for prediction in matter.run(pixels_of(clip))])


def both(matter: Matter, instances: InstanceMatter) -> Method:
    """The mean of matte and network, divided by the network."""
    people = PeopleMatter(matter)

    def method(clip: PeopleClip) -> Tensor:
        people.reset()
        out = []
        for (pixels, masks), prediction in zip(pixels_of(clip), instances.run(pixels_of(clip)), strict=True):
            joined = BothPrediction(people.predict([pixels], [masks])[0], prediction)
            out.append(torch.cat([joined.person(n).rows(0, joined.height, ('pha',))['pha']
                                  for n in range(joined.count)]))
        return torch.stack(out)
    return method


def rough() -> Method:
    """The masks as they are."""
    return lambda clip: clip.msk


def measure(methods: dict[str, Method], composers: dict[str, PeopleComposer], clips: int) -> list[dict]:
    """A row for each level, method and protocol: means over clips."""
    rows = []
    for level, composer in composers.items():
        sums: dict[tuple[str, str], list[dict[str, float]]] = {}
        for index in range(clips):
            clip = composer.clip(index)
            for name, method in methods.items():
                pred = settled(method(clip).cpu().float())
                for protocol in PROTOCOLS:
                    sums.setdefault((name, protocol), []).append(measure_people(pred, clip.pha, protocol))
        rows += [{'level': level, 'method': name, 'protocol': protocol, 'clips': clips,
                  **{metric: mean([one[metric] for one in values]) for metric in values[0]}}
                 for (name, protocol), values in sums.items()]
    return rows


def mean(values: list[float]) -> float:
    """Of those that could be measured; NaN where none could."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float('nan')


def table(rows: list[dict]) -> str:
    """As Markdown."""
    lines = ['| level | protocol | method | ' + ' | '.join(SHOWN) + ' |', '| --- ' * (3 + len(SHOWN)) + '|']
    for row in sorted(rows, key=lambda row: (row['protocol'] == 'maggie', COMPOSED.index(row['level']))):
        numbers = ' | '.join(f'{row[metric]:.4g}' if metric in row else '' for metric in SHOWN)
        lines.append(f'| {row["level"]} | {row["protocol"]} | {row["method"]} | {numbers} |')
    return '\n'.join(lines)


def run(args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    photos = PhotoBank.from_folders(args.photos / 'fgr', args.photos / 'pha')
    backgrounds = load_backgrounds(args.backgrounds)
    composers = {level: PeopleComposer(photos, backgrounds, PeopleConfig(args.size, args.frames, level=level),
                                       args.seed, MaskDamageConfig(removed_clip=0, removed_image=0))
                 for level in args.levels}
    methods = {'masks': rough(), 'split': split(Matter(load_network(args.checkpoint))),
               'split of the true matte': perfect_split()}
    if args.instance_weights:
        instances = InstanceMatter(args.instance_weights)
        methods |= {'network': network(instances), 'both': both(Matter(load_network(args.checkpoint)), instances)}
    rows = measure(methods, composers, args.clips)
    print(table(rows))
    if args.out:
        with whole_file(args.out) as partial:
            partial.write_text(json.dumps(rows, indent=2) + '\n')


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='benchmark people', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--photos', type=Path, required=True, help='folder with fgr/ and pha/ of held-out photos')
    parser.add_argument('--backgrounds', type=Path, required=True, help='folder of pictures without people')
    parser.add_argument('--checkpoint', default='default', help='of the matte that split divides')
    parser.add_argument('--instance-weights', type=Path, help='of the instance network')
    parser.add_argument('--levels', nargs='+', choices=COMPOSED, default=list(COMPOSED))
    parser.add_argument('--clips', type=int, default=8, help='of each level (default: %(default)s)')
    parser.add_argument('--frames', type=int, default=6, help='of each clip (default: %(default)s)')
    parser.add_argument('--size', type=int, default=384, help='side [px] (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, help='write the numbers as JSON')
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args))


if __name__ == '__main__':
    sys.exit(main())
