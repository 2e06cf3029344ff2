"""Print the table of encoders in model.md, measured in one run on one CPU thread.

    python -m documentation.figures.measure_encoders

Merged where that applies. The encoders take turns, and of every encoder's processor times the smallest counts, so that
other programs on the machine disturb ratios little.
"""

import time
from argparse import ArgumentParser

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model import VARIANTS, MattingNetwork, reparameterize_model

REFERENCE = 'mobilenetv3'


def processor_ms(encoder: nn.Module, x: Tensor) -> float:
    """Processor time of one call."""
    start = time.process_time()
    encoder(x)
    return 1000 * (time.process_time() - start)


def multiply_adds(encoder: nn.Module, x: Tensor) -> int:
    """Of convolutions and matrix products. The scan's own are not among them: about 1 % of VSSM's."""
    with FlopCounterMode(display=False) as counter:
        encoder(x)
    return counter.get_total_flops() // 2


def millions(model: nn.Module) -> float:
    """Of parameters."""
    return sum(p.numel() for p in model.parameters()) / 1e6


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', nargs=2, type=int, default=(288, 512), metavar=('H', 'W'))
    parser.add_argument('--rounds', type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.rand(1, 3, *arguments.size)
    trained = {variant: MattingNetwork(variant) for variant in VARIANTS}
    merged = {variant: reparameterize_model(network) for variant, network in trained.items()}
    times: dict[str, list[float]] = {variant: [] for variant in merged}
    for round_number in range(arguments.rounds + 1):
        for variant, network in merged.items():
            ms = processor_ms(network.backbone, x)
            if round_number > 0:  # the first round warms up
                times[variant].append(ms)
    H, W = arguments.size
    print(f'| variant | parameters, network trained / merged (M) | encoder merged (M) | encoder multiply-adds (G) '
          f'| encoder {H}x{W} (ms) | against {REFERENCE} |\n| --- | --- | --- | --- | --- | --- |')
    for variant, network in merged.items():
        ms = min(times[variant])
        print(f'| `{variant}` | {millions(trained[variant]):.2f} / {millions(network):.2f} '
              f'| {millions(network.backbone):.2f} | {multiply_adds(network.backbone, x) / 1e9:.2f} | {ms:.0f} '
              f'| {ms / min(times[REFERENCE]):.2f} |')


if __name__ == '__main__':
    main()
