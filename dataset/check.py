"""Look at every set before training: counts, sizes, orphans, unreadable files, alpha polarity, disk use.

python -m dataset.check --data-root ROOT [--sets videomatte coco_panoptic] [--frames 200]

Exits 2 when training could not start: a set that is there or was asked for is damaged, no matting set, no backgrounds
for one, or no segmentation set (--finetune trains without).
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cli.command import command

from .backgrounds import CLIP_SETS, PICTURE_SETS, Backgrounds, folder_pictures
from .clips import Clip, PictureClip, VideoClip, folder_clips, paired_clips, rgba_clips
from .files import Damage, UnreadableFrame
from .instances import people_set
from .matting import MATTING_SETS
from .paths import LAYOUTS, Paths, data_paths, exists, require
from .segmentation import CocoPersons, PairedMasks
from .youtubevis import YouTubeVIS

SEGMENTATION = (('youtubevis',), ('coco_panoptic', 'spd'))  # one of each is needed
DAMAGED_SHARE = 0.05  # of the frames looked at, over which a set is not fit for training


@dataclass
class Report:
    """What was found in one split of one set. Orphans (a picture without partner) are an error that names them."""

    name: str
    items: str = ''                                     # clips and frames
    sizes: Counter = field(default_factory=Counter)     # (w, h) -> frames looked at
    looked: int = 0
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    bytes: int = 0

    def lines(self) -> Iterable[str]:
        sizes = ', '.join(f'{w}x{h} ({count})' for (w, h), count in self.sizes.most_common(3))
        more = f' and {len(self.sizes) - 3} more sizes' if len(self.sizes) > 3 else ''
        yield (f'{self.name}: {self.items or "nothing"}; {self.bytes / 1e6:.1f} MB; looked at {self.looked}: '
               f'{sizes}{more}')
        yield from (f'    unreadable: {line}' for line in self.unreadable[:10])
        if len(self.unreadable) > 10:
            yield f'    and {len(self.unreadable) - 10} more unreadable'
        yield from (f'    note: {line}' for line in self.notes)
        yield from (f'    ERROR: {line}' for line in self.errors)


def check(paths: Paths, names: Iterable[str] = (), frames: int = 200,
          finetune: bool = False) -> tuple[list[Report], list[str]]:
    """Reports of the sets that are there (of `names`: all of them), and the reasons why training could not start."""
    names = list(names)
    unknown = [name for name in names if name not in LAYOUTS]
    if unknown:
        raise ValueError(f'unknown sets {unknown}; known: {", ".join(LAYOUTS)}')
    reports, problems = [], []
    for name in names or LAYOUTS:
        for split in paths[name]:
            if names or exists(paths, name, split):
                reports.append(check_set(paths, name, split, frames))
    problems += [error if error.startswith(report.name) else f'{report.name}: {error}'
                 for report in reports for error in report.errors]
    matting = [name for name in names or MATTING_SETS if name in MATTING_SETS and exists(paths, name, 'train')]
    if not names and not matting:
        problems.append(f'no matting set: expected at least one of {", ".join(MATTING_SETS)}; '
                        '`python -m dataset.synthetic ROOT` writes a generated one')
    for split in ('train', 'valid'):
        if any(exists(paths, name, split) and 'bgr' not in require(paths, name, split) for name in matting):
            try:
                Backgrounds.from_paths(paths, split)
            except (FileNotFoundError, ValueError) as error:
                problems.append(str(error))
    if not names and not finetune:
        for needed in SEGMENTATION:
            if not any(exists(paths, name, 'train') for name in needed):
                problems.append(f'no {" or ".join(needed)} for the segmentation passes (--finetune does without)')
    return reports, problems


def check_set(paths: Paths, name: str, split: str, frames: int) -> Report:
    """Index one split and read up to `frames` evenly spaced frames of it."""
    report = Report(f'{name} ({split})')
    try:
        roles = require(paths, name, split)
        report.bytes = sum(map(disk_use, roles.values()))
        if name in MATTING_SETS:
            _check_matting(report, roles, frames)
        elif 'alphas' in roles:
            _check_people(report, roles, frames)
        elif name in PICTURE_SETS + CLIP_SETS:
            _check_backgrounds(report, roles['dir'], name in CLIP_SETS, frames)
        else:
            _check_segmentation(report, name, roles, frames)
        if len(report.unreadable) > DAMAGED_SHARE * report.looked:
            report.errors.append(f'{len(report.unreadable)} of {report.looked} frames looked at are unreadable')
    except (FileNotFoundError, ValueError, RuntimeError, KeyError) as error:
        report.errors.append(f'{type(error).__name__}: {error}' if isinstance(error, KeyError) else str(error))
    return report


def disk_use(path: Path) -> int:
    """Bytes of a file or of everything in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(os.stat(os.path.join(here, name)).st_size for here, _, names in os.walk(path) for name in names
               if os.path.exists(os.path.join(here, name)))


def _check_matting(report: Report, roles: dict[str, Path], frames: int) -> None:
    if 'rgba' in roles:
        clips, moving = rgba_clips(roles['rgba'])
    else:
        clips, moving = paired_clips(roles['fgr'], roles['pha'])
    report.items = describe(clips, moving)
    means, borders, solid = [], [], []
    for _, pha in _look(report, clips, frames):
        means.append(pha.mean() / 255)
        borders.append(np.concatenate([pha[0], pha[:, 0], pha[:, -1]]).mean() / 255)  # people stand on the lower edge
        solid.append(pha.max() > 250)
    if not means:
        report.errors.append('no frame can be read')
    elif np.mean(borders) > 0.6:
        report.errors.append(f'alpha is {np.mean(borders):.2f} on average along the upper and side borders and '
                             f'{np.mean(means):.2f} overall: it is probably inverted (255 must be the person)')
    elif not any(solid):
        report.errors.append('no alpha reaches 255: are the values 0 and 1 instead of 0 and 255?')
    else:
        report.notes.append(f'alpha: {np.mean(means):.2f} on average, {np.mean(borders):.2f} along the upper and side '
                            'borders')


def _check_people(report: Report, roles: dict[str, Path], frames: int) -> None:
    clips = people_set(**roles)
    counts = [len(clip.people) for clip in clips]
    report.items = (f'{len(clips)} {"clips" if "frames" in roles else "pictures"}, {sum(map(len, clips))} frames, '
                    f'{sum(counts) / len(counts):.2f} people each')
    masked = sum(bool(rough) for clip in clips for rough in clip.masks)
    report.notes.append(f'{masked} frames have masks' if masked else 'no masks: they are made from the alphas')
    crowded = 0
    places = [(clip, index) for clip in clips for index in range(len(clip))]
    for clip, index in _spread(places, frames):
        report.looked += 1
        try:
            src, pha, _ = clip.read([index])
        except UnreadableFrame as error:
            report.unreadable.append(str(error))
            continue
        report.sizes[src.shape[2:0:-1]] += 1
        crowded += pha.astype(np.int32).sum(1).max() > 255 + 25
    if crowded:
        report.notes.append(f'{crowded} frames have alphas that add up to more than 1')


def _check_backgrounds(report: Report, folder: Path, moving: bool, frames: int) -> None:
    clips = folder_clips(folder) if moving else folder_pictures(folder)
    if not clips:
        raise FileNotFoundError(f'no {"clips" if moving else "pictures"} in {folder}')
    report.items = describe(clips, True) if moving else f'{sum(map(len, clips))} pictures'
    for _ in _look(report, clips, frames):
        pass


def _check_segmentation(report: Report, name: str, roles: dict[str, Path], frames: int) -> None:
    if name == 'youtubevis':
        source = YouTubeVIS(**roles, size=1, seq_length=1)
        report.items = f'{len(source.videos)} videos with a person, {len(source)} frames'
        reads = [lambda at=at: source.read(*at) for at in source.starts]
    else:
        source = (CocoPersons if name == 'coco_panoptic' else PairedMasks)(**roles)
        report.items = f'{len(source)} pictures with a mask'
        reads = [lambda index=index: source.read(index) for index in range(len(source))]
    shares = []
    for read in _spread(reads, frames):
        report.looked += 1
        try:
            img, seg = read()
            report.sizes[img.shape[1::-1]] += 1
            shares.append(seg.mean() / 255)
        except UnreadableFrame as error:
            report.unreadable.append(str(error))
    if shares:
        report.notes.append(f'masks cover {np.mean(shares):.2f} of the picture on average, '
                            f'{sum(share == 0 for share in shares)} are empty')


def _look(report: Report, clips: list[Clip], frames: int) -> Iterable[tuple[np.ndarray, ...]]:
    """Read evenly spaced frames; unreadable ones go into the report."""
    places = [(clip, index) for clip in clips for index in range(len(clip))]
    for clip, index in _spread(places, frames):
        report.looked += 1
        damage = Damage()
        try:
            frame = clip.read_one(index) if isinstance(clip, PictureClip) else clip.read([index], None, damage)[0]
        except UnreadableFrame as error:
            report.unreadable.append(str(error))
            continue
        report.unreadable += [f'{path}: {reason}' for path, reason in damage.paths.items()]
        report.sizes[frame[0].shape[1::-1]] += 1
        yield frame


def _spread(items: list, count: int) -> list:
    """At most `count` evenly spaced items; 0 takes all."""
    if not count or len(items) <= count:
        return items
    return [items[i * len(items) // count] for i in range(count)]


def describe(clips: list[Clip], moving: bool) -> str:
    if not moving:
        return f'{len(clips)} photos'
    lengths = sorted(map(len, clips))
    videos = sum(isinstance(clip, VideoClip) for clip in clips)
    return (f'{len(clips)} clips' + (f' ({videos} video files)' if videos else '') + f', {sum(lengths)} frames, '
            f'{lengths[0]} to {lengths[-1]} each')


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all well, 2 bad input or unusable data."""
    parser = argparse.ArgumentParser(description='Look at every data set before training; exits 2 when training could '
                                                 'not start.')
    parser.add_argument('--data-root', type=Path, help='folder of all sets; else MATTING_DATA or data_paths.yaml')
    parser.add_argument('--data-file', type=Path, help='YAML file that moves the root or single folders')
    parser.add_argument('--sets', nargs='*', default=(), help='sets that must be there; default: every set found')
    parser.add_argument('--frames', type=int, default=200, help='frames read per set and split, 0 reads all')
    parser.add_argument('--finetune', action='store_true', help='matting alone: no segmentation sets are needed')
    args = parser.parse_args(argv)
    paths = data_paths(args.data_root, args.data_file)
    reports, problems = check(paths, args.sets, args.frames, args.finetune)
    for report in reports:
        print('\n'.join(report.lines()))
    absent = [name for name in LAYOUTS if not any(exists(paths, name, split) for split in paths[name])]
    if absent:
        print(f'not there: {", ".join(absent)}')
    for problem in problems:
        print(f'training could not start: {problem}', file=sys.stderr)
    if not problems:
        print('ready to train')
    return 2 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
