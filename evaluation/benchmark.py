"""Benchmark networks end to end on a test set: predict, measure, report.

python -m evaluation.benchmark --checkpoint rvm_mobilenetv3 --checkpoint my.safetensors --test-dir TESTSET \\
    --out-dir OUT --downsample-ratio auto 1

Every checkpoint is run with every ratio. TESTSET holds <set>/<clip>/{com,pha,fgr}. OUT gets predictions/<entry>/...,
report.html (opens offline), report.json and the plots as PNG. What is finished is not done again.

python -m evaluation.benchmark people --photos DIR --backgrounds DIR measures how well people are told apart, on clips
that it composes: see evaluation.instances.
"""

import argparse
import hashlib
import json
import os
import random
import sys
from itertools import product
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from cli.command import command
from engine.device import choose_precision
from engine.flags import add_precision_flag
from files import whole_file
from metrics import METRICS, PROTOCOLS

from . import instances
from .clip_result import ClipResult
from .entry import Entry
from .evaluate import evaluate_tree
from .predict import Run, load_model, predict_clip, read_run
from .report import write_report
from .results import write_csv
from .tree import Clip, find_clips


def parse_ratio(text: str) -> float | None:
    """'auto' -> None, else a number in (0, 1]."""
    if text == 'auto':
        return None
    ratio = float(text)
    if not 0 < ratio <= 1:
        raise argparse.ArgumentTypeError(f'downsample ratio must be auto or in (0, 1], got {text}')
    return ratio


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(prog='benchmark', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', action='append', required=True, metavar='NAME-OR-PATH', help='may be repeated')
    parser.add_argument('--test-dir', type=Path, required=True)
    parser.add_argument('--output', '--out-dir', dest='out_dir', type=Path, required=True, metavar='DIR')
    parser.add_argument('--downsample-ratio', nargs='+', type=parse_ratio, default=[None], metavar='RATIO',
                        help='auto, or in (0, 1]')
    parser.add_argument('--steady', action='store_true',
                        help='everything once more, with alpha held where the picture stands still')
    parser.add_argument('--metrics', nargs='+', default=list(PROTOCOLS['strict'].metrics), metavar='NAME',
                        help=f'any of {", ".join(METRICS)}')
    parser.add_argument('--limit', type=int, default=None, help='only so many clips, drawn with the seed')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add_precision_flag(parser, 'fp32')
    parser.add_argument('--num-workers', type=int, default=os.cpu_count(), help='threads that measure')
    return parser.parse_args(argv)


def choose_clips(clips: list[Clip], limit: int | None, seed: int) -> list[Clip]:
    """All, or `limit` of them drawn with the seed; in the order of the set either way."""
    if limit is None or limit >= len(clips):
        return clips
    if limit < 1:
        raise ValueError(f'--limit must be at least 1, got {limit}')
    return [clips[i] for i in sorted(random.Random(seed).sample(range(len(clips)), limit))]


def entry_name(checkpoint: str, ratio: float | None, precision: str, steady: bool = False) -> str:
    """Name of a folder and a row: what was run, with enough of its contents to tell two files of one name apart."""
    path = Path(checkpoint)
    stem = path.stem if path.is_file() else checkpoint
    parts = [part for part in (path, path.with_suffix('.bin')) if part.is_file()]      # of OpenVINO's pair
    digest = '-' + hashlib.sha256(b''.join(part.read_bytes() for part in parts)).hexdigest()[:6] if parts else ''
    return f'{stem}{digest}-{"auto" if ratio is None else f"ratio{ratio:g}"}' + \
        ('' if precision == 'fp32' else f'-{precision}') + '-steady' * steady


def predict(args: argparse.Namespace, checkpoint: str, ratio: float | None, clips: list[Clip],
            folder: Path, steady: bool) -> tuple[dict[str, Run], dict[str, str]]:
    """Run the clips that are not there yet -> runs and problems by clip."""
    runs = {str(clip): read_run(folder / str(clip), clip) for clip in clips}
    todo = [clip for clip in clips if runs[str(clip)] is None]
    problems: dict[str, str] = {}
    if not todo:
        return runs, problems
    model = load_model(checkpoint, args.device, args.precision)
    dtype = choose_precision(args.precision, torch.device(args.device))
    total = sum(len(clip.frames('com')) for clip in todo)
    with tqdm(total=total, desc=f'predict {folder.name}', unit='frame') as bar:
        for clip in todo:
            try:
                runs[str(clip)] = predict_clip(model, clip, folder / str(clip), ratio, args.device, dtype, bar.update,
                                              steady)
            except ValueError as error:
                problems[str(clip)] = str(error)
    return {key: run for key, run in runs.items() if run}, problems


def measure(args: argparse.Namespace, clips: list[Clip], folder: Path, problems: dict[str, str]) -> list[ClipResult]:
    """Metrics of the chosen clips; a clip that could not be predicted keeps the reason instead of numbers."""
    results = {}
    if any((folder / str(clip)).is_dir() for clip in clips):
        store = folder.with_name(f'{folder.name}.clips.jsonl')
        results = {str(result): result for result in
                   evaluate_tree(folder, args.test_dir, tuple(args.metrics), ('strict', 'rvm_lr', 'rvm_hr'),
                                 args.num_workers, store, f'measure {folder.name}', {str(clip) for clip in clips})}
    for key, problem in problems.items():
        results[key] = ClipResult(*key.split('/'), problems=[problem])
    return [results[str(clip)] for clip in clips]


@command
def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 if anything went wrong; what was finished is kept and reported."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ['people']:
        return instances.main(argv[1:])
    args = parse(argv)
    clips = choose_clips(find_clips(args.test_dir), args.limit, args.seed)
    folder = args.out_dir / 'predictions'
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    entries = []
    for checkpoint in args.checkpoint:
        for ratio, steady in product(args.downsample_ratio, (False, True) if args.steady else (False,)):
            name = entry_name(checkpoint, ratio, args.precision, steady)
            runs, problems = predict(args, checkpoint, ratio, clips, folder / name, steady)
            results = measure(args, clips, folder / name, problems)
            entries.append(Entry(name, checkpoint, 'auto' if ratio is None else f'{ratio:g}', folder / name,
                                 results, runs))
            with whole_file(args.out_dir / f'{name}.csv') as partial:
                write_csv(results, partial)
    settings = {'test set': args.test_dir.name, 'clips': len(clips), 'device': device_name(args.device),
                'precision': args.precision, 'seed': args.seed, 'torch': torch.__version__}
    manifest = args.test_dir / 'manifest.json'
    if manifest.is_file():
        settings['manifest SHA-256'] = hashlib.sha256(manifest.read_bytes()).hexdigest()[:16]
    print('written: ' + str(write_report(entries, settings, args.test_dir, args.out_dir)))
    wrong = [(entry.name, result, line) for entry in entries for result in entry.results for line in result.problems]
    for name, result, line in wrong:
        print(f'problem: {name}: {result}: {line}', file=sys.stderr)
    print(json.dumps({entry.name: {key: round(value, 4) for key, value in entry.summary()['strict'].items()}
                      for entry in entries if entry.summary()}, indent=1))
    return 2 if wrong else 0


def device_name(device: str) -> str:
    """For the report: numbers of speed mean nothing without it."""
    if device != 'cpu':
        return torch.cuda.get_device_name()
    return f'CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores'


if __name__ == '__main__':
    sys.exit(main())
