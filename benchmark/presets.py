"""x264's presets beside each other: quality for the bits and the CPU time that they take, on a composed clip.

    python inference.py clip.mp4 -o composed.mkv --background '#203040'          FFV1: without loss
    python -m benchmark.presets composed.mkv --mbps 1 2 4
"""

import cli  # noqa: F401  # isort: skip

import argparse
import io
import sys
import time
from collections.abc import Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

from cli.command import run_command

PRESETS = ('ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium')
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2           # of SSIM (Wang et al. 2004)


def encode(frames: Sequence[av.VideoFrame], rate: Fraction, preset: str, bit_rate: int) -> tuple[bytes, float]:
    """H.264 in Matroska, and the CPU seconds of one thread that it took.

    Args:
        frames: yuv420p. bit_rate: [bit/s].
    """
    file = io.BytesIO()
    started = time.process_time()
    with av.open(file, 'w', 'matroska') as target:
        stream = target.add_stream('libx264', rate=rate, options={'preset': preset, 'threads': '1'})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, 'yuv420p'
        stream.bit_rate = bit_rate
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, 1 / rate
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return file.getvalue(), time.process_time() - started


def quality(frames: Sequence[av.VideoFrame], encoded: bytes) -> tuple[float, float]:
    """PSNR [dB] of all pixels together, and the mean SSIM, of luma."""
    errors, similar = [], []
    with av.open(io.BytesIO(encoded)) as source:
        for true, found in zip(frames, source.decode(video=0), strict=True):
            a, b = luma(true), luma(found)
            errors.append(np.square(a - b).mean())
            similar.append(similarity(a, b))
    return 10 * np.log10(255 ** 2 / np.mean(errors)), float(np.mean(similar))


def luma(frame: av.VideoFrame) -> np.ndarray:
    """(H, W) float32, 0 to 255, as the frame has it: a conversion would stretch its range."""
    return frame.to_ndarray()[:frame.height].astype(np.float32)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM with a Gaussian window of 1.5 pixels."""
    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a ** 2, mean(b * b) - mean_b ** 2
    cov = mean(a * b) - mean_a * mean_b
    return float(((2 * mean_a * mean_b + C1) * (2 * cov + C2)
                  / ((mean_a ** 2 + mean_b ** 2 + C1) * (var_a + var_b + C2))).mean())


def build_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(prog='benchmark.presets', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('clip', help='composed, without loss')
    parser.add_argument('--mbps', type=float, nargs='+', default=[4.], metavar='M', help='bit rates [Mbit/s]')
    return parser


def run(args: argparse.Namespace) -> int:
    """Print a table."""
    if min(args.mbps) <= 0:
        raise ValueError(f'--mbps must be larger than 0, got {min(args.mbps)}')
    with av.open(args.clip) as source:
        video = source.streams.video[0]
        rate = video.average_rate or Fraction(30)
        frames = [frame.reformat(format='yuv420p') for frame in source.decode(video)]
    print(f'{args.clip}: {frames[0].width}x{frames[0].height}, {len(frames)} frames')
    print('| asked Mbit/s | preset | Mbit/s | luma PSNR dB | SSIM | CPU ms a frame |')
    print('| --- | --- | --- | --- | --- | --- |')
    for mbps in args.mbps:
        for preset in PRESETS:
            data, seconds = encode(frames, rate, preset, int(mbps * 1_000_000))
            psnr, ssim = quality(frames, data)
            real = len(data) * 8 * float(rate) / len(frames) / 1e6
            print(f'| {mbps:g} | {preset} | {real:.2f} | {psnr:.2f} | {ssim:.4f} | {1e3 * seconds / len(frames):.1f} |',
                  flush=True)
    return 0


def main(argv: list[str] | None = None) -> int:
    """0 done, 2 bad input."""
    args = build_parser().parse_args(argv)
    return run_command(lambda: run(args))


if __name__ == '__main__':
    sys.exit(main())
