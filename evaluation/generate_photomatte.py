"""Test clips from photos with mattes: a person in eased motion over a moving picture.

Two framings, one set each: OUT/upper/NNNN is a webcam's view (head and upper body, cut by the lower edge),
OUT/full/NNNN the whole person. Even clips are upper, odd ones full. Composition is rounded; the foreground is 0 where
alpha is.

python -m evaluation.generate_photomatte --pha-dir mattes/pha --fgr-dir mattes/fgr --background-dir DIR --out-dir OUT
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from random import Random

import cv2
import numpy as np

from cli.command import run_command

from .motion import EASINGS, Affine, draw_affine, shift, warp, zoom
from .synthesis import ClipWriter, add_common_flags, generate, pick, pictures
from .tree import read_alpha, read_rgb

FRAMINGS = ('upper', 'full')


def main(argv: list[str] | None = None) -> None:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rgba-dir', type=Path, help='photos with an alpha channel; or the two flags below')
    parser.add_argument('--pha-dir', type=Path, help='mattes, grey')
    parser.add_argument('--fgr-dir', type=Path, help='foregrounds (or the photos) of the same names')
    parser.add_argument('--every', type=int, default=1, help='take each N-th name, sorted: held-out photos are 29')
    parser.add_argument('--exclude', nargs='+', default=[], metavar='NAME', help='photos whose mattes are wrong')
    parser.add_argument('--background-every', type=int, default=1, help='the same for backgrounds: held-out are 5')
    parser.add_argument('--framing', choices=('mixed', *FRAMINGS), default='mixed')
    parser.add_argument('--resize', type=int, nargs=2, default=(512, 288), metavar=('W', 'H'))
    parser.add_argument('--still-camera', action='store_true', help='people alone move: for networks with a plate')
    parser.add_argument('--still-people', action='store_true', help='nobody moves: what changes in a matte is flicker')
    parser.add_argument('--noise', type=float, default=0, metavar='DEVIATION', help='of a camera [of 255]')
    add_common_flags(parser, num_samples=30, seed=10, num_frames=8)
    args = parser.parse_args(argv)
    if (args.rgba_dir is None) == (args.pha_dir is None) or (args.pha_dir is None) != (args.fgr_dir is None):
        raise ValueError('give either --rgba-dir, or --pha-dir and --fgr-dir')
    if args.noise < 0:
        raise ValueError(f'--noise must be at least 0, got {args.noise:g}')
    args.resize = tuple(args.resize)
    missing = set(subjects(args)) - set(pictures(args.fgr_dir or args.rgba_dir, 'foreground'))
    if missing:
        raise FileNotFoundError(f'{args.fgr_dir} has no foreground for {", ".join(sorted(missing)[:5])}')
    args.out_dir.mkdir(parents=True, exist_ok=True)
    generate(args, partial(_clip, args=args), rounded=True, folder=partial(_folder, framing=args.framing))


def _folder(number: int, framing: str) -> str:
    return f'{_framing(number, framing)}/{number:04d}'


def _framing(number: int, framing: str) -> str:
    return FRAMINGS[number % 2] if framing == 'mixed' else framing


def subjects(args: argparse.Namespace) -> dict[str, Path]:
    """Chosen mattes by name. Excluded names must exist: one misspelt would let a wrong matte in."""
    files = pictures(args.pha_dir or args.rgba_dir, 'matte')
    unknown = sorted(set(args.exclude) - set(files))
    if unknown:
        raise ValueError(f'--exclude: no matte of the name {", ".join(unknown)}')
    return {name: path for name, path in every(files, args.every).items() if name not in args.exclude}


def every(files: dict[str, Path], step: int) -> dict[str, Path]:
    """Each step-th of the sorted names, from the first one on."""
    return {name: files[name] for name in list(files)[::step]}


def read_subject(args: argparse.Namespace, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, 3) RGB and (h, w) alpha, uint8, cut to the rows and columns with a visible person."""
    if args.rgba_dir:
        path = pictures(args.rgba_dir, 'photo')[name]
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
            raise ValueError(f'{path} must be an 8-bit picture with an alpha channel')
        fgr, pha = cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB), image[..., 3]
    else:
        fgr = read_rgb(pictures(args.fgr_dir, 'foreground')[name])
        pha = read_alpha(pictures(args.pha_dir, 'matte')[name])
    if fgr.shape[:2] != pha.shape:
        raise ValueError(f'{name}: foreground is {fgr.shape[1]}x{fgr.shape[0]}, alpha {pha.shape[1]}x{pha.shape[0]}')
    x, y, w, h = cv2.boundingRect((pha > 12).astype(np.uint8))
    if w < 16 or h < 16:
        raise ValueError(f'{name}: alpha shows nobody')
    return fgr[y:y + h, x:x + w], pha[y:y + h, x:x + w]


def placement(framing: str, w: int, h: int, W: int, H: int, rng: Random) -> np.ndarray:
    """(3, 3) matrix that puts a standing person of w x h pixels into a W x H frame."""
    if framing == 'upper':
        shown, top = rng.uniform(.32, .48), rng.uniform(.03, .14)          # part of the height; gap above the head
        scale = H * (1 - top) / (h * shown)
        middle = .5 + rng.uniform(-.12, .12)
    else:
        tall = rng.uniform(.8, 1.)
        scale, top = H * tall / h, 1 - tall + .01                          # the feet just below the lower edge
        middle = .5 + rng.uniform(-.3, .3)
    return shift(W * middle - scale * w / 2, H * top) @ zoom(scale, scale)


def _clip(number: int, rng: Random, writer: ClipWriter, args: argparse.Namespace) -> dict[str, object]:
    names, backgrounds = subjects(args), every(pictures(args.background_dir, 'background'), args.background_every)
    name, background = pick(args.random_seed, list(names), number), pick(args.random_seed, list(backgrounds), number)
    framing = _framing(number, args.framing)
    (W, H), T = args.resize, args.num_frames
    fgr, pha = read_subject(args, name)
    bgr = read_rgb(backgrounds[background])
    if rng.random() < .5:
        fgr, pha = np.ascontiguousarray(fgr[:, ::-1]), np.ascontiguousarray(pha[:, ::-1])
    place = placement(framing, *pha.shape[::-1], W, H, rng)
    cover = max(W / bgr.shape[1], H / bgr.shape[0]) * 1.25                 # room for the motion of the camera
    behind = shift((W - cover * bgr.shape[1]) / 2, (H - cover * bgr.shape[0]) / 2) @ zoom(cover, cover)
    body, camera = _motion(rng, 4, .05, .06), _motion(rng, 2, .03, .04)
    if args.still_camera:
        camera = still
    if args.still_people:
        body = still
    grain = np.random.default_rng(rng.getrandbits(64)) if args.noise else None
    for t in range(T):
        progress = t / max(T - 1, 1)
        seen = camera(progress).matrix(W, H)
        subject = seen @ body(progress).matrix(W, H) @ place
        frame_pha = warp(pha, subject, W, H)
        frame_fgr = warp(fgr, subject, W, H, cv2.BORDER_REPLICATE) * (frame_pha > 0)[..., None]
        noise = None if grain is None else grain.normal(0, args.noise, (H, W, 3))
        writer.write(t, frame_fgr, frame_pha, warp(bgr, seen @ behind, W, H, cv2.BORDER_REFLECT_101), noise=noise)
    return {'subject': name, 'background': background, 'framing': framing}


def still(progress: float) -> Affine:
    """No motion."""
    return Affine()


def _motion(rng: Random, angle: float, move: float, scale: float):
    """Progress 0..1 -> Affine: an eased way from one random place to another; one in five stands still."""
    start, end = (draw_affine(rng, angle, move, (1 - scale, 1 + scale), shear=0) for _ in range(2))
    easing, still = EASINGS[rng.choice(sorted(EASINGS))], rng.random() < .2
    return lambda progress: Affine() if still else start.towards(end, easing(progress))


if __name__ == '__main__':
    sys.exit(run_command(main))
