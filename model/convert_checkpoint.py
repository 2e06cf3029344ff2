"""One checkpoint file into another: the format by the suffix, half precision, averages, merged branches.

python -m model.convert_checkpoint runs/default/checkpoint/epoch-0.pth small.safetensors --half
"""

import argparse
import sys
from pathlib import Path

import torch

from cli.command import command

from .reparameterize import reparameterize_model
from .weights import load_network, save_network


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(prog='convert_checkpoint', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='a .pth or .safetensors file, or a known name')
    parser.add_argument('target', type=Path, help='a new .pth or .safetensors file')
    parser.add_argument('--half', action='store_true', help='float16: half the size; it is read back as float32')
    parser.add_argument('--average', metavar='FILE', nargs='+',
                        help='the mean of the weights in source and in these files: of a network and of those that '
                             'were trained on from it')
    parser.add_argument('--merge', action='store_true', help='merge the branches of MobileOne and UniRepLKNet')
    parser.add_argument('--inference-size', type=int, metavar='N',
                        help='long side in pixels of the small frames that the weights are for: what the automatic '
                             'ratio aims at (.safetensors; default: as the source says)')
    parser.add_argument('--note', default='', help='one line that loading prints (.safetensors)')
    args = parser.parse_args(argv)
    if args.target.exists():
        raise ValueError(f'{args.target} exists: name a new file')
    network = load_network(args.source)
    if args.inference_size is not None:
        if args.target.suffix != '.safetensors' or not 32 <= args.inference_size <= 8192:
            raise ValueError(f'--inference-size must be 32 to 8192 and the target a .safetensors file, got '
                             f'{args.inference_size} and {args.target.name}')
        network.inference_size = args.inference_size
    if args.average:
        states = [network.state_dict(), *(load_network(path).state_dict() for path in args.average)]
        network.load_state_dict(average(states))
    if args.merge:
        network = reparameterize_model(network)
    if args.half:
        check_half(network)
        network = network.half()
    save_network(network, args.target, args.note, overwrite=False)
    print(f'{args.target}: {network.describe()}, {args.target.stat().st_size / 1e6:.2f} MB')
    return 0


def average(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Mean of states of one network; counters are the first one's (Wortsman et al. 2022, Model Soups).

    Raises:
        ValueError: they are not of one network.
    """
    first = states[0]
    wrong = {name for other in states[1:] for name in first.keys() | other.keys()
             if name not in first or name not in other or first[name].shape != other[name].shape}
    if wrong:
        raise ValueError(f'--average: the files hold different networks, {len(wrong)} tensors differ ({min(wrong)})')
    return {name: sum(state[name] for state in states) / len(states) if value.is_floating_point() else value
            for name, value in first.items()}


def check_half(network: torch.nn.Module) -> None:
    """ValueError for a value that float16 cannot hold."""
    largest = torch.finfo(torch.float16).max
    wrong = [name for name, value in network.state_dict().items()
             if value.is_floating_point() and not (value.abs() <= largest).all()]
    if wrong:
        raise ValueError(f'--half: {len(wrong)} tensors hold values beyond {largest:.0f} ({wrong[0]})')


if __name__ == '__main__':
    sys.exit(main())
