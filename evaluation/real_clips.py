"""How well networks matte real material: clips against a reference's mattes, natural photos against their masks.

python -m evaluation.real_clips --checkpoint default --reference rvm_mobilenetv3 --clips a.mp4 b.mkv --natural photos \
    --output real.csv --plot real.png

Composites at one scale flatter: the first default weights had an error of 1.5 times RVM's there and saw no face that
filled a webcam's frame. Here the mattes of a reference stand for the truth on whole clips (intersection over union of
the areas where alpha is above one half; how much is missing and extra, as shares of the reference's area; over time),
and two numbers need no truth: flicker, the change of alpha where the picture stands still, and the area that is neither
opaque nor transparent. Photos (layout: dataset/natural_photos.py) have masks; the held-out ones are looked at.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from cli.command import command
from engine.matter import Matter
from files import check_apart, whole_file
from files.documents import read_names
from video.reader import VideoReader

from .networks import as_uint8, names_of
from .plots import iou_by_clip
from .predict import load_model
from .tree import read_rgb

SIDE = 512              # [px] long side at which mattes are compared
STILL = 2               # of 255: largest change of a pixel that stands still
SOFT = (13, 242)        # of 255: alpha between is neither opaque nor transparent
EMPTY = 0.01            # share of the reference's area below which a matte counts as empty
HELD_OUT_EVERY = 20     # of each list of a folder of natural photos, as in training
UNKNOWN, PERSON = 128, 255


@dataclass(frozen=True)
class ClipScore:
    """One network on one clip."""

    network: str
    size: str                   # inside the network
    clip: str
    iou: float                  # mean over frames in which either sees somebody; NaN where neither ever does
    missing: float              # share of the reference's area
    extra: float
    first_fifth: float          # IoU
    last_fifth: float
    flicker: float              # mean change of alpha where the picture stands still, x 1000
    soft: float                 # share of pixels neither opaque nor transparent, x 1000
    area: float                 # mean alpha, x 1000
    empty: bool


def mattes(matter: Matter, path: Path, limit: int | None) -> np.ndarray:
    """(T, h, w) uint8 alpha of the first frames of a clip, at the size of comparison."""
    matter.reset()
    return np.stack([to_size((matter.step(frame.pixels)[1][0] * 255).round().byte().cpu().numpy())
                     for frame in islice(VideoReader(path), limit)])


def pictures(path: Path, limit: int | None) -> np.ndarray:
    """(T, h, w) uint8 grey values of the same frames."""
    return np.stack([to_size(cv2.cvtColor(as_uint8(frame.pixels), cv2.COLOR_RGB2GRAY))
                     for frame in islice(VideoReader(path), limit)])


def to_size(image: np.ndarray) -> np.ndarray:
    """To the size of comparison, areas averaged."""
    scale = min(1, SIDE / max(image.shape[:2]))
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image


def overlap(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """IoU of each frame (T, H, W) of two boolean arrays; NaN where both are empty."""
    either = (found | true).sum((1, 2))
    return np.where(either > 0, (found & true).sum((1, 2)) / np.maximum(either, 1), np.nan)


def fifths(values: np.ndarray) -> tuple[float, float]:
    """Means of the first and of the last fifth, NaN left out."""
    part = max(1, len(values) // 5)
    return mean(values[:part]), mean(values[-part:])


def mean(values: Sequence[float] | np.ndarray) -> float:
    """NaN left out; NaN of nothing."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float('nan')


def score(network: str, size: str, clip: str, pha: np.ndarray, reference: np.ndarray, grey: np.ndarray) -> ClipScore:
    """Compare alpha (T, h, w) uint8 with the reference's."""
    found, true = pha > 127, reference > 127
    ious, area = overlap(found, true), max(1, true.sum())
    still = np.abs(np.diff(grey.astype(np.int16), axis=0)) <= STILL
    change = np.abs(np.diff(pha.astype(np.int16), axis=0))
    return ClipScore(network, size, clip, mean(ious), float((true & ~found).sum() / area),
                     float((found & ~true).sum() / area), *fifths(ious),
                     1000 / 255 * float(change[still].mean()) if still.any() else 0.,
                     1000 * float(((pha > SOFT[0]) & (pha < SOFT[1])).mean()), 1000 / 255 * float(pha.mean()),
                     bool(found.sum() < EMPTY * true.sum()))


def natural_scores(matter: Matter, folder: Path, every: int) -> tuple[list[float], list[float]]:
    """IoU of every `every`-th photo with people, and the mean alpha of as many without, where masks are sure."""
    ious, areas = [], []
    for listing, persons in (('persons.txt', True), ('empty.txt', False)):
        for stem in read_names(folder / listing, 'list')[::every]:
            photo = next((folder / 'photos').glob(f'{stem}.*'), None)
            mask = cv2.imread(str(folder / f'masks/{stem}.png'), cv2.IMREAD_GRAYSCALE)
            if photo is None or mask is None:
                raise FileNotFoundError(f'{folder}: {listing} names {stem}, expected photos/{stem}.jpg and '
                                        f'masks/{stem}.png')
            matter.reset()
            pha = matter.step(read_rgb(photo))[1][0].cpu().numpy()
            known = (mask != UNKNOWN) | (not persons)
            if persons:
                ious.append(float(overlap(((pha > 0.5) & known)[None], ((mask == PERSON) & known)[None])[0]))
            else:
                areas.append(float(pha.mean()))
    return ious, areas


def measure(args: argparse.Namespace) -> None:
    """Score every network on every clip and folder of photos."""
    names = names_of(args)
    check_apart({'--output': args.output, '--plot': args.plot},
                {'--clips': args.clips, '--checkpoint': [*args.checkpoint, args.reference]})
    sizes = args.inference_size or ['auto']
    models = [load_model(checkpoint, args.device) for checkpoint in args.checkpoint]
    judge = load_model(args.reference, args.device)
    reference = Matter(judge, inference_size='portrait', reset_on_cut=True)
    scores = []
    for path in tqdm(args.clips, unit='clip', disable=None):
        grey, true = pictures(path, args.limit), mattes(reference, path, args.limit)
        scores.append(score('reference', 'portrait', path.stem, true, true, grey))
        for name, model in zip(names, models):
            for size in sizes:
                pha = mattes(Matter(model, inference_size=size, reset_on_cut=True), path, args.limit)
                scores.append(score(name, str(size), path.stem, pha, true, grey))
    report(scores)
    for folder in args.natural:
        for name, model in [*zip(names, models), ('reference', judge)]:
            ious, areas = natural_scores(Matter(model), folder, args.natural_every)
            print(f'{folder.name}: {name}: IoU {mean(ious):.3f} on {len(ious)} photos with people, mean alpha '
                  f'{1000 * mean(areas):.1f} x 1e-3 on {len(areas)} without '
                  f'({sum(area > 0.05 for area in areas)} above 5 %)')
    if args.output is not None:
        with whole_file(args.output) as partial, open(partial, 'w', newline='') as file:
            writer = csv.DictWriter(file, [field.name for field in fields(ClipScore)], lineterminator='\n')
            writer.writeheader()
            writer.writerows(asdict(entry) for entry in scores)
    if args.plot is not None and scores:
        plot(scores, args.plot)


def report(scores: Sequence[ClipScore]) -> None:
    """A table of each network and size, and a line of means."""
    own = {entry.clip: entry for entry in scores if entry.network == 'reference'}
    for key in dict.fromkeys((entry.network, entry.size) for entry in scores if entry.network != 'reference'):
        part = [entry for entry in scores if (entry.network, entry.size) == key]
        print(f'{" ".join(key)}\n{"clip":26}    IoU missing extra  first   last flicker x ref  soft x ref')
        for entry in part:
            ref = own[entry.clip]
            print(f'{entry.clip[:26]:26} {entry.iou:6.3f} {entry.missing:7.3f} {entry.extra:5.3f} '
                  f'{entry.first_fifth:6.3f} {entry.last_fifth:6.3f} {entry.flicker:7.2f} '
                  f'{entry.flicker / max(ref.flicker, 1e-6):5.2f} {entry.soft:5.1f} '
                  f'{entry.soft / max(ref.soft, 1e-6):5.2f}{" empty" * entry.empty}')
        ious = [entry.iou for entry in part if not np.isnan(entry.iou)] or [float('nan')]
        refs = [own[entry.clip] for entry in part]
        print(f'{"mean":26} {mean(ious):6.3f}, median {np.median(ious):.3f}, at least 0.9: '
              f'{sum(value >= 0.9 for value in ious)} of {len(ious)}, lowest {min(ious):.3f}, empty: '
              f'{sum(entry.empty for entry in part)}; flicker x {ratio(part, refs, "flicker"):.2f}, soft x '
              f'{ratio(part, refs, "soft"):.2f}; last fifth - first '
              f'{mean([entry.last_fifth - entry.first_fifth for entry in part]):+.3f}')


def ratio(part: Sequence[ClipScore], refs: Sequence[ClipScore], name: str) -> float:
    """Of the means over clips."""
    return mean([getattr(entry, name) for entry in part]) / max(mean([getattr(entry, name) for entry in refs]), 1e-6)


def plot(scores: Sequence[ClipScore], path: Path) -> None:
    """IoU of each clip, a line for each network and size."""
    clips = list(dict.fromkeys(entry.clip for entry in scores))
    lines = {}
    for entry in scores:
        if entry.network != 'reference':
            lines.setdefault(f'{entry.network} {entry.size}', {})[entry.clip] = entry.iou
    iou_by_clip(clips, {name: [values.get(clip, float('nan')) for clip in clips] for name, values in lines.items()},
                path)


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(prog='real_clips', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', action='append', required=True, metavar='NAME-OR-PATH', help='may be repeated')
    parser.add_argument('--label', action='append', help='one per checkpoint; the file name if left out')
    parser.add_argument('--reference', required=True, metavar='NAME-OR-PATH', help='whose mattes stand for the truth')
    parser.add_argument('--clips', type=Path, nargs='*', default=[], help='video files')
    parser.add_argument('--natural', type=Path, nargs='*', default=[], help='folders of natural photos')
    parser.add_argument('--natural-every', type=int, default=HELD_OUT_EVERY, help='look at each N-th photo of a list')
    parser.add_argument('--inference-size', nargs='*', type=pixels_or_name, help='several: over inside sizes')
    parser.add_argument('--limit', type=int, help='only so many frames of each clip')
    parser.add_argument('--output', type=Path, help='.csv: every number')
    parser.add_argument('--plot', type=Path, help='.png: IoU by clip')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args(argv)
    measure(args)
    return 0


def pixels_or_name(text: str) -> int | str:
    """'512' -> 512, 'portrait' as it is."""
    return int(text) if text.isdecimal() else text


if __name__ == '__main__':
    sys.exit(main())
