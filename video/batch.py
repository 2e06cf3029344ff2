"""What the commands that convert clips share: network flags, one failure that does not stop the rest, exit codes."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from engine.device import PRECISIONS, choose_device, choose_precision
from engine.runtimes import RUNTIMES, is_exported, open_exported
from engine.sizes import MIN_INFERENCE_SIZE, PRESETS
from files import whole_file

from .conversion import ConversionReport
from .formats import VIDEO_SUFFIXES, is_image_path
from .pipeline import StageError

EXPECTED_ERRORS = (ValueError, OSError, RuntimeError)     # StageError is a RuntimeError


def add_network_flags(parser: argparse.ArgumentParser, *aliases: str, live: bool = False) -> None:
    """Flags of the network and its speed.

    Args:
        aliases: further names of --checkpoint.
        live: leave out the flags that read ahead, which no camera can.
    """
    network = parser.add_argument_group('network')
    network.add_argument('--checkpoint', *aliases, dest='checkpoint', default='default',
                         help='default, rvm_mobilenetv3, rvm_resnet50, a .pth or .safetensors file, or an exported '
                              f'file ({", ".join(RUNTIMES)}; default: %(default)s)')
    network.add_argument('--variant', help='only to check that the checkpoint is of this kind')
    network.add_argument('--refiner', help='fast_guided_filter replaces a trained refiner')
    network.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1, mps (default: %(default)s)')
    network.add_argument('--precision', default='auto', choices=['auto', *PRECISIONS])
    network.add_argument('--engine', default='torch', choices=['torch', 'openvino'], help='openvino: faster on CPUs')
    network.add_argument('--reset-on-cut', action='store_true', help='forget the past at scene cuts')
    if not live:
        network.add_argument('--seq-chunk', type=int, default=1, metavar='N', help='frames per call of the network')
        network.add_argument('--num-workers', type=int, default=0, metavar='N', help='threads that read image folders')


def add_size_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of frame size and size inside the network."""
    size = parser.add_argument_group('size')
    size.add_argument('--input-resize', type=int, nargs=2, metavar=('W', 'H'), help='resize every frame first')
    size.add_argument('--downsample-ratio', default='auto', metavar='R', help='auto, or a number in (0, 1]')
    size.add_argument('--preset', choices=sorted(PRESETS), default='portrait',
                      help='full-body keeps more detail for small people (default: %(default)s)')
    size.add_argument('--inference-size', type=int, metavar='N',
                      help='long side inside the network in pixels, instead of a preset (times what the weights are '
                           f'for: {", ".join(f"{name} {factor:g}" for name, factor in PRESETS.items())})')


def network_settings(args: argparse.Namespace) -> dict:
    """The arguments of convert_video that the two groups of flags stand for; checked here, before slow work.

    Raises:
        ValueError: naming the flag.
    """
    if args.seq_chunk < 1:
        raise ValueError(f'--seq-chunk must be at least 1 frame, got {args.seq_chunk}')
    return matter_settings(args) | {'input_resize': parse_resize(args.input_resize), 'seq_chunk': args.seq_chunk,
                                    'num_workers': args.num_workers}


def matter_settings(args: argparse.Namespace) -> dict:
    """The arguments of `Matter` among them.

    Raises:
        ValueError: naming the flag.
    """
    if args.inference_size is not None and args.inference_size < MIN_INFERENCE_SIZE:
        raise ValueError(f'--inference-size must be at least {MIN_INFERENCE_SIZE} pixels, got {args.inference_size}')
    return {
        'downsample_ratio': parse_ratio(args.downsample_ratio),
        'inference_size': args.preset if args.inference_size is None else args.inference_size,
        'reset_on_cut': args.reset_on_cut, 'engine': args.engine,
    }


def parse_resize(size: list[int] | None) -> tuple[int, int] | None:
    """What --input-resize means: (width, height) [px] or None.

    Raises:
        ValueError: a side without pixels.
    """
    if size is not None and min(size) < 1:
        raise ValueError(f'--input-resize must be two positive numbers, got {size}')
    return tuple(size) if size else None


def open_network(args: argparse.Namespace, load_network: Callable) -> tuple[nn.Module, torch.device, torch.dtype]:
    """What --checkpoint and the flags beside it name, with device and precision; prints a line about it.

    Args:
        load_network: `model.weights.load_network`; handed in, because this room knows no network.
    Raises:
        ValueError: a device or precision that is not here, or a flag that an exported file has no use for.
    """
    if is_exported(args.checkpoint):
        for flag, unset in (('variant', None), ('refiner', None), ('precision', 'auto'), ('engine', 'torch')):
            if getattr(args, flag) != unset:
                raise ValueError(f'--{flag} {getattr(args, flag)} cannot be combined with the exported file '
                                 f'{args.checkpoint}, which has its own: leave it out')
        model = open_exported(args.checkpoint, args.device)
        print(f'{args.checkpoint}: {model.describe()}')
        return model, model.device, model.dtype
    device = choose_device(args.device)
    dtype = choose_precision(args.precision, device)
    model = load_network(args.checkpoint, args.variant, args.refiner, progress=not args.disable_progress)
    print(f'{args.checkpoint}: {model.describe()}; {device}, {str(dtype).removeprefix("torch.")}')
    return model, device, dtype


def parse_ratio(text: str) -> float | None:
    """What --downsample-ratio means: None for auto, or a number in (0, 1].

    Raises:
        ValueError: anything else.
    """
    if text == 'auto':
        return None
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 < ratio <= 1:
        raise ValueError(f'--downsample-ratio must be auto or a number in (0, 1], got {text}')
    return ratio


def run_command(run: Callable[[], int]) -> int:
    """Call `run` as the body of a command: errors become one line, SIGTERM cleans up like Ctrl-C.

    Returns:
        Exit code: that of `run`, 2 for bad input, 130 when interrupted.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return run()
    except KeyboardInterrupt:
        print('\ninterrupted: unfinished outputs were removed', file=sys.stderr)
        return 130
    except EXPECTED_ERRORS as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 2


def _terminate(signum, frame):
    raise KeyboardInterrupt


def one_line(error: BaseException) -> str:
    """The message without line breaks; system errors without their number, but with the file."""
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    return ' '.join(str(error).split())


def convert_one(source: Path, outputs: Iterable[Path], skip: bool,
                convert: Callable[[], ConversionReport]) -> ConversionReport:
    """One clip of several; a failure is printed and becomes part of the report.

    Args:
        source, outputs: for messages.
        skip: the outputs are already there.
        convert: does the work.
    """
    names = [str(path) for path in outputs]
    if skip:
        print(f'{source}: skipped, {", ".join(names)} exists')
        return ConversionReport(str(source), names, 'skipped')
    started = time.perf_counter()
    try:
        report = convert()
    except EXPECTED_ERRORS as error:
        status = 'failed' if isinstance(error, StageError) else 'bad input'
        print(f'error: {source}: {one_line(error)}', file=sys.stderr)
        return ConversionReport(str(source), names, status, error=one_line(error),
                                seconds=time.perf_counter() - started)
    for note in report.notes:
        tqdm.write(f'note: {note}')
    if report.error:
        print(f'warning: {report.error}', file=sys.stderr)
    print(f'{", ".join(names)}: {report.summary()}')
    return report


def write_json(path: str | None, content: list | dict) -> None:
    """What --report names; the file is whole at every moment. None writes nothing."""
    if path is None:
        return
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2, default=str) + '\n')


def check_json(flag: str, path: str | None, overwrite: bool) -> None:
    """Whether a report may have this name: a new one, or that of an earlier report.

    Raises:
        ValueError: the name of a clip, or of a folder. FileExistsError: another file is there, and `overwrite` is off.
        FileNotFoundError: its folder does not exist.
    """
    if path is None:
        return
    if is_image_path(path) or Path(path).suffix.lower() in VIDEO_SUFFIXES or Path(path).is_dir():
        raise ValueError(f'{flag} must be the name of a JSON file such as report.json, got {path}')
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(f'{flag} {path}: the folder {Path(path).parent} does not exist')
    if Path(path).is_file() and not overwrite:
        try:
            json.loads(Path(path).read_bytes() or 'null')
        except ValueError:
            raise FileExistsError(f'{flag} {path} exists and is no report: choose another name, or use --overwrite '
                                  'to replace it') from None


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
