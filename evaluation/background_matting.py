"""The protocol of matting with a background plate: errors where the trimap is unknown.

python -m evaluation.background_matting TESTSET RESULTS --csv numbers.csv

TESTSET holds pha/, fgr/ and, if it has them, trimap/ (128: unknown), RESULTS holds pha/ and fgr/, pictures of the same
names in and below them. Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810, section 6. Numbers are
MSE, SAD / 1000, GRAD, CONN and MSE of the colours. GRAD stretches every alpha to 0..1 first, as published, so a nearly
empty prediction is amplified; --plain-gradient does not.
"""

import argparse
import csv
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from cli.command import command
from files import whole_file
from metrics import reference

from .tree import read_alpha, read_rgb

NAMES = ('mse', 'sad', 'grad', 'conn', 'fg_mse')
FORMATS = {'mse': '.6f', 'sad': '.3f', 'grad': '.0f', 'conn': '.0f', 'fg_mse': '.6f'}
UNKNOWN = 128
SURE, POSSIBLE = 0.96, 0.06      # of alpha
STEPS = 10                       # erosions of what is sure, dilations of what is possible


def trimap(pha: np.ndarray) -> np.ndarray:
    """(H, W) uint8 alpha -> 0, 128 (unknown) or 255."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    sure = cv2.erode((pha > SURE * 255).astype(np.uint8), disc, iterations=STEPS)
    possible = cv2.dilate((pha > POSSIBLE * 255).astype(np.uint8), disc, iterations=STEPS)
    return np.where(sure > 0, 255, np.where(possible > 0, UNKNOWN, 0)).astype(np.uint8)


def errors(pred_pha: Tensor, true_pha: Tensor, unknown: Tensor, pred_fgr: Tensor | None = None,
           true_fgr: Tensor | None = None, minmax: bool = True) -> dict[str, float]:
    """Numbers of one picture.

    Args:
        pred_pha, true_pha: (1, H, W) in [0, 1]. unknown: (1, H, W), non-zero where pixels count.
        pred_fgr, true_fgr: (3, H, W), compared where true alpha is above 0 among them; None: not compared.
    Returns:
        The numbers in `NAMES` that can be computed; none where nothing is unknown.
    """
    if not unknown.any():
        return {}
    numbers = {'mse': reference.mse(pred_pha, true_pha, unknown, 1), 'sad': reference.sad(pred_pha, true_pha, unknown),
               'grad': reference.gradient(pred_pha, true_pha, unknown, 1, minmax),
               'conn': reference.connectivity(pred_pha, true_pha, unknown, 1)}
    if pred_fgr is not None and true_fgr is not None:
        seen = true_pha > 0
        numbers['fg_mse'] = reference.mse(pred_fgr * seen, true_fgr * seen, unknown, 1)
    return {name: float(value) for name, value in numbers.items()}


def measure(test_set: Path, results: Path, minmax: bool = True) -> dict[str, dict[str, float]]:
    """Numbers by the name of the picture; sides are cut to multiples of 4.

    Raises:
        FileNotFoundError: no pictures, or one has no result. ValueError: sizes differ.
    """
    truths = {path.relative_to(test_set / 'pha').with_suffix('').as_posix(): path
              for path in sorted((test_set / 'pha').rglob('*')) if path.suffix.lower() in ('.png', '.jpg', '.jpeg')}
    if not truths:
        raise FileNotFoundError(f'no pictures in {test_set / "pha"}')
    numbers = {}
    for name, path in truths.items():
        true_pha, pred_pha = read_alpha(path), read_alpha(find(results, 'pha', name))
        if true_pha.shape != pred_pha.shape:
            raise ValueError(f'{name}: the result is {pred_pha.shape[1]}x{pred_pha.shape[0]}, the truth '
                             f'{true_pha.shape[1]}x{true_pha.shape[0]}')
        band = (test_set / 'trimap').is_dir()
        unknown = (read_alpha(find(test_set, 'trimap', name)) if band else trimap(true_pha)) == UNKNOWN
        colours = [read_rgb(find(root, 'fgr', name)) if (root / 'fgr').is_dir() else None
                   for root in (results, test_set)]
        tensors = [None if x is None else tensor(x) for x in (pred_pha, true_pha, unknown, *colours)]
        numbers[name] = errors(*tensors, minmax=minmax)
    return numbers


def find(root: Path, kind: str, name: str) -> Path:
    """The picture of a name, whatever its suffix."""
    for suffix in ('.png', '.PNG', '.jpg', '.jpeg', '.JPG'):
        path = root / kind / f'{name}{suffix}'
        if path.is_file():
            return path
    raise FileNotFoundError(f'{root / kind} has no picture called {name}')


def tensor(pixels: np.ndarray) -> Tensor:
    """(H, W[, 3]) uint8 or bool -> (C, H, W) in [0, 1], cut to multiples of 4."""
    H, W = (side // 4 * 4 for side in pixels.shape[:2])
    x = torch.from_numpy(np.ascontiguousarray(pixels[:H, :W]))
    x = x[None] if x.dim() == 2 else x.permute(2, 0, 1)
    return x if x.dtype == torch.bool else x.float() / 255


def means(numbers: dict[str, dict[str, float]]) -> dict[str, float]:
    """Over the pictures that have a number."""
    columns = {name: [own[name] for own in numbers.values() if name in own] for name in NAMES}
    return {name: sum(values) / len(values) for name, values in columns.items() if values}


@command
def main(argv: list[str] | None = None) -> int:
    """Prints a line per picture to stderr and the means to stdout."""
    parser = argparse.ArgumentParser(prog='background_matting', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('test_set', type=Path)
    parser.add_argument('results', type=Path)
    parser.add_argument('--plain-gradient', action='store_true', help='GRAD of alphas as they are')
    parser.add_argument('--csv', type=Path, metavar='FILE')
    args = parser.parse_args(argv)
    numbers = measure(args.test_set, args.results, not args.plain_gradient)
    for name, own in numbers.items():
        print(','.join([name, *(format(own[key], FORMATS[key]) for key in NAMES if key in own)]), file=sys.stderr)
    if args.csv is not None:
        with whole_file(args.csv) as partial, open(partial, 'w', newline='') as file:
            rows = csv.DictWriter(file, ['name', *NAMES])
            rows.writeheader()
            rows.writerows({'name': name} | own for name, own in numbers.items())
    print(', '.join(f'{name} {value:{FORMATS[name]}}' for name, value in means(numbers).items()))
    return 0


if __name__ == '__main__':
    sys.exit(main())
