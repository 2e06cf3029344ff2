"""Feeds damaged files to every reader and counts what happens.

    python -m tests.fuzz.run media 1000 --seed 0
    python -m tests.fuzz.run checkpoint 500
    python -m tests.fuzz.run text 500
    python -m tests.fuzz.run media 700 --start 300       # the rest of 1,000

Exit code 1, and the files are kept, if one ends in a traceback, a signal, a hang, in a message of several lines or one
that does not name the file, or if a film loses pictures without a word that the program ffmpeg reads.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.mutate import mutate

ROOT = Path(__file__).resolve().parents[2]
BATCH, PATIENCE = 100, 120        # files a process, [s] for one of them
SECOND = ('.mp4', '.mov', '.mkv', '.avi', '.ts', '.webm', '.flv')


def make(kind: str, numbers: range, seed: int, folder: Path) -> list[Path]:
    """Damaged files; what a number becomes does not depend on the others."""
    whole = folder / 'whole'
    whole.mkdir(parents=True)
    originals = getattr(corpus, kind)(whole)
    data = {path: path.read_bytes() for path in originals}
    paths = []
    for number in numbers:
        rng = random.Random(f'{seed} {kind} {number}')
        original = originals[number % len(originals)]
        paths.append(folder / f'{number:05d}{original.suffix}')
        paths[-1].write_bytes(mutate(data[original], rng))
    return paths


def feed(kind: str, paths: list[Path], patience: float = PATIENCE) -> dict[Path, dict]:
    """What became of each file; a process that dies or hangs is followed by another."""
    results, left = {}, list(paths)
    while left:
        batch, left = left[:BATCH], left[BATCH:]
        command = [sys.executable, '-W', 'ignore', '-m', 'tests.fuzz.targets', kind, *map(str, batch)]
        environment = os.environ | {'OMP_NUM_THREADS': '1'}
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, errors='replace',
                                  timeout=patience + 10 * len(batch))
            output, ended = done.stdout, f'signal {-done.returncode}' if done.returncode < 0 else 'exit'
        except subprocess.TimeoutExpired as error:
            output, ended = (error.stdout or b'').decode(errors='replace'), 'hang'
        begun = None
        for line in filter(None, output.splitlines()):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if 'begin' in entry:
                begun = Path(entry['begin'])
            else:
                results[Path(entry.pop('path'))] = entry
        rest = [path for path in batch if path not in results]
        if rest:
            guilty = begun if begun in rest else rest[0]
            results[guilty] = {'status': ended, 'error': ended}
            left = [path for path in rest if path != guilty] + left
    return results


def frames_of_ffmpeg(path: Path) -> int:
    """Pictures that a second decoder reads."""
    done = subprocess.run(['ffprobe', '-v', 'quiet', '-count_frames', '-select_streams', 'V:0', '-show_entries',
                           'stream=nb_read_frames', '-of', 'csv=p=0', str(path)], capture_output=True, text=True,
                          timeout=120, check=False)
    words = done.stdout.replace(',', ' ').split()
    return int(words[0]) if words and words[0].isdigit() else 0


def lost(path: Path, result: dict) -> str:
    """What we did not read and did not speak of."""
    if path.suffix not in SECOND or result['status'] not in ('read', 'refused'):
        return ''
    theirs, ours = frames_of_ffmpeg(path), result.get('frames', 0)
    if result['status'] == 'read' and (result['damage'] or ours >= min(theirs, 200)):
        return ''
    return f'{ours} of {theirs} pictures' if theirs > ours else ''


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=('media', 'checkpoint', 'text'))
    parser.add_argument('count', type=int)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--start', type=int, default=0, help='number of the first file')
    parser.add_argument('--keep', type=Path, help='folder for files that went wrong')
    args = parser.parse_args(argv)
    second = shutil.which('ffprobe') is not None
    wrong, counts = [], Counter()
    with tempfile.TemporaryDirectory(prefix='fuzz_') as folder:
        numbers = range(args.start, args.start + args.count)
        paths = make(args.kind, numbers, args.seed, Path(folder) / args.kind)
        results = feed(args.kind, paths)
        for path in paths:
            result = results[path]
            counts[result['status']] += 1
            problem = '' if result['status'] in ('read', 'refused') else f'{result["status"]}: {result.get("error")}'
            problem = problem or ('a bad message: ' + result['error'] if result.get('bad_message') else '')
            if not problem and second and args.kind == 'media' and (missing := lost(path, result)):
                problem = f'lost {missing}; {result["status"]}: {result.get("error", "")}'
            if problem:
                wrong.append((path.name, problem))
                if args.keep:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, args.keep / path.name)
    for name, problem in wrong:
        print(f'{name}: {problem}')
    print(f'{args.kind}, seed {args.seed}, from {args.start}: {args.count} files: '
          + ', '.join(f'{number} {status}' for status, number in counts.most_common()) + f'; {len(wrong)} wrong'
          + ('' if second or args.kind != 'media' else ' (without ffprobe nothing was compared)'))
    return int(bool(wrong))


if __name__ == '__main__':
    sys.exit(main())
