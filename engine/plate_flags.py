"""Flags of the published commands for networks with a background plate, one group for all of them, and what they mean.

Where the published scripts contradict themselves there is one meaning: the threshold is 0.1 everywhere (0.7 in their
scripts, 0.1 in their class), and checkpoints are loaded with every key accounted for.
"""

import argparse

from torch import nn

from model.background import BACKBONES
from model.background.network import REFINE_MODES
from model.weights import load_network

from .base import Engine
from .device import choose_device, choose_precision
from .opening import open_engine

TYPES = {'mattingbase': 'background_base', 'mattingrefine': 'background'}
OUTPUTS = {'com': 'composition', 'pha': 'alpha', 'fgr': 'foreground', 'err': 'err', 'ref': 'ref'}


def add_plate_model_flags(parser: argparse.ArgumentParser, title: str = 'model', device: bool = True) -> None:
    """One group; without `device` where the command has that flag already."""
    model = parser.add_argument_group(title)
    model.add_argument('--model-type', choices=list(TYPES), help='only to check the checkpoint')
    model.add_argument('--model-backbone', choices=list(BACKBONES), help='only to check the checkpoint')
    model.add_argument('--model-checkpoint', '--model-path', dest='checkpoint', default='background_default',
                       metavar='PATH', help='default: %(default)s')
    model.add_argument('--model-backbone-scale', type=float, metavar='S', help='default: by the size of the frames')
    model.add_argument('--model-refine-mode', choices=REFINE_MODES, default='sampling')
    model.add_argument('--model-refine-sample-pixels', type=int, default=80_000, metavar='N')
    model.add_argument('--model-refine-threshold', '--model-refine-thresholding', type=float, default=0.1, metavar='E')
    model.add_argument('--model-refine-kernel-size', type=int, choices=(1, 3), help='only to check the checkpoint')
    if device:
        model.add_argument('--device', default='auto', help='auto, cpu, cuda ... (default: %(default)s)')


def changes_plate_model(args: argparse.Namespace) -> bool:
    """Whether any of the flags but that of the checkpoint was given."""
    parser = argparse.ArgumentParser()
    add_plate_model_flags(parser)
    defaults = vars(parser.parse_args([]))
    return any(getattr(args, name) != value for name, value in defaults.items() if name.startswith('model_'))


def load_plate_model(args: argparse.Namespace) -> nn.Module:
    """The network that the flags name, with their settings.

    Raises:
        ValueError: the checkpoint is of another type, backbone or kernel; or a setting is out of range.
    """
    network = load_network(args.checkpoint)
    facts = network.facts()
    if facts['family'] not in TYPES.values():
        raise ValueError(f'--model-checkpoint {args.checkpoint} is a {facts["family"]} network without a background '
                         'plate: use inference.py')
    for flag, given, found in (
            ('type', args.model_type and TYPES[args.model_type], facts['family']),
            ('backbone', args.model_backbone, facts['variant']),
            ('refine-kernel-size', args.model_refine_kernel_size, int(facts.get('refine_kernel_size', 3)))):
        if given is not None and given != found:
            raise ValueError(f'--model-checkpoint {args.checkpoint} has {flag} {found}, --model-{flag} says {given}: '
                             'leave the flag out')
    if args.model_backbone_scale is not None and not 0 < args.model_backbone_scale <= 1:
        raise ValueError(f'--model-backbone-scale must be in (0, 1], got {args.model_backbone_scale}')
    if args.model_refine_sample_pixels < 0 or not args.model_refine_threshold >= 0:
        raise ValueError('--model-refine-sample-pixels and --model-refine-threshold must be at least 0')
    if hasattr(network, 'settings'):
        network.refine_mode, network.refine_sample_pixels = args.model_refine_mode, args.model_refine_sample_pixels
        network.refine_threshold = args.model_refine_threshold
        network.backbone_scale = args.model_backbone_scale or network.backbone_scale
    print(f'{args.checkpoint}: {network.describe()}')
    return network


def open_plate_model(args: argparse.Namespace) -> Engine:
    """The same, ready to run."""
    device = choose_device(args.device)
    return open_engine(load_plate_model(args), device, choose_precision('auto', device))
