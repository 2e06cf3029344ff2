"""The command line of export.py: write a file, prove it, move it into place."""

import argparse
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cli.command import run_command
from engine.flags import add_checkpoint_flags, parse_ratio
from files import adopt, check_apart, publish, scratch_folder
from model import MattingNetwork, reparameterize_model
from model.weights import load_network
from video.inputs import open_reader

from .formats import FORMATS, Format, RuntimeAbsent
from .options import PRECISIONS, SHAPES, ExportOptions
from .verify import FRAMES, compare, fit_frames, limit_for

STATIC_SIZE = 1280, 720          # [px] of a static file when nothing is said
CALIBRATION_FRAMES, CALIBRATION_STEP = 16, 4
MADE_BY_US = 'saved_model.pb', 'model.json', 'Manifest.json'     # one of them is in every folder that a format writes

SampleFrames = Callable[[int], list[np.ndarray]]


def build_parser() -> argparse.ArgumentParser:
    """The flags of export.py."""
    parser = argparse.ArgumentParser(
        prog='export.py', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Write a network as a file for another runtime, and prove that it gives the same frames.',
        epilog='examples:\n'
               '  python export.py --format onnx --output matting.onnx\n'
               '  python export.py --format onnx --static --size 1920 1080 --output matting_1080p.onnx\n'
               '  python export.py --checkpoint my.safetensors --format torchscript --output my.torchscript\n')
    add_checkpoint_flags(parser)
    parser.add_argument('--format', required=True, choices=list(FORMATS))
    parser.add_argument('--output', required=True, type=Path, metavar='FILE')
    parser.add_argument('--resolution', '--size', dest='size', type=int, nargs=2, metavar=('W', 'H'),
                        help='of frames: fixed in a static file (default: {} {}); elsewhere what verification uses '
                             '(default: that of the clip)'.format(*STATIC_SIZE))
    parser.add_argument('--downsample-ratio', default='auto', metavar='R',
                        help='auto, or a number in (0, 1]; fixed in a static file')
    parser.add_argument('--precision', default='fp32', choices=PRECISIONS)
    shapes = parser.add_mutually_exclusive_group()
    for name, text in zip(SHAPES, ('frame size and ratio free', 'frame size, ratio and states fixed'), strict=True):
        shapes.add_argument(f'--{name}', dest='shapes', action='store_const', const=name, help=text)
    parser.add_argument('--verify-clip', metavar='PATH', help='video or folder of images that proves the file and '
                                                              'calibrates int8; default: the clip of the demo')
    parser.add_argument('--overwrite', action='store_true', help='replace the output when it exists')
    return parser


def main(sample_frames: SampleFrames, argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        sample_frames: number -> frames of the demo clip; handed in, because this room knows no demo.
    Returns:
        Exit code: 0 done, 2 bad input or a file that failed its proof, 130 interrupted.
    """
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args, sample_frames))


def run(args: argparse.Namespace, sample_frames: SampleFrames) -> int:
    """Write the file and prove it; exit status 0, or 1 where it gives other frames."""
    chosen = Format.load(args.format)
    check_output(args.output, args.overwrite, {'--checkpoint': args.checkpoint, '--verify-clip': args.verify_clip})
    shapes = args.shapes or chosen.module.SHAPES[0]
    ratio = parse_ratio(args.downsample_ratio)
    # what the format refuses is said before frames are read and weights are loaded
    chosen.check(args.output, ExportOptions(tuple(args.size or STATIC_SIZE), ratio, args.precision, shapes))
    calibrated = args.precision == 'int8' and getattr(chosen.module, 'CALIBRATED', True)
    frames = read_frames(args.verify_clip, sample_frames,
                         FRAMES + calibrated * CALIBRATION_FRAMES * CALIBRATION_STEP)
    clip_size = frames[0].shape[1], frames[0].shape[0]
    size = tuple(args.size or (STATIC_SIZE if shapes == 'static' else clip_size))
    frames = fit_frames(frames, size)
    # quantisation must not have seen the frames that prove it
    calibration = frames[FRAMES::CALIBRATION_STEP] if calibrated else frames
    network = reparameterize_model(load_network(args.checkpoint, args.variant, args.refiner))
    chosen.check_network(network)
    options = ExportOptions(size, ratio, args.precision, shapes, calibration, network.inference_size,
                            network.interface.refines)
    print(f'{args.checkpoint}: {network.describe()}')
    for line in export(network, chosen, args.output, options, frames[:FRAMES]):
        print(line)
    return 0


def export(network: MattingNetwork, chosen: Format, output: Path, options: ExportOptions, frames: list[np.ndarray]):
    """Write under a temporary name, prove, move into place.

    Args:
        network: in eval mode, merged; it is not changed.
        frames: (H, W, 3) uint8 of `options.size`, which prove the file.
    Yields:
        Lines for the user.
    Raises:
        ValueError: the file differs from PyTorch by more than the limit of its format; nothing is left of it.
    """
    with scratch_folder(output) as folder:
        made = folder / output.name
        chosen.module.write(reparameterize_model(network), made, options)
        yield from verify(network, chosen, made, options, frames)
        publish([adopt(part, goal) for part, goal in zip(companions(made), companions(output), strict=True)])
    yield f'{output}: {size_on_disk(output) / 1e6:.1f} MB, {chosen.name}, {options.precision}, {options.shapes}'


def verify(network: MattingNetwork, chosen: Format, path: Path, options: ExportOptions, frames: list[np.ndarray]):
    """Yields a line for every comparison; a file for any size is also run at a smaller one: at
    ratio 1, where no refiner is, if the network can."""
    try:
        exported = chosen.module.open(path)
    except RuntimeAbsent as error:
        yield f'not run: {error}; {chosen.module.check_structure(path, options)}'
        return
    cases = [(options.size, options.ratio)]
    if not options.static and options.ratio < 1:
        small = tuple(max(1, int(side * options.ratio)) for side in options.size)
        cases.append((small, options.ratio if options.refines else 1.0))
    limit = limit_for(network, chosen.module.LIMITS[options.precision])
    for size, ratio in cases:
        difference = compare(network, exported, fit_frames(frames, size), ratio)
        where = f'{len(frames)} frames of {size[0]}x{size[1]}, ratio {ratio:.3g}'
        if not difference.within(limit):
            raise ValueError(f'{chosen.name} {options.precision}: {where}: {difference} to PyTorch, more than the '
                             f'{limit}: no file was written')
        yield f'{where}: {difference} to PyTorch ({limit}); run by {exported.label}'
        if difference.spread < 0.01:
            yield 'note: alpha is nearly constant on this clip, which proves little: name another --verify-clip'


def read_frames(clip: str | None, sample_frames: SampleFrames, count: int) -> list[np.ndarray]:
    """The first `count` frames, (H, W, 3) uint8."""
    if clip is None:
        return sample_frames(count)
    frames = [frame.pixels for frame in itertools.islice(open_reader(clip), count)]
    if len(frames) < count:
        raise ValueError(f'--verify-clip {clip}: has {len(frames)} frames, needs at least {count}')
    return [frame if frame.dtype == np.uint8 else (frame >> 8).astype(np.uint8) for frame in frames]


def check_output(output: Path, overwrite: bool, reads: Mapping[str, str | None] | None = None) -> None:
    """Whether a file of this format may be written here.

    Args:
        reads: what the command reads, by flag.
    Raises:
        FileNotFoundError, FileExistsError, ValueError: naming --output.
    """
    if not output.resolve().parent.is_dir():
        raise FileNotFoundError(f'--output {output}: the folder does not exist')
    check_apart({'--output': companions(output)}, reads or {})
    for part in companions(output):
        if part.exists() and not overwrite:
            raise FileExistsError(f'--output {part} exists: add --overwrite to replace it')
    if output.is_dir() and any(output.iterdir()) and not any((output / name).exists() for name in MADE_BY_US):
        raise ValueError(f'--output {output} is a folder that no export has made: name another one, or delete it')


# A file may come with a second one that holds its weights (OpenVINO: model.xml and model.bin).

def companions(path: Path) -> list[Path]:
    """The files that belong to an output."""
    return [path, path.with_suffix('.bin')] if path.suffix == '.xml' else [path]


def size_on_disk(path: Path) -> int:
    """[bytes], companions and folders included."""
    files = [file for part in companions(path) for file in (part.rglob('*') if part.is_dir() else [part])]
    return sum(file.stat().st_size for file in files if file.is_file())
