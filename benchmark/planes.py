"""CPU time of one thread of what surrounds the network: the readable path beside the plane path (`video.planes`).

    python -m benchmark.planes --resolution 1920 1080
"""

import argparse
import time
from collections.abc import Callable

import av
import cv2
import numpy as np
import torch

from engine.frames import downsample
from engine.prediction import LinearPrediction, SmallPrediction
from video.chroma import move_chroma_left
from video.frame import ColorTags, Target
from video.planes.picture import PlanePicture
from video.planes.planes import Planes, lines_of
from video.planes.render import PlaneRenderer
from video.reader import EXACT, to_rgb
from video.render import Renderer

SMALL = 512                # [px] long side inside the network
SHOWN = 0.3                # share of the width that a person takes, from top to bottom
TAGS = ColorTags(1, 1, 1)


def cpu_ms(function: Callable[[], object], repeats: int) -> float:
    """Least CPU milliseconds of the process for a call."""
    function()
    best = float('inf')
    for _ in range(repeats):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return 1000 * best


def decoded_frame(width: int, height: int) -> av.VideoFrame:
    """Smooth colours with grain, as a decoder gives them."""
    rng, frame = np.random.default_rng(0), av.VideoFrame(width, height, 'yuv420p')
    for part, span in zip(frame.planes, (160, 40, 40)):
        coarse = rng.uniform(128 - span / 2, 128 + span / 2, (9, 16)).astype(np.float32)
        smooth = cv2.resize(coarse, (part.width, part.height), interpolation=cv2.INTER_CUBIC)
        lines_of(part)[:, :part.width] = smooth + rng.uniform(0, 4, smooth.shape)
    frame.colorspace, frame.color_range = TAGS.matrix, 1
    return frame


def measure(width: int, height: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Readable and plane path, CPU milliseconds, by step."""
    frame, ratio = decoded_frame(width, height), SMALL / max(width, height)
    pixels, picture = to_rgb(frame), PlanePicture(Planes.of_frame(frame), TAGS, (0.0, 0.5), frame)
    small = torch.from_numpy(picture.downsample(ratio))
    coefficients = torch.zeros(8, *small.shape[1:])
    coefficients[7, :, :int(SHOWN * small.size(2))] = 1
    renderer, target = Renderer([('composition', 8)]), Target('yuv420p', width, height, TAGS, True)
    planes = PlaneRenderer([('composition', target)], (width, height))

    def to_planes(rgb: np.ndarray) -> None:
        move_chroma_left(av.VideoFrame.from_numpy_buffer(rgb, 'rgb24').reformat(
            format='yuv420p', interpolation=EXACT, dst_colorspace=TAGS.matrix))
    rgb = renderer(LinearPrediction(coefficients, pixels, small), pixels)['composition', 8]
    steps = {'YUV to RGB': (lambda: to_rgb(frame), None),
             'small picture': (lambda: downsample(pixels, ratio), lambda: picture.downsample(ratio)),
             'composition': (lambda: renderer(LinearPrediction(coefficients, pixels, small), pixels),
                             lambda: planes(SmallPrediction(coefficients, small), picture)),
             'RGB to YUV': (lambda: to_planes(rgb), None)}
    return {name: tuple(0.0 if step is None else cpu_ms(step, repeats) for step in both)
            for name, both in steps.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--resolution', type=int, nargs=2, default=[1920, 1080], metavar=('W', 'H'))
    parser.add_argument('--repeats', type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with torch.inference_mode():
        times = measure(*args.resolution, args.repeats)
    times['sum'] = tuple(sum(column) for column in zip(*times.values()))
    print(f'CPU milliseconds of one thread, {args.resolution[0]}x{args.resolution[1]}: readable path, plane path')
    for name, (readable, planes) in times.items():
        print(f'| {name} | {readable:.1f} | {planes:.1f} |')


if __name__ == '__main__':
    main()
