"""The test sets of RVM: VideoMatte and ImageMatte subjects over a still picture or a video.

The four generate_*_with_background_*.py are commands around `videomatte` and `imagematte`. Composition truncates to
8 bit as the release does. Which subject meets which background depended on the file system there, so a set made here
is not the published one; it is the same on every machine.
"""

import argparse
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from .motion import draw_affine, warp
from .synthesis import ClipWriter, add_common_flags, clip_folders, generate, pick, pictures, resize
from .tree import read_alpha, read_rgb


class Background:
    """A still picture, or a clip played from a random frame on, forth and back if it is too short."""

    def __init__(self, args: argparse.Namespace, video: bool, number: int, rng: Random):
        if video:
            clips = clip_folders(args.background_dir, 'background')
            self.name = pick(args.random_seed, list(clips), number)
            self.files = list(clips[self.name].values())
            self.first = rng.randint(0, max(len(self.files) - args.num_frames, 0))
        else:
            files = pictures(args.background_dir, 'background')
            self.name = pick(args.random_seed, list(files), number)
            self.files, self.first = [files[self.name]], 0
        self.static = not video

    def frame(self, t: int, W: int, H: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        n = len(self.files)
        t = (self.first + t) % max(2 * n - 2, 1)
        return resize(read_rgb(self.files[t if t < n else 2 * n - 2 - t]), W, H)


def videomatte(argv: list[str] | None, video: bool) -> None:
    """The command of generate_videomatte_with_background_{image,video}."""
    parser = argparse.ArgumentParser(description='VideoMatte clips over ' + ('videos' if video else 'pictures') +
                                     '. Subjects in turn, mirrored in every second round; a random start.')
    parser.add_argument('--videomatte-dir', type=Path, required=True, help='holds fgr/<clip>/<frame> and pha/...')
    add_common_flags(parser, num_samples=20, seed=10)
    parser.add_argument('--resize', type=int, nargs=2, default=None, metavar=('W', 'H'), help='as the clip if left out')
    args = parser.parse_args(argv)
    for kind in ('fgr', 'pha'):
        for name, frames in clip_folders(args.videomatte_dir / kind, kind).items():
            if len(frames) < args.num_frames:
                raise ValueError(f'{kind}/{name} has {len(frames)} frames, --num-frames asks for {args.num_frames}')
    generate(args, partial(_videomatte_clip, args=args, video=video))


def _videomatte_clip(number: int, rng: Random, writer: ClipWriter, args: argparse.Namespace,
                     video: bool) -> dict[str, object]:
    clips = {kind: clip_folders(args.videomatte_dir / kind, kind) for kind in ('fgr', 'pha')}
    names = list(clips['pha'])
    name, mirrored = names[number % len(names)], number // len(names) % 2 == 1
    if name not in clips['fgr']:
        raise FileNotFoundError(f'pha/{name} has no fgr/{name} in {args.videomatte_dir}')
    frames = list(clips['pha'][name])
    first = rng.randint(0, len(frames) - args.num_frames)
    background = Background(args, video, number, rng)
    for t, frame in enumerate(frames[first:first + args.num_frames]):
        if frame not in clips['fgr'][name]:
            raise FileNotFoundError(f'pha/{name}/{frame} has no foreground of that name')
        fgr, pha = read_rgb(clips['fgr'][name][frame]), read_alpha(clips['pha'][name][frame])
        W, H = args.resize or pha.shape[1::-1]
        fgr, pha = resize(fgr, W, H), resize(pha, W, H)
        if mirrored:
            fgr, pha = np.ascontiguousarray(fgr[:, ::-1]), np.ascontiguousarray(pha[:, ::-1])
        writer.write(t, fgr, pha, background.frame(t, W, H), background.static)
    return {'subject': name, 'first_frame': frames[first], 'mirrored': mirrored, 'background': background.name}


def imagematte(argv: list[str] | None, video: bool) -> None:
    """The command of generate_imagematte_with_background_{image,video}."""
    parser = argparse.ArgumentParser(description='ImageMatte subjects in linear motion over ' +
                                     ('videos' if video else 'pictures') + ', padded to a square.')
    parser.add_argument('--imagematte-dir', type=Path, required=True, help='holds fgr/<name> and pha/<name>')
    # seeds of the release: 10 D646 static, 11 D646 motion, 12 AIM static, 13 AIM motion
    add_common_flags(parser, num_samples=20, seed=11 if video else 10)
    parser.add_argument('--resolution', type=int, default=512, help='side of the square')
    args = parser.parse_args(argv)
    subjects = {kind: pictures(args.imagematte_dir / kind, kind) for kind in ('fgr', 'pha')}
    alone = set(subjects['pha']) ^ set(subjects['fgr'])
    if alone:
        raise FileNotFoundError(f'{args.imagematte_dir}: only in one of fgr and pha: {", ".join(sorted(alone)[:5])}')
    generate(args, partial(_imagematte_clip, args=args, video=video))


def _imagematte_clip(number: int, rng: Random, writer: ClipWriter, args: argparse.Namespace,
                     video: bool) -> dict[str, object]:
    fgrs, phas = (pictures(args.imagematte_dir / kind, kind) for kind in ('fgr', 'pha'))
    name = list(phas)[number % len(phas)]
    fgr, pha = (to_square(image, args.resolution) for image in (read_rgb(fgrs[name]), read_alpha(phas[name])))
    start, end, strength = draw_affine(rng), draw_affine(rng), rng.random()
    background, side = Background(args, video, number, rng), args.resolution
    for t in range(args.num_frames):
        matrix = start.towards(end, strength * t / max(args.num_frames - 1, 1)).matrix(side, side)
        writer.write(t, warp(fgr, matrix, side, side), warp(pha, matrix, side, side),
                     background.frame(t, side, side), background.static)
    return {'subject': name, 'background': background.name}


def to_square(image: np.ndarray, side: int) -> np.ndarray:
    """Longest side to `side`, the other padded with zeros on both ends."""
    h, w = image.shape[:2]
    image = resize(image, *(max(round(x * side / max(h, w)), 1) for x in (w, h)))
    top, left = (side - image.shape[0]) // 2, (side - image.shape[1]) // 2
    square = np.zeros((side, side, *image.shape[2:]), np.uint8)
    square[top:top + image.shape[0], left:left + image.shape[1]] = image
    return square
