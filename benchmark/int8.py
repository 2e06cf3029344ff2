"""What int8 would save of the network's time on this CPU, and what it does to alpha: why it is not offered, or is.

    pip install -r requirements/int8.txt
    python -m benchmark.int8 --clips again.mkv night.mkv

OpenVINO runs `coefficients` of a network frame after frame, in float32 and with the convolutions of some parts
quantised by NNCF, calibrated on frames of the same clip with the states that they have there. Allowed are `MEAN` and
`SHARE`.
"""

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cli.command import command
from engine.frames import downsample
from engine.runtimes.openvino import openvino_core, require_openvino, traced
from engine.runtimes.pytorch import prepare_network
from model.interface import MATTING
from model.weights import load_network
from video.reader import VideoReader

INSTALL = 'benchmark.int8 needs the nncf package: pip install -r requirements/int8.txt'
MEAN, SHARE, FAR = 0.12, 0.004, 10      # [of 255] mean error of alpha; share of pixels that are off by more than FAR
CONVOLUTIONS = ('Convolution', 'GroupConvolution')
WARM_UP, CALIBRATED_EVERY = 3, 4
PARTS = {'everything': lambda name: True,
         'decoder': lambda name: '.decoder.' in name,
         'decoder without states and last step': lambda name: '.decoder.' in name and '.gru' not in name
                                                              and '.decode0' not in name}


class Frames:
    """The first frames of a clip, as the network sees them, (1, 3, h, w) float32."""

    def __init__(self, path: Path, count: int, side: int):
        self.small = []
        for frame in islice(VideoReader(path), count):
            ratio = min(1, side / max(frame.pixels.shape[:2]))
            self.small.append(downsample(frame.pixels, ratio)[None])

    def calibration(self, network) -> list[dict[int, np.ndarray]]:
        """Every fourth frame with the states before it."""
        rec, chosen = first_states(network, self.small[0]), []
        for number, src in enumerate(self.small):
            if number % CALIBRATED_EVERY == 0:
                chosen.append({index: tensor.numpy() for index, tensor in enumerate((src, *rec))})
            _, *rec = network.coefficients(src, *rec)
        return chosen


def first_states(network, src: Tensor) -> list[Tensor]:
    """Zeros."""
    return [torch.zeros_like(state) for state in network.coefficients(src, *MATTING.first_states())[1:]]


def run(model, frames: Frames, rec: list[Tensor]) -> tuple[float, list[np.ndarray]]:
    """Median CPU milliseconds of a frame on one thread, and alpha (h, w) of each in 0 to 255."""
    settings = {'INFERENCE_PRECISION_HINT': 'f32', 'NUM_STREAMS': 1, 'INFERENCE_NUM_THREADS': 1}
    request = openvino_core().compile_model(model, 'CPU', settings).create_infer_request()
    states, times, alphas = [state.numpy() for state in rec], [], []
    for src in frames.small:
        start = time.process_time()
        result = request.infer([src.numpy(), *states])
        times.append(1e3 * (time.process_time() - start))
        coefficients, *states = (np.array(result[index]) for index in range(1 + len(rec)))
        alphas.append((coefficients[0, 3] * src[0].mean(0).numpy() + coefficients[0, 7]).clip(0, 1) * 255)
    return float(np.median(times[WARM_UP:])), alphas


def measure(network, path: Path, count: int) -> Iterator[str]:
    """A line of the table for each part."""
    try:
        import nncf
    except ImportError as error:
        raise RuntimeError(INSTALL) from error
    nncf.set_log_level(logging.ERROR)
    openvino = require_openvino()
    frames = Frames(path, count, getattr(network, 'inference_size', 512))
    rec = first_states(network, frames.small[0])
    example = (frames.small[0], *rec)
    model = openvino.convert_model(torch.jit.freeze(torch.jit.trace(traced(network), example, check_trace=False)),
                                   example_input=example)
    model.reshape({port: openvino.PartialShape(list(tensor.shape)) for port, tensor in zip(model.inputs, example)})
    convolutions = [node.get_friendly_name() for node in model.get_ordered_ops()
                    if node.get_type_name() in CONVOLUTIONS]
    calibration = frames.calibration(network)
    plain, exact = run(model, frames, rec)
    for part, chosen in PARTS.items():
        left = [name for name in convolutions if not chosen(name)]
        quantised = nncf.quantize(
            model, nncf.Dataset(calibration), subset_size=len(calibration), preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=left, validate=False))
        fast, found = run(quantised, frames, rec)
        wrong = np.abs(np.stack(found) - np.stack(exact))
        mean, share = float(wrong.mean()), float((wrong > FAR).mean())
        verdict = 'allowed' if mean <= MEAN and share <= SHARE else 'not allowed'
        yield f'| {path.stem} | {part} | {plain / fast:.2f} | {mean:.3f} | {100 * share:.2f} % | {verdict} |'


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(prog='benchmark.int8', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', default='default', metavar='NAME-OR-PATH')
    parser.add_argument('--clips', type=Path, nargs='+', required=True)
    parser.add_argument('--frames', type=int, default=32, help='of each clip (default: %(default)s)')
    args = parser.parse_args(argv)
    network = prepare_network(load_network(args.checkpoint), torch.device('cpu'), torch.float32)
    print(f'| clip | int8 | times as fast | mean error of 255 | off by more than {FAR} | by {MEAN} and {SHARE:.1%} |')
    print('| --- ' * 6 + '|')
    with torch.inference_mode(False), torch.no_grad():
        for path in args.clips:
            for line in measure(network, path, args.frames):
                print(line, flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
