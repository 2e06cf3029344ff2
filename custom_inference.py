"""Matte every sequence of a dataset folder into numbered PNGs.

    python custom_inference.py --dataset videomatte_512x288 --data-dir data --data-out results --weights FILE

    data/videomatte_512x288/0000/fgr/0000.png ...        results/videomatte_512x288/0000/pha/0000.png ...
    data/videomatte_512x288/0001/0000.png ...       ->   results/videomatte_512x288/0001/fgr/0000.png ...
    data/videomatte_512x288/0002.mp4                     results/videomatte_512x288/0002/com/0000.png ...

`pha` is the matte (grey), `fgr` the foreground, `com` the composition over RVM's green (three channels: evaluation and
viewers want an opaque picture; for a transparent one, use inference.py).
"""

import cli  # noqa: F401  # isort: skip

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cli.command import run_command
from converter.batch import convert_one, count_statuses, exit_code, network_settings
from converter.conversion import ConversionReport
from converter.convert import convert_video
from engine.flags import add_network_flags, add_size_flags, open_from_flags
from files import is_video_path, natural_key
from video.background import RVM_GREEN
from video.images import existing_frames, list_images

FOLDERS = {'output_alpha': 'pha', 'output_foreground': 'fgr', 'output_composition': 'com'}
LAYOUT = '<sequence>/fgr/0000.png, <sequence>/0000.png or <sequence>.mp4'


@dataclass(frozen=True)
class Sequence:
    """One clip of the dataset."""

    name: str
    source: Path        # folder of frames or video file

    def is_complete(self, outputs: dict[str, Path]) -> bool:
        """Whether every output holds the same number of frames: as many as the source, where it is a folder.

        A folder of frames appears only when all of them are written, so equal counts mean that nothing is missing.
        """
        counts = {len(existing_frames(folder, '.png')) for folder in outputs.values()}
        if self.source.is_dir():
            counts.add(len(list_images(self.source)[0]))
        return len(counts) == 1 and counts != {0}


def find_sequences(folder: Path) -> list[Sequence]:
    """The sequences of a dataset in natural order. A folder without frames is kept: converting it says what is wrong.

    Raises:
        FileNotFoundError: no such folder, or nothing in it.
        ValueError: two sequences would have one output.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder; expected --data-dir/--dataset with {LAYOUT}')
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith('.')), key=natural_key)
    videos = [Sequence(p.stem, p) for p in entries if p.is_file() and is_video_path(p)]
    folders = [Sequence(p.name, p / 'fgr' if (p / 'fgr').is_dir() else p) for p in entries if p.is_dir()]
    if not videos and not folders:
        raise FileNotFoundError(f'{folder} has no sequences: expected {LAYOUT}')
    sequences = sorted(folders + videos, key=lambda sequence: natural_key(sequence.name))
    for name, count in Counter(sequence.name for sequence in sequences).items():
        if count > 1:
            names = ', '.join(str(sequence.source) for sequence in sequences if sequence.name == name)
            raise ValueError(f'{count} sequences have the name {name} ({names}): rename all but one')
    return sequences


def build_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(prog='custom_inference.py', formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=__doc__)
    files = parser.add_argument_group('input and output')
    files.add_argument('--dataset', required=True, metavar='NAME', help='folder below --data-dir, and below --data-out')
    files.add_argument('--data-dir', required=True, type=Path, metavar='DIR')
    files.add_argument('--output', '--data-out', dest='data_out', required=True, type=Path, metavar='DIR')
    files.add_argument('--overwrite', action='store_true', help='convert sequences again that are complete')
    add_network_flags(parser, '--weights')
    add_size_flags(parser)
    parser.add_argument('--disable-progress', action='store_true', help='no progress bar')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0 done, 1 a sequence failed or is damaged, 2 bad input, 130 interrupted."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Convert every clip of the folder."""
    source, target = args.data_dir / args.dataset, args.data_out / args.dataset
    if target.resolve().is_relative_to(source.resolve()):
        raise ValueError(f'--data-out would put results into the dataset itself ({source}): name another folder')
    sequences = find_sequences(source)
    settings = network_settings(args) | {'output_type': 'png_sequence', 'background': RVM_GREEN,
                                         'progress': not args.disable_progress}
    engine = open_from_flags(args)

    def convert(sequence: Sequence) -> ConversionReport:
        outputs = {argument: target / sequence.name / folder for argument, folder in FOLDERS.items()}
        skip = not args.overwrite and sequence.is_complete(outputs)
        return convert_one(sequence.source, outputs.values(), skip, lambda: convert_video(
            engine, sequence.source, **outputs, **settings))

    reports, started = [], time.perf_counter()
    for number, sequence in enumerate(sequences, 1):
        print(f'[{number}/{len(sequences)}] {sequence.name}')
        reports.append(convert(sequence))
    print(f'{len(reports)} sequences: {count_statuses(reports)}; {sum(report.frames for report in reports)} frames in '
          f'{time.perf_counter() - started:.1f} s')
    return exit_code(reports)


if __name__ == '__main__':
    sys.exit(main())
