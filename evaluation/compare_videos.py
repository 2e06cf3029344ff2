"""Side-by-side video of several networks on one clip: source, alpha, composition, difference; a row per network.

python -m evaluation.compare_videos --checkpoint A --checkpoint B --input-source clip.mp4 --output compare.mp4

The difference is to the true alpha where --true-dir gives one, else to the first network, in false colours.
"""

import argparse
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from cli.command import command
from files import check_apart
from video.inputs import open_reader
from video.writer import VideoFileWriter

from .networks import Network, add_network_flags, as_uint8, names_of, open_networks
from .plots import label
from .tree import list_frames, read_alpha


def draw_row(name: str, image: np.ndarray, fgr: np.ndarray, pha: np.ndarray, reference: np.ndarray,
             reference_name: str, background: tuple[int, int, int], height: int) -> np.ndarray:
    """Four labelled pictures beside each other, (height, W, 3) uint8 RGB."""
    opacity = pha[..., None].astype(np.float32) / 255
    com = np.rint(fgr * opacity + np.array(background, np.float32) * (1 - opacity)).astype(np.uint8)
    difference = cv2.applyColorMap(cv2.absdiff(pha, reference), cv2.COLORMAP_INFERNO)
    pictures = [image, cv2.cvtColor(pha, cv2.COLOR_GRAY2RGB), com, cv2.cvtColor(difference, cv2.COLOR_BGR2RGB)]
    texts = ['source', f'{name}: alpha', f'{name}: composition', f'difference to {reference_name}']
    width = round(height * image.shape[1] / image.shape[0] / 2) * 2                             # even, for the codec
    return np.hstack([label(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), text)
                      for picture, text in zip(pictures, texts)])


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(prog='compare_videos', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_network_flags(parser)
    parser.add_argument('--input-source', type=Path, required=True, help='video file or folder of pictures')
    parser.add_argument('--true-dir', type=Path, help='folder of true alphas, frame names as in the source')
    parser.add_argument('--output', type=Path, required=True, help='.mp4')
    parser.add_argument('--background', type=int, nargs=3, default=(120, 255, 155), metavar=('R', 'G', 'B'))
    parser.add_argument('--height', type=int, default=270, help='of one row, even')
    parser.add_argument('--frame-rate', type=float, default=30, help='of a folder of pictures')
    parser.add_argument('--limit', type=int, default=None, help='only so many frames')
    args = parser.parse_args(argv)
    compare(args)
    return 0


def compare(args: argparse.Namespace) -> None:
    """The command, checked and run; the file appears under its name only when it is complete."""
    names_of(args)
    if args.height < 16 or args.height % 2:
        raise ValueError(f'--height must be even and at least 16, got {args.height}')
    if args.output.suffix != '.mp4':
        raise ValueError(f'--output must end in .mp4, got {args.output.name!r}')
    source = open_reader(args.input_source, args.frame_rate)
    check_apart({'--output': args.output}, {'--input-source': args.input_source, '--true-dir': args.true_dir,
                                            '--checkpoint': args.checkpoint})
    truth = list_frames(args.true_dir) if args.true_dir else None
    networks = open_networks(args)
    length = min(filter(None, (source.info.frame_count, args.limit)), default=None)
    writer = None
    try:
        for frame in tqdm(islice(source, args.limit), total=length, desc='compare', unit='frame'):
            name = Path(frame.name).stem or f'{frame.index:04d}'
            canvas = draw_frame(name, as_uint8(frame.pixels), networks, truth, args)
            if writer is None:
                info = replace(source.info, width=canvas.shape[1], height=canvas.shape[0], bit_depth=8)
                writer = VideoFileWriter(args.output, info, audio_from=args.input_source if info.is_video else None)
            writer.write_frame(canvas, frame.pts, frame.duration)
        if writer is None:
            raise ValueError(f'{args.input_source} holds no frames')
        writer.close()
    except BaseException:
        if writer is not None:
            writer.abort()
        raise


def draw_frame(name: str, image: np.ndarray, networks: list[Network], truth: dict[str, Path] | None,
               args: argparse.Namespace) -> np.ndarray:
    """One row per network, (rows * height, W, 3)."""
    mattes = [network.matte(image) for network in networks]
    reference, reference_name = mattes[0][1], networks[0].name
    if truth is not None:
        if name not in truth:
            raise FileNotFoundError(f'{args.true_dir} has no alpha for frame {name}')
        reference, reference_name = read_alpha(truth[name]), 'truth'
        if reference.shape != image.shape[:2]:
            raise ValueError(f'true alpha {name} is {reference.shape[1]}x{reference.shape[0]}, '
                             f'the source {image.shape[1]}x{image.shape[0]}')
    return np.vstack([draw_row(network.name, image, *matte, reference, reference_name, args.background, args.height)
                      for network, matte in zip(networks, mattes)])


if __name__ == '__main__':
    sys.exit(main())
