"""Speed of the browser demo in headless Chromium, on the demo clip at a chosen size.

    python -m documentation.figures.measure_web_demo [--width 1280 --height 720] [--engine wasm] [--threads N]
                                                          [--frames 20]

Needs what documentation.figures.draw_web_demo needs.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import av
import cv2

from demo.sample_clip import sample_frames

from .draw_web_demo import opened_page, until

WARM_UP = 3


def write_clip(path: Path, size: tuple[int, int]) -> None:
    """Ten frames that the page plays in a loop."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10, options={'crf': '16'})
        (stream.width, stream.height), stream.pix_fmt = size, 'yuv420p'
        for frame in sample_frames(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cv2.resize(frame, size), 'rgb24')))
        container.mux(stream.encode(None))


def main() -> int:
    """Print the speed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--width', type=int, default=1280)
    parser.add_argument('--height', type=int, default=720)
    parser.add_argument('--engine', choices=['wasm', 'webgpu', 'auto'], default='wasm')
    parser.add_argument('--threads', type=int, help='of WASM (default: as many as there are cores, at most 8)')
    parser.add_argument('--frames', type=int, default=20)
    args = parser.parse_args()
    if args.frames < 2 or min(args.width, args.height) < 64 or args.width % 2 or args.height % 2:
        print('error: --frames must be at least 2, --width and --height even and at least 64', file=sys.stderr)
        return 2
    query = f'?engine={args.engine}&log={args.frames + WARM_UP}' + (f'&threads={args.threads}' if args.threads else '')
    with tempfile.TemporaryDirectory() as folder, opened_page(query) as page:
        write_clip(Path(folder) / 'clip.mp4', (args.width, args.height))
        page.select_option('#limit', '8192')
        page.evaluate("document.getElementById('memory').open = false")
        page.set_input_files('#open', Path(folder) / 'clip.mp4')
        until(page, f'window.frameLog.length >= {args.frames + WARM_UP}', 600)
        frames = page.evaluate('window.frameLog.map(({ milliseconds, shown }) => ({ ...milliseconds, shown }))')
        engine, sizes = page.inner_text('#engine'), page.inner_text('#sizes')
    frames = frames[WARM_UP:]
    parts = {name: statistics.median(frame[name] for frame in frames) for name in ('prepare', 'network', 'compose')}
    rate = 1000 * (len(frames) - 1) / (frames[-1]['shown'] - frames[0]['shown'])
    print(f'{engine}, {sizes}: ' + ', '.join(f'{name} {value:.0f} ms' for name, value in parts.items())
          + f' (medians); {rate:.1f} frames per second, over {len(frames)} frames')
    return 0


if __name__ == '__main__':
    sys.exit(main())
