"""What the commands that convert clips share: one failure does not stop the rest, and exit codes."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tqdm import tqdm

from cli.command import EXPECTED_ERRORS, one_line
from converter.conversion import ConversionReport
from engine.flags import matter_settings, parse_resize
from files.terminal import plain
from video.pipeline import StageError
from video.plate import check_plate


def network_settings(args: argparse.Namespace) -> dict:
    """The arguments of convert_video that the two groups of flags stand for; checked here, before slow work.

    Raises:
        ValueError: naming the flag.
    """
    if args.seq_chunk < 1:
        raise ValueError(f'--seq-chunk must be at least 1 frame, got {args.seq_chunk}')
    if args.background_plate is not None:
        check_plate(args.background_plate)
    elif args.steady:
        raise ValueError('--steady needs --background-plate: other networks have a memory of their own')
    return matter_settings(args) | {'input_resize': parse_resize(args.input_resize), 'seq_chunk': args.seq_chunk,
                                    'num_workers': args.num_workers, 'background_plate': args.background_plate,
                                    'plate_alignment': not args.no_plate_alignment, 'steady': args.steady}


def convert_one(source: Path, outputs: Iterable[Path], skip: bool,
                convert: Callable[[], ConversionReport]) -> ConversionReport:
    """One clip of several; a failure is printed and becomes part of the report.

    Args:
        source, outputs: for messages.
        skip: the outputs are already there.
        convert: does the work.
    """
    names = [str(path) for path in outputs]
    shown = plain(', '.join(names))
    if skip:
        print(f'{plain(source)}: skipped, {shown} exists')
        return ConversionReport(str(source), names, 'skipped')
    started = time.perf_counter()
    try:
        report = convert()
    except EXPECTED_ERRORS as error:
        status = 'failed' if isinstance(error, StageError) else 'bad input'
        print(f'error: {plain(source)}: {one_line(error)}', file=sys.stderr)
        return ConversionReport(str(source), names, status, error=one_line(error),
                                seconds=time.perf_counter() - started)
    for note in report.notes:
        tqdm.write(f'note: {plain(note)}')
    if report.error:
        print(f'warning: {plain(report.error)}', file=sys.stderr)
    print(f'{shown}: {report.summary()}')
    return report


def count_statuses(reports: list[ConversionReport]) -> str:
    """'3 done, 1 failed'."""
    statuses = [report.status for report in reports]
    return ', '.join(f'{statuses.count(status)} {status}' for status in dict.fromkeys(statuses))


def exit_code(reports: list[ConversionReport]) -> int:
    """0 when everything is whole; 2 when the one input was bad; 1 when anything else failed or was damaged."""
    statuses = [report.status for report in reports]
    if statuses == ['bad input']:
        return 2
    return int(any(status not in ('done', 'skipped') for status in statuses))
