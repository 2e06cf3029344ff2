"""Frames per second, latency, peak memory and energy: of the network alone, or of the whole conversion of a video.

    python inference_speed_test.py                                        mobilenetv3 at 1920x1080
    python inference_speed_test.py --all --resolution 3840 2160           every encoder, one table
    python inference_speed_test.py --end-to-end --baseline                the converter beside the plain way
    python inference_speed_test.py --compare-engines --resolution 1280 720    PyTorch, onnxruntime, OpenVINO
    python inference_speed_test.py --variant background_mobilenetv2           with a background plate

Without --checkpoint the weights are random, which changes nothing about the speed at one ratio; add --end-to-end to
--compare-engines for whole conversions.
"""

import cli  # noqa: F401  # isort: skip

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from benchmark.end_to_end import time_end_to_end
from benchmark.engines import convert_in_turns, time_in_turns
from benchmark.machine import describe_machine
from benchmark.network import count_multiply_adds, matter_step, network_step, time_step
from cli.command import EXPECTED_ERRORS, one_line, run_command
from cli.json_file import check_json, write_json
from engine.device import choose_device, choose_precision, cpu_has_bfloat16
from engine.flags import add_checkpoint_flags, add_device_flags, parse_ratio
from engine.matter import Matter
from engine.sizes import auto_ratio
from export.formats import Format
from export.options import ExportOptions
from model import VARIANTS, reparameterize_model
from model.background.network import REFINE_MODES
from model.families import build_network as untrained
from model.weights import load_network
from video.inputs import open_reader

RESOLUTION = 1920, 1080
FILES = (('torchscript', 'dynamic', 'fp32'), ('onnx', 'dynamic', 'fp32'), ('onnx', 'static', 'fp32'),
         ('onnx', 'static', 'int8'), ('openvino', 'dynamic', 'fp32'), ('openvino', 'static', 'fp32'))


def build_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(prog='inference_speed_test.py', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    network = parser.add_argument_group('network')
    add_checkpoint_flags(network, default=None)
    add_device_flags(network, 'torch')        # others time Matter.step, from an integer frame to full-size results
    network.add_argument('--all', action='store_true', help='every variant, each in a process of its own')
    network.add_argument('--disable-refiner', action='store_true', help='stop at the small size')
    network.add_argument('--refine-mode', choices=REFINE_MODES, help='of networks with a background plate')
    network.add_argument('--refine-sample-pixels', type=int, metavar='N', help='likewise; default: 80000')
    network.add_argument('--script', action='store_true', help='as frozen TorchScript')
    network.add_argument('--compare-engines', action='store_true',
                         help='PyTorch, TorchScript, onnxruntime and OpenVINO taking turns on the CPU')
    frame = parser.add_argument_group('frames')
    frame.add_argument('--resolution', type=int, nargs=2, metavar=('W', 'H'),
                       help=f'default: that of --sequence, or {RESOLUTION[0]} {RESOLUTION[1]}')
    frame.add_argument('--downsample-ratio', default='auto', metavar='R', help='auto, or a number in (0, 1]')
    frame.add_argument('--sequence', metavar='FRAME', help='an image, or a video or folder whose first frame is used; '
                                                           'default: noise')
    frame.add_argument('--iterations', type=int, default=100, metavar='N',
                       help='timed frames; the length of the clip with --end-to-end (default: %(default)s)')
    frame.add_argument('--warm-up', type=int, default=10, metavar='N', help='frames before (default: %(default)s)')
    whole = parser.add_argument_group('whole conversion')
    whole.add_argument('--end-to-end', action='store_true',
                       help='convert a generated clip to a composition in H.264 at 4 Mbit/s')
    whole.add_argument('--baseline', action='store_true',
                       help='also convert it plainly: float32, one frame after the other, no concurrency')
    whole.add_argument('--repeats', type=int, default=1, metavar='N', help='runs, of which the median counts')
    whole.add_argument('--seq-chunk', type=int, default=1, metavar='N', help='frames per call of the network')
    parser.add_argument('--output-json', type=Path, metavar='FILE', help='write everything as JSON')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0 done, 1 a variant of --all failed, 2 bad input, 130 interrupted."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args))


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be, before slow work."""
    for flag, least in (('iterations', 1), ('warm_up', 0), ('repeats', 1), ('seq_chunk', 1)):
        if getattr(args, flag) < least:
            raise ValueError(f'--{flag.replace("_", "-")} must be at least {least}, got {getattr(args, flag)}')
    if args.resolution and min(args.resolution) < 1:
        raise ValueError(f'--resolution must be two positive numbers, got {args.resolution}')
    if args.all and (args.checkpoint or args.variant):
        raise ValueError('--all measures every variant with random weights: leave out --checkpoint and --variant')
    if args.baseline and not args.end_to_end:
        raise ValueError('--baseline compares conversions: add --end-to-end')
    if args.end_to_end:
        _refuse(args, '--end-to-end', 'sequence', 'disable_refiner', 'script')
    if args.engine != 'torch':
        _refuse(args, f'--engine {args.engine}', 'disable_refiner', 'script')
    if args.compare_engines:
        _refuse(args, '--compare-engines', 'all', 'disable_refiner', 'script', 'baseline')
        if args.engine != 'torch' or args.precision != 'auto' or args.device not in ('auto', 'cpu'):
            raise ValueError('--compare-engines chooses engines and precisions itself, on the CPU: leave out --engine, '
                             '--precision and --device')
    if args.output_json and not args.output_json.resolve().parent.is_dir():
        raise FileNotFoundError(f'--output-json {args.output_json}: the folder does not exist')


def _refuse(args: argparse.Namespace, reason: str, *flags: str) -> None:
    given = [f'--{flag.replace("_", "-")}' for flag in flags if getattr(args, flag)]
    if given:
        raise ValueError(f'{given[0]} cannot be combined with {reason}: leave one of them out')


def run(args: argparse.Namespace) -> int:
    """Measure what is asked for; exit status."""
    check(args)
    parse_ratio(args.downsample_ratio)
    if args.compare_engines:
        args.device, args.precision = 'cpu', 'fp32'
    device = choose_device(args.device)
    choose_precision(args.precision, device)
    check_json('--output-json', args.output_json, False, ('machine', 'settings', 'results'))
    machine = describe_machine(device)
    print(f'{machine["name"]}, {machine["cores"]} cores, {machine["threads"]} threads, torch {machine["torch"]}')
    results, failed = [], 0
    for variant in list(VARIANTS) if args.all else [args.variant]:
        try:
            results += compare_engines(args) if args.compare_engines else [
                _in_own_process(args, variant) if args.all else measure(args, variant)]
        except EXPECTED_ERRORS as error:
            if not args.all:
                raise
            failed += 1
            print(f'error: {variant}: {one_line(error)}', file=sys.stderr)
    if results:
        report(results)
    if args.output_json:
        settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
        write_json(args.output_json, {'machine': machine, 'settings': settings, 'results': results})
    return int(failed > 0)


def _in_own_process(args: argparse.Namespace, variant: str) -> dict:
    """Peak memory of a process never falls, so every variant gets its own."""
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        return pool.submit(measure, args, variant).result()


def build_network(args: argparse.Namespace, variant: str | None) -> nn.Module:
    """The network in eval mode, with parallel branches merged where the variant has them."""
    if args.checkpoint:
        network = load_network(args.checkpoint, variant, args.refiner)
    else:
        network = untrained(variant, **({'refiner': args.refiner} if args.refiner else {})).eval()
        if 'bgr' in network.interface.inputs:      # random weights may predict no error: always as many patches
            network.refine_prevent_oversampling = False
    for name, value in (('refine_mode', args.refine_mode), ('refine_sample_pixels', args.refine_sample_pixels)):
        if value is not None:
            if 'bgr' not in network.interface.inputs:
                raise ValueError(f'--{name.replace("_", "-")} is for networks with a background plate, this is '
                                 f'{network.variant}: leave it out')
            setattr(network, name, value)
    return reparameterize_model(network)


def choose_ratio(args: argparse.Namespace, network: nn.Module, width: int, height: int) -> float:
    """As `Matter` does; a network that takes none sees frames as they are."""
    if not network.interface.takes_ratio:
        return 1.0
    return parse_ratio(args.downsample_ratio) or auto_ratio(width, height, network.inference_size)


def first_frame(args: argparse.Namespace) -> np.ndarray:
    """(H, W, 3) uint8 or uint16: the frame of --sequence, or noise."""
    if args.sequence is None:
        width, height = args.resolution or RESOLUTION
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    pixels = next(iter(open_reader(args.sequence))).pixels
    return cv2.resize(pixels, tuple(args.resolution), interpolation=cv2.INTER_AREA) if args.resolution else pixels


def measure(args: argparse.Namespace, variant: str | None) -> dict:
    """Everything about one network, as plain values."""
    device = choose_device(args.device)
    dtype = choose_precision(args.precision, device)
    pixels = first_frame(args)
    height, width = pixels.shape[:2]
    network = build_network(args, variant)
    ratio = choose_ratio(args, network, width, height)
    if min(width, height) * ratio < 1:
        raise ValueError(f'--downsample-ratio {ratio:g} leaves no pixel of a {width}x{height} frame: use a larger one')
    inner = int(width * ratio), int(height * ratio)
    result = {
        'variant': network.variant, 'refiner': None if args.disable_refiner else getattr(network, 'refiner_name', None),
        'parameters': sum(parameter.numel() for parameter in network.parameters()),
        'multiply_adds': count_multiply_adds(network, width, height, ratio),
        'resolution': [width, height], 'downsample_ratio': ratio, 'internal_size': list(inner),
        'device': str(device), 'precision': str(dtype).removeprefix('torch.'), 'engine': args.engine,
    }
    if args.end_to_end:
        with tempfile.TemporaryDirectory(prefix='inference_speed_test_') as folder:
            return result | asdict(time_end_to_end(network, Path(folder), (width, height), ratio, device, dtype,
                                                   args.engine, args.iterations, args.repeats, args.seq_chunk,
                                                   args.baseline))
    torch.backends.cudnn.benchmark = True     # all frames have one size: cuDNN may choose, as in RVM's speed test
    if args.engine == 'torch':
        measured, step = network_step(network, pixels, ratio, device, dtype, not args.disable_refiner, args.script)
    else:
        measured, step = matter_step(network, pixels, ratio, device, dtype, args.engine)
    return result | asdict(time_step(measured, step, device, args.iterations, args.warm_up))


def compare_engines(args: argparse.Namespace) -> list[dict]:
    """Everything that runs the network on a CPU, one after the other, in turns."""
    pixels = first_frame(args)
    height, width = pixels.shape[:2]
    network = build_network(args, args.variant)
    ratio = choose_ratio(args, network, width, height)
    with tempfile.TemporaryDirectory(prefix='inference_speed_test_') as folder:
        engines = _engines(network, Path(folder), pixels, ratio)
        if args.end_to_end:
            results = convert_in_turns(engines, Path(folder), (width, height), args.iterations, args.repeats)
        else:
            results = time_in_turns(engines, pixels, args.iterations, args.warm_up, args.repeats)
    common = {'refiner': getattr(network, 'refiner_name', None), 'resolution': [width, height],
              'downsample_ratio': ratio, 'internal_size': [int(width * ratio), int(height * ratio)], 'device': 'cpu',
              'precision': 'fp32 unless said', 'engine': f'{network.variant}, {args.repeats} turns of every engine'}
    return [common | result for result in results]


def _engines(network: nn.Module, folder: Path, pixels: np.ndarray, ratio: float):
    """Name and Matter of every engine; files are written to the folder."""
    size = pixels.shape[1], pixels.shape[0]
    yield 'torch', Matter(network, ratio)
    if cpu_has_bfloat16():
        yield 'torch bf16', Matter(network, ratio, dtype=torch.bfloat16)
    for name, shapes, precision in FILES:
        chosen = Format.load(name)
        path = folder / f'{name}_{shapes}_{precision}{chosen.module.SUFFIXES[0]}'
        options = ExportOptions(size, ratio, precision, shapes, [pixels] * 2)
        chosen.module.write(reparameterize_model(network), path, options)
        yield f'{name} {shapes} {precision}', Matter(chosen.module.open(path), ratio)
    yield '--engine openvino', Matter(network, ratio, engine='openvino')
    if cpu_has_bfloat16():
        yield '--engine openvino bf16', Matter(network, ratio, dtype=torch.bfloat16, engine='openvino')


COLUMNS = {      # key of a result -> title and format
    'variant': ('variant', '{}'), 'parameters': ('parameters', '{:,}'), 'multiply_adds': ('multiply-adds', '{:,}'),
    'fps': ('fps', '{:.2f}'), 'latency_median_ms': ('median ms', '{:.1f}'), 'latency_p95_ms': ('p95 ms', '{:.1f}'),
    'baseline_fps': ('baseline fps', '{:.2f}'), 'speed_up': ('speed-up', '{:.2f}x'),
    'start_up_seconds': ('start-up s', '{:.1f}'), 'peak_memory_mb': ('peak MB', '{:.0f}'),
    'energy_per_frame_j': ('J per frame', '{:.2f}'),
}


def report(results: list[dict]) -> None:
    """Print what was measured."""
    first = results[0]
    size, inner = 'x'.join(map(str, first['resolution'])), 'x'.join(map(str, first['internal_size']))
    measured = first.get('measured') or f'end to end, {first["frames"]} frames, median of {len(first["fps_of_runs"])}'
    print(f'{size}, inside the network {inner} (ratio {first["downsample_ratio"]:.3g}), {first["device"]}, '
          f'{first["precision"]}, {first["engine"]}; {measured}')
    columns = {key: column for key, column in COLUMNS.items() if any(result.get(key) is not None for result in results)}
    rows = [[title for title, _ in columns.values()]]
    rows += [[form.format(result[key]) if result.get(key) is not None else '-' for key, (_, form) in columns.items()]
             for result in results]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print('  '.join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    for result in results:
        if 'stage_seconds' in result:
            stages = ', '.join(f'{name} {seconds:.1f}' for name, seconds in result['stage_seconds'].items())
            print(f'{result["variant"]}: busy seconds of each stage: {stages} (they overlap)')
    on_gpu = first['device'].startswith('cuda')
    print(f'peak memory: {"held by PyTorch on the GPU" if on_gpu else "resident memory of the whole process"}; '
          f'multiply-adds: convolutions and matrix products at the size inside the network')
    available = first['energy_per_frame_j'] is not None
    print(f'energy: {"" if available else "not available, "}{first["energy_source"]}')


if __name__ == '__main__':
    sys.exit(main())
