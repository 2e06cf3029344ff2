"""Compare a tree of predictions with a tree of truths; the engine of evaluate_lr, evaluate_hr and the benchmark.

A clip is measured by one thread, written down when it is done, and not measured again as long as its files and the
metrics stay the same. What is wrong with a clip is written down beside its numbers and never stops the others.
"""

import argparse
import hashlib
import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from cli.command import run_command
from files import natural_key
from metrics import METRICS, FrameMeter, check_metrics, needing, protocol_named

from .clip_result import ClipResult, read_store, without_nan
from .results import print_summary, write_all
from .tree import Clip, find_clips, read_alpha, read_colour


def evaluate_clip(pred: Clip | None, true: Clip, metrics: tuple[str, ...], protocols: tuple[str, ...],
                  tick: Callable[[], object] = lambda: None) -> ClipResult:
    """Measure one clip, frame by frame; `tick` is called after each."""
    result = ClipResult(true.set_name, true.name)
    try:
        wanted, given, sources = true.frames('pha'), pred.frames('pha') if pred else {}, true.frames('com')
        pairs = _pair(result, wanted, given, sources, pred)
        foregrounds = _foregrounds(result, pred, true, metrics) if pairs else ({}, {})
        if needing('grey_src', metrics) and set(wanted) - set(sources):
            raise ValueError(f'{", ".join(needing("grey_src", metrics))} needs all source frames in com beside pha')
    except ValueError as error:
        result.problems.append(str(error))
        return result
    meter, rows, no_foreground = FrameMeter(metrics, protocols), [], []
    # a set with truth for some frames only (CRGNN-R) still has all source frames: there, frames are not neighbours
    order = sorted(wanted | sources, key=natural_key)
    for name in order:
        row = None
        if name in pairs:
            try:
                frame = [read_alpha(given[name]), read_alpha(wanted[name]),
                         *(read_colour(files[name]) if name in files else None for files in foregrounds)]
                if name in foregrounds[1] and not frame[1].any():
                    no_foreground.append(name)
                _check_sizes(name, frame)
                grey = _grey(sources[name]) if needing('grey_src', metrics) else None
                row = meter.measure(*frame, grey)
            except ValueError as error:
                result.problems.append(str(error))
            tick()
        if row is None:
            meter.skip()
        rows.append(row)
    if no_foreground and needing('pred_fgr', metrics):
        result.notes.append(f'no foreground in the truth of {_some(no_foreground)}: no fgr metrics there')
    result.frames = order
    result.values = {protocol: {metric: [row[protocol].get(metric, math.nan) if row else math.nan for row in rows]
                                for metric in metrics} for protocol in protocols}
    return result


def _grey(path: Path) -> np.ndarray:
    image = cv2.cvtColor(read_colour(path), cv2.COLOR_BGR2GRAY)
    return image if image.dtype == np.uint8 else (image // 257).astype(np.uint8)


def _pair(result: ClipResult, wanted: dict[str, Path], given: dict[str, Path], sources: dict[str, Path],
          pred: Clip | None) -> set[str]:
    """Frames that both have; what only one has becomes a problem, unless it is a source frame without a truth."""
    if not wanted:
        raise ValueError('no pha frames in the truth')
    if pred is None:
        raise ValueError('no prediction of this clip')
    if not given:
        raise ValueError(f'no alpha in the prediction: expected frames in {pred.folder / "pha"}')
    missing, without = [name for name in wanted if name not in given], [name for name in given if name not in wanted]
    extra, sparse = [name for name in without if name not in sources], [name for name in without if name in sources]
    if missing:
        result.problems.append(f'{len(missing)} of {len(wanted)} frames have no predicted alpha: {_some(missing)}')
    if extra:
        result.problems.append(f'{len(extra)} predicted frames have no truth: {_some(extra)}')
    if sparse:
        result.notes.append(f'{len(sparse)} source frames have no truth: {_some(sparse)}')
    return set(wanted) & set(given)


def _foregrounds(result: ClipResult, pred: Clip, true: Clip, metrics: tuple[str, ...]) -> tuple[dict, dict]:
    """Files of predicted and true foregrounds of the frames that have both."""
    if not needing('pred_fgr', metrics):
        return {}, {}
    given, wanted = pred.frames('fgr'), true.frames('fgr')
    if not wanted or not given:
        result.notes.append(f'no fgr folder in the {"prediction" if wanted else "truth"}: no fgr metrics')
        return {}, {}
    missing = [name for name in wanted if name not in given]
    if missing:
        result.problems.append(f'{len(missing)} of {len(wanted)} frames have no predicted foreground: {_some(missing)}')
    both = [name for name in wanted if name in given]
    return {name: given[name] for name in both}, {name: wanted[name] for name in both}


def _check_sizes(name: str, frame: list[np.ndarray | None]) -> None:
    pred_pha, true_pha, pred_fgr, true_fgr = (image.shape[1::-1] if image is not None else None for image in frame)
    for kind, pred, true in (('alpha', pred_pha, true_pha), ('foreground', pred_fgr, true_fgr)):
        if pred != true:
            raise ValueError(f'frame {name}: predicted {kind} is {pred[0]}x{pred[1]}, the truth {true[0]}x{true[1]}')
    if true_fgr is not None and true_fgr != true_pha:
        raise ValueError(f'frame {name}: true foreground is {true_fgr[0]}x{true_fgr[1]}, '
                         f'true alpha {true_pha[0]}x{true_pha[1]}')


def _some(names: list[str]) -> str:
    return ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')


def evaluate_tree(pred_dir: Path, true_dir: Path, metrics: tuple[str, ...], protocols: tuple[str, ...],
                  num_workers: int, store: Path, title: str = 'evaluate',
                  only: set[str] | None = None) -> list[ClipResult]:
    """Measure all clips; finished ones are appended to `store` (JSON lines) and taken from there next time.

    Args:
        only: names <set>/<clip> to look at; None for all.
    Returns:
        Sorted as the truth. Clips without a prediction and predictions without a truth are results with a problem.
    """
    check_metrics(metrics)
    for name in protocols:
        protocol_named(name)
    true_clips, pred_clips = ({str(clip): clip for clip in find_clips(root) if only is None or str(clip) in only}
                              for root in (true_dir, pred_dir))
    known = read_store(store)
    cv2.setNumThreads(1)                              # the workers share the cores already
    results, jobs = {}, {}
    for key, true in true_clips.items():
        fingerprint = _fingerprint(pred_clips.get(key), true, metrics, protocols)
        if key in known and known[key].fingerprint == fingerprint:
            results[key] = known[key]
        else:
            jobs[key] = fingerprint
    total = sum(len(list((true_clips[key].folder / 'pha').glob('*.*'))) for key in jobs)
    with ThreadPoolExecutor(max(num_workers, 1)) as pool, tqdm(total=total, desc=title, unit='frame') as bar, \
            store.open('a') as file:
        if store.stat().st_size and not store.read_text().endswith('\n'):
            file.write('\n')                          # the line that a killed run left unfinished
        futures = {pool.submit(evaluate_clip, pred_clips.get(key), true_clips[key], metrics, protocols, bar.update): key
                   for key in jobs}
        for future in as_completed(futures):
            key = futures[future]
            results[key] = future.result()
            results[key].fingerprint = jobs[key]
            file.write(json.dumps(without_nan(asdict(results[key]))) + '\n')
            file.flush()
    extra = [ClipResult(clip.set_name, clip.name, problems=['predicted clip without a truth: not measured'])
             for key, clip in pred_clips.items() if key not in true_clips]
    return [results[key] for key in true_clips] + extra


def _fingerprint(pred: Clip | None, true: Clip, metrics: tuple[str, ...], protocols: tuple[str, ...]) -> str:
    files = [clip.fingerprint('pha', 'fgr', 'com') for clip in (pred, true) if clip]
    return hashlib.sha256(repr((sorted(metrics), sorted(protocols), files)).encode()).hexdigest()


def main(protocol: str, argv: list[str] | None = None) -> int:
    """The command of evaluate_lr and evaluate_hr. Returns the exit code: 0, or 2 if anything is wrong or missing."""
    parser = argparse.ArgumentParser(
        prog=f'evaluate_{protocol.removeprefix("rvm_")}',
        description=f'Protocol {protocol} (the released script) and strict (corrected) side by side. Results are '
                    'written into the prediction folder as .xlsx, .csv and .json, finished clips as .clips.jsonl.')
    parser.add_argument('--pred-dir', type=Path, required=True, help='tree of predictions')
    parser.add_argument('--true-dir', type=Path, required=True, help='tree of truths of the same structure')
    parser.add_argument('--num-workers', type=int, default=os.cpu_count(), help='threads, one clip each')
    parser.add_argument('--metrics', nargs='+', default=list(protocol_named(protocol).metrics), metavar='NAME',
                        help=f'any of {", ".join(METRICS)}')
    args = parser.parse_args(argv)
    return run_command(lambda: run(args, protocol))


def run(args: argparse.Namespace, protocol: str) -> int:
    base = args.pred_dir / args.pred_dir.resolve().name
    results = evaluate_tree(args.pred_dir, args.true_dir, tuple(args.metrics), (protocol, 'strict'),
                            args.num_workers, base.with_name(f'{base.name}.clips.jsonl'))
    files = write_all(results, base)
    print_summary(results)
    print('written: ' + ', '.join(path.name for path in files) + f' in {args.pred_dir}')
    return 2 if any(result.problems for result in results) else 0
