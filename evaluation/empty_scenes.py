"""What networks take for people in pictures without any: how much of each picture their alpha covers.

python -m evaluation.empty_scenes --checkpoint A --checkpoint B --pictures folder --output scenes.csv --sheet worst.jpg

Each picture is a clip of one frame. The rows of the CSV file are in order of the first network's mean alpha, worst
first: what stands at the top is missing from its training.
"""

import argparse
import csv
import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from cli.command import command
from files import IMAGE_SUFFIXES, check_apart, is_image_path, whole_file
from files.documents import text_cell

from .networks import Network, add_network_flags, names_of, open_networks
from .plots import label
from .tree import read_rgb, write_image

SEEN = 0.01     # mean alpha above which a picture counts as one with a false person
SHOWN = 12      # pictures of the sheet


def pictures(folder: Path, every: int) -> list[Path]:
    """Each `every`-th picture in and below a folder, sorted, from the first on."""
    found = sorted(path for path in folder.rglob('*') if is_image_path(path))
    if not found:
        raise FileNotFoundError(f'no pictures in {folder}: expected {", ".join(sorted(IMAGE_SUFFIXES))}')
    return found[::every]


def read_small(path: Path, longest: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB, its longer side at most `longest`."""
    image = read_rgb(path)
    scale = min(1, longest / max(image.shape[:2]))
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image


def alone(network: Network, image: np.ndarray) -> np.ndarray:
    """Alpha (H, W) uint8 of a picture that is no part of a clip."""
    network.matter.reset()
    return network.matte(image)[1]


def draw_sheet(paths: list[Path], networks: list[Network], args: argparse.Namespace) -> np.ndarray:
    """A row for each of the first pictures: it, and the alpha of every network, (H, W, 3) uint8 RGB."""
    rows = []
    for path in paths[:SHOWN]:
        image = read_small(path, args.size)
        row = [label(fit(image, args.width), path.stem)]
        for network in networks:
            pha = fit(alone(network, image), args.width)
            row.append(label(cv2.cvtColor(pha, cv2.COLOR_GRAY2RGB), network.name))
        rows.append(np.hstack(row))
    return np.vstack(rows)


def fit(image: np.ndarray, width: int) -> np.ndarray:
    """Into a tile of 3:2, stretched: rows of one height."""
    return cv2.resize(image, (width, width * 2 // 3), interpolation=cv2.INTER_AREA)


def measure(args: argparse.Namespace) -> None:
    """Look at every picture with every network, write what is asked for and print the means."""
    names = names_of(args)
    if args.every < 1 or args.size < 64 or args.width < 32:
        raise ValueError(f'--every must be at least 1, --size 64 and --width 32, got {args.every}, {args.size}, '
                         f'{args.width}')
    if args.sheet is not None and args.sheet.suffix not in ('.png', '.jpg'):
        raise ValueError(f'--sheet must end in .png or .jpg, got {args.sheet.name!r}')
    paths = pictures(args.pictures, args.every)
    check_apart({'--output': args.output, '--sheet': args.sheet},
                {'--pictures': paths, '--checkpoint': args.checkpoint})
    networks = open_networks(args)
    covers = {}
    for path in tqdm(paths, unit='picture', disable=None):
        image = read_small(path, args.size)
        covers[path] = [float(alone(network, image).mean()) / 255 for network in networks]
    paths.sort(key=lambda path: -covers[path][0])
    if args.output is not None:
        with whole_file(args.output) as partial:
            write_csv(partial, names, [(path, covers[path]) for path in paths])
    if args.sheet is not None:
        sheet = draw_sheet(paths, networks, args)
        with whole_file(args.sheet) as partial:
            write_image(partial, sheet)
    for name, values in zip(names, np.array(list(covers.values())).T):
        print(f'{name}: mean alpha {1000 * values.mean():.2f} x 1e-3, above {SEEN:g} in {(values > SEEN).sum()} of '
              f'{len(values)} pictures')


def write_csv(path: Path, names: list[str], rows: list[tuple[Path, list[float]]]) -> None:
    """A row for each picture, a column for each network."""
    with open(path, 'w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['picture', *map(text_cell, names)])
        writer.writerows([text_cell(picture), *(f'{value:.5f}' for value in values)] for picture, values in rows)


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(prog='empty_scenes', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_network_flags(parser)
    parser.add_argument('--pictures', type=Path, required=True, help='folder; those below it are looked through too')
    parser.add_argument('--every', type=int, default=1, help='take each N-th picture: held-out backgrounds are 5')
    parser.add_argument('--output', type=Path, help='.csv: mean alpha of every picture and network')
    parser.add_argument('--sheet', type=Path, help=f'.png or .jpg: the {SHOWN} worst of the first network')
    parser.add_argument('--longest-side', '--size', dest='size', type=int, default=512,
                        help='longer side that pictures are shrunk to [px]')
    parser.add_argument('--width', type=int, default=240, help='of one tile of the sheet [px]')
    args = parser.parse_args(argv)
    measure(args)
    return 0


if __name__ == '__main__':
    sys.exit(main())
