"""Soft mattes and foregrounds from photos with binary masks.

python -m dataset.make_mattes photos masks out [--every 29]

The mask is eroded by 4 pixels and dilated by 7 to a trimap; the band between them is solved by closed-form matting
(Levin et al., A Closed-Form Solution to Natural Image Matting, 2008), the foreground by multi-level estimation
(Germer et al., 2020), both of the package pymatting. Writes out/pha/NAME.png and out/fgr/NAME.png (or .jpg). These are
pseudo-mattes: good for training and for comparing networks on the same footing, never ground truth.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from cli.command import command
from files import is_image_path, whole_file

ERODE, DILATE = 4, 7                                               # pixels; super-pixel masks are 2 to 4 pixels off
# One numerical thread per process: with several photos at once more threads only fight, ten times slower. Libraries
# read these when they are imported, so they are set before the processes start, which inherit nothing else.
THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS')


def trimap(mask: np.ndarray, erode: int = ERODE, dilate: int = DILATE) -> np.ndarray:
    """(H, W) binary mask, non-zero inside -> (H, W) float64: 1 inside, 0 outside, 0.5 in the band between."""
    inside, disc = (mask > 0).astype(np.uint8), partial(cv2.getStructuringElement, cv2.MORPH_ELLIPSE)
    # the border erodes nothing: a person cut by the edge of the photo goes on beyond it
    sure = cv2.erode(inside, disc((2 * erode + 1,) * 2), borderType=cv2.BORDER_REPLICATE)
    maybe = cv2.dilate(inside, disc((2 * dilate + 1,) * 2), borderType=cv2.BORDER_REPLICATE)
    return np.where(sure > 0, 1., np.where(maybe > 0, .5, 0.))


def make_matte(photo: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Alpha and foreground of one photo.

    Args:
        photo: (H, W, 3) uint8; mask: (H, W), non-zero inside.
    Returns:
        fgr (H, W, 3) uint8 in the channel order of the photo, pha (H, W) uint8.
    Raises:
        ValueError: sizes differ, or the mask leaves no sure inside or no sure outside.
    """
    from pymatting import estimate_alpha_cf, estimate_foreground_ml
    if photo.shape[:2] != mask.shape:
        raise ValueError(f'photo is {photo.shape[1]}x{photo.shape[0]}, mask {mask.shape[1]}x{mask.shape[0]}')
    regions = trimap(mask)
    if not (regions == 1).any() or not (regions == 0).any():
        raise ValueError('the mask leaves no sure foreground or no sure background')
    image = photo / 255.
    pha = np.clip(estimate_alpha_cf(image, regions), 0, 1)
    fgr = np.clip(estimate_foreground_ml(image, pha), 0, 1)
    return np.rint(fgr * 255).astype(np.uint8), np.rint(pha * 255).astype(np.uint8)


def _make_files(name: str, photo: Path, mask: Path, out: Path, extension: str) -> None:
    cv2.setNumThreads(1)
    images = cv2.imread(str(photo), cv2.IMREAD_COLOR), cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    for path, image in zip((photo, mask), images):
        if image is None:
            raise ValueError(f'cannot read {path}')
    fgr, pha = make_matte(*images)
    # alpha comes last and under its name only when complete: its presence means that the pair is done
    for path, image in ((out / 'fgr' / f'{name}{extension}', fgr), (out / 'pha' / f'{name}.png', pha)):
        options = [cv2.IMWRITE_JPEG_QUALITY, 97] if path.suffix == '.jpg' else []
        with whole_file(path) as partial:
            if not cv2.imwrite(str(partial), image, options):
                raise OSError(f'cannot write {path}')


def pairs(photos: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Name -> photo and mask, sorted by name.

    Raises:
        FileNotFoundError: no folder, no photos, or a photo without a mask.
    """
    files = {}
    for kind, folder in (('photos', photos), ('masks', masks)):
        if not folder.is_dir():
            raise FileNotFoundError(f'{kind}: no folder {folder}')
        files[kind] = {path.stem: path for path in sorted(folder.iterdir()) if is_image_path(path)}
    if not files['photos']:
        raise FileNotFoundError(f'no photos in {photos}: expected NAME.jpg or NAME.png')
    alone = [name for name in files['photos'] if name not in files['masks']]
    if alone:
        raise FileNotFoundError(f'{len(alone)} photos have no mask of the same name in {masks}: {", ".join(alone[:5])}')
    return {name: (path, files['masks'][name]) for name, path in files['photos'].items()}


def make_all(jobs: dict[str, tuple[Path, Path]], out: Path, extension: str, num_workers: int) -> Iterator[str]:
    """Make what is not there yet; yields a line for each photo that failed."""
    for kind in ('fgr', 'pha'):
        (out / kind).mkdir(parents=True, exist_ok=True)
    todo = {name: files for name, files in jobs.items()
            if not ((out / 'pha' / f'{name}.png').is_file() and (out / 'fgr' / f'{name}{extension}').is_file())}
    os.environ.update(dict.fromkeys(THREADS, '1'))
    with ProcessPoolExecutor(max(num_workers, 1), get_context('spawn')) as pool:
        futures = {pool.submit(_make_files, name, *files, out, extension): name for name, files in todo.items()}
        for future in tqdm(as_completed(futures), total=len(futures), desc='mattes', unit='photo'):
            try:
                future.result()
            except ValueError as error:
                yield f'{futures[future]}: {error}'


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('photos', type=Path)
    parser.add_argument('masks', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--every', type=int, default=1, help='take each N-th name, sorted, from the first on')
    parser.add_argument('--skip-every', type=int, default=None, help='leave those out instead: the training half')
    parser.add_argument('--extension', choices=('.png', '.jpg'), default='.png', help='of the foregrounds')
    parser.add_argument('--num-workers', type=int, default=os.cpu_count())
    args = parser.parse_args(argv)
    if args.every < 1 or (args.skip_every is not None and args.skip_every < 2):
        raise ValueError('--every must be at least 1, --skip-every at least 2')
    check_installed()
    jobs = pairs(args.photos, args.masks)
    jobs = {name: files for i, (name, files) in enumerate(jobs.items())
            if i % args.every == 0 and (args.skip_every is None or i % args.skip_every != 0)}
    failed = list(make_all(jobs, args.out, args.extension, args.num_workers))
    for line in failed:
        print(f'failed: {line}', file=sys.stderr)
    print(f'{len(jobs) - len(failed)} of {len(jobs)} mattes in {args.out}')
    return 2 if failed else 0


def check_installed() -> None:
    """RuntimeError with the install line if pymatting is missing; asked without importing it in this process."""
    from importlib.util import find_spec
    if find_spec('pymatting') is None:
        raise RuntimeError('make_mattes needs pymatting: pip install -r requirements/mattes.txt')


if __name__ == '__main__':
    sys.exit(main())
