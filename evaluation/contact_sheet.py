"""Several networks on several clips at a glance, and how far their mattes agree, without any true alpha.

python -m evaluation.contact_sheet --checkpoint A --checkpoint B --input-source a.mp4 b.mp4 --output sheet.png

A row per clip: the source at one moment, then alpha and composition of each network. Every network sees every frame
before that moment (or all, with --iou). --iou prints the agreement of each network with the last one, clip by clip:
the mean over frames of intersection / union of the areas where alpha is above one half; frames in which neither sees
anybody are left out.
"""

import argparse
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from cli.command import command
from files import check_apart, whole_file
from video.inputs import open_reader
from video.reader import VideoReader

from .networks import Network, add_network_flags, as_uint8, names_of, open_networks
from .plots import label
from .tree import write_image


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two mattes (H, W) uint8, alpha above one half; NaN where both are empty."""
    a, b = a > 127, b > 127
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else float('nan')


def tiles(image: np.ndarray, mattes: list[tuple[np.ndarray, np.ndarray]], names: list[str],
          background: tuple[int, int, int], width: int) -> np.ndarray:
    """One row (h, w, 3): the source, then alpha and composition of each network."""
    pictures, texts = [image], ['source']
    for name, (fgr, pha) in zip(names, mattes):
        opacity = pha[..., None].astype(np.float32) / 255
        com = np.rint(fgr * opacity + np.array(background, np.float32) * (1 - opacity)).astype(np.uint8)
        pictures += [cv2.cvtColor(pha, cv2.COLOR_GRAY2RGB), com]
        texts += [f'{name}: alpha', f'{name}: composition']
    size = width, round(width * image.shape[0] / image.shape[1])
    return np.hstack([label(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), text)
                      for picture, text in zip(pictures, texts)])


def clip_row(source: VideoReader, networks: list[Network], args: argparse.Namespace) -> tuple[np.ndarray, list[float]]:
    """The row of a clip, and the mean agreement of each network with the last."""
    length = min(filter(None, (source.info.frame_count, args.limit)), default=None)
    if length is None:
        raise ValueError(f'{source.path} does not say how many frames it has: give --limit')
    shown, agreements, row = min(int(length * args.moment), length - 1), [], None
    stop = length if args.iou else shown + 1
    for network in networks:
        network.matter.reset()
    for number, frame in enumerate(tqdm(islice(source, stop), total=stop, desc=source.path.stem, unit='frame')):
        image = as_uint8(frame.pixels)
        mattes = [network.matte(image) for network in networks]
        if args.iou:
            agreements.append([iou(pha, mattes[-1][1]) for _, pha in mattes])
        if number <= shown:     # also a clip that is shorter than it says has a picture
            row = tiles(image, mattes, [network.name for network in networks], args.background, args.width)
    if row is None:
        raise ValueError(f'{source.path} holds no frames')
    seen = np.array(agreements).reshape(-1, len(networks))
    seen = seen[~np.isnan(seen).any(1)]
    return row, seen.mean(0).tolist() if len(seen) else [float('nan')] * len(networks)


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(prog='contact_sheet', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_network_flags(parser)
    parser.add_argument('--input-source', type=Path, nargs='+', required=True, help='video files, folders of pictures')
    parser.add_argument('--output', type=Path, required=True, help='.png or .jpg')
    parser.add_argument('--moment', type=float, default=0.5, help='which frame is shown, 0 the first, 1 the last')
    parser.add_argument('--background', type=int, nargs=3, default=(120, 255, 155), metavar=('R', 'G', 'B'))
    parser.add_argument('--width', type=int, default=240, help='of one tile [px]')
    parser.add_argument('--frame-rate', type=float, default=30, help='of a folder of pictures')
    parser.add_argument('--limit', type=int, default=None, help='only so many frames of each clip')
    parser.add_argument('--iou', action='store_true', help='look at every frame and print the agreement')
    args = parser.parse_args(argv)
    draw(args)
    return 0


def draw(args: argparse.Namespace) -> None:
    """Look at every clip with every network, write the sheet and print the agreement."""
    names = names_of(args)
    if args.output.suffix not in ('.png', '.jpg'):
        raise ValueError(f'--output must end in .png or .jpg, got {args.output.name!r}')
    if not 0 <= args.moment <= 1 or args.width < 32:
        raise ValueError(f'--moment must be in [0, 1] and --width at least 32, got {args.moment} and {args.width}')
    sources = [open_reader(path, args.frame_rate) for path in args.input_source]
    networks = open_networks(args)
    check_apart({'--output': args.output}, {'--input-source': args.input_source, '--checkpoint': args.checkpoint})
    rows = []
    for source in sources:
        row, agreement = clip_row(source, networks, args)
        rows.append(row)
        if args.iou:
            print(f'{source.path.name}: IoU with {names[-1]}: '
                  + ', '.join(f'{name} {value:.3f}' for name, value in zip(names[:-1], agreement)))
    widest = max(row.shape[1] for row in rows)
    sheet = np.vstack([np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0))) for row in rows])
    with whole_file(args.output) as partial:
        write_image(partial, sheet)


if __name__ == '__main__':
    sys.exit(main())
