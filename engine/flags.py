"""Flags of the network, its speed and its size, the same in every command, and what they mean."""

import argparse

from model import REFINERS
from model.families import all_variants
from model.weights import WEIGHT_NAMES, load_network

from .base import Engine
from .device import PRECISIONS, SPELLINGS, choose_device, choose_precision
from .opening import AUTO_ENGINE, ENGINE_NAMES, open_engine
from .runtimes import RUNTIMES, is_exported
from .sizes import AUTO, CHOICES, MIN_INFERENCE_SIZE, PRESETS


def add_checkpoint_flags(group, *aliases: str, default: str | None = 'default') -> None:
    """Which network: --checkpoint, and what it must be.

    Args:
        group: of a parser, or a parser.
        aliases: further names of --checkpoint.
        default: None where a network without weights will do.
    """
    group.add_argument('--checkpoint', *aliases, dest='checkpoint', default=default, metavar='NAME-OR-PATH',
                       help=f'{", ".join(WEIGHT_NAMES)}, a .pth or .safetensors file, or an exported file '
                            f'({", ".join(RUNTIMES)}; TorchScript runs code: only from people that you trust); '
                            f'default: {default or "random weights"}')
    group.add_argument('--variant', '--model-variant', dest='variant', metavar='NAME',
                       help=('' if default is None else 'only to check that the checkpoint is of this kind: ')
                       + ', '.join(all_variants()))
    group.add_argument('--refiner', metavar='NAME', help=f'{", ".join(REFINERS)}; the fast one, without weights, may '
                                                         'replace a trained one')


def add_device_flags(group, engine: str = AUTO_ENGINE) -> None:
    """Where and how it is computed; `engine` is the default of that flag."""
    group.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1, mps (default: %(default)s)')
    add_precision_flag(group)
    group.add_argument('--engine', default=engine, choices=ENGINE_NAMES, help='openvino: for CPUs; auto: the fastest '
                       'that is installed, measured once on a machine (default: %(default)s)')


def add_precision_flag(group, default: str = 'auto') -> None:
    """Also by the names that published commands have for them."""
    group.add_argument('--precision', default=default, choices=['auto', *PRECISIONS],
                       type=lambda text: SPELLINGS.get(text, text), help='default: %(default)s')


def add_network_flags(parser: argparse.ArgumentParser, *aliases: str, live: bool = False) -> None:
    """Flags of the network and its speed.

    Args:
        aliases: further names of --checkpoint.
        live: leave out the flags that read ahead, which no camera can.
    """
    network = parser.add_argument_group('network')
    add_checkpoint_flags(network, *aliases)
    add_device_flags(network)
    network.add_argument('--reset-on-cut', action='store_true', help='forget the past at scene cuts')
    if not live:
        network.add_argument('--background-plate', metavar='PLATE', help='a picture of the empty scene, a video of it, '
                             'first:1.0 for the first second of the clip itself, or a folder of plates named like the '
                             'clips: everything else is foreground. Without --checkpoint: background_default')
        network.add_argument('--no-plate-alignment', action='store_true', help='the camera stands still: do not follow')
        network.add_argument('--steady', action='store_true', help='with a plate: hold alpha where the picture stands '
                                                                   'still')
        network.add_argument('--seq-chunk', type=int, default=1, metavar='N', help='frames per call of the network')
        network.add_argument('--num-workers', type=int, default=0, metavar='N', help='threads that read image folders')


def add_size_flags(parser: argparse.ArgumentParser, preset: str = AUTO) -> None:
    """Flags of frame size and size inside the network; `preset` is the default of that."""
    size = parser.add_argument_group('size')
    size.add_argument('--input-resize', type=int, nargs=2, metavar=('W', 'H'), help='resize every frame first')
    size.add_argument('--downsample-ratio', default='auto', metavar='R', help='auto, or a number in (0, 1]')
    size.add_argument('--inference-size', '--preset', dest='inference_size', default=preset, metavar='N-OR-NAME',
                      help='long side inside the network in pixels; or auto, which looks at each scene how large its '
                           f'people are; or {", ".join(PRESETS)}: {", ".join(f"{n:g}" for n in PRESETS.values())} '
                           'times what the weights are for (default: %(default)s)')


def matter_settings(args: argparse.Namespace) -> dict:
    """The arguments of `Matter` among them.

    Raises:
        ValueError: naming the flag.
    """
    text = args.inference_size
    if not text.isdecimal() and text not in CHOICES:
        raise ValueError(f'--inference-size must be a number of pixels, or one of {", ".join(CHOICES)}, got {text!r}')
    if text.isdecimal() and int(text) < MIN_INFERENCE_SIZE:
        raise ValueError(f'--inference-size must be at least {MIN_INFERENCE_SIZE} pixels, got {text}')
    return {
        'downsample_ratio': parse_ratio(args.downsample_ratio),
        'inference_size': int(text) if text.isdecimal() else text,
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


def open_from_flags(args: argparse.Namespace) -> Engine:
    """What --checkpoint and the flags beside it name, started once for everything to come; prints a line about it.

    Raises:
        ValueError: a device or precision that is not here, or a flag that an exported file has no use for.
    """
    if getattr(args, 'background_plate', None) is not None and args.checkpoint == 'default':
        args.checkpoint = 'background_default'
    if is_exported(args.checkpoint):
        for flag, unset in (('variant', (None,)), ('refiner', (None,)), ('precision', ('auto',)),
                            ('engine', ('torch', AUTO_ENGINE))):
            if getattr(args, flag) not in unset:
                raise ValueError(f'--{flag} {getattr(args, flag)} cannot be combined with the exported file '
                                 f'{args.checkpoint}, which has its own: leave it out')
        engine = open_engine(args.checkpoint, args.device)
        print(f'{args.checkpoint}: {engine.describe()}')
        return engine
    device = choose_device(args.device)
    dtype = choose_precision(args.precision, device)
    network = load_network(args.checkpoint, args.variant, args.refiner, progress=not args.disable_progress)
    print(f'{args.checkpoint}: {network.describe()}; {device}, {str(dtype).removeprefix("torch.")}')
    return open_engine(network, device, dtype, args.engine)


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
