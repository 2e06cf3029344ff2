"""What the test-set generators share: inputs, composition, clip folders, and a manifest with hashes.

Every clip has a random generator of its own, seeded by the seed and the clip's number: results do not depend on the
number of workers, on `--start`, or on the order in which a file system lists its files.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial as bound
from multiprocessing import get_context
from pathlib import Path
from random import Random

import cv2
import numpy as np
from tqdm import tqdm

from files import check_apart, natural_key, whole_file, whole_folder

from .tree import list_frames, write_image

KINDS = ('fgr', 'pha', 'com', 'bgr')
# sample number, its random generator, writer -> names of what it was made from
MakeClip = Callable[[int, Random, 'ClipWriter'], dict[str, object]]


class ClipWriter:
    """Writes the frames of one clip to FOLDER/{fgr,pha,com,bgr}/NNNN.EXT. The folder is new and empty."""

    def __init__(self, folder: Path, extension: str, rounded: bool):
        self.folder, self.extension, self.rounded = folder, extension, rounded
        for kind in KINDS:
            (folder / kind).mkdir()

    def write(self, t: int, fgr: np.ndarray, pha: np.ndarray, bgr: np.ndarray, static_bgr: bool = False,
              noise: np.ndarray | None = None) -> None:
        """One frame: fgr, bgr (H, W, 3) RGB and pha (H, W), uint8. A static background is a file and links to it.
        `noise` (H, W, 3) float is what a camera adds to the composition."""
        com = composite(fgr, pha, bgr, self.rounded)
        if noise is not None:
            com = np.rint(com + noise).clip(0, 255).astype(np.uint8)
        for kind, image in (('fgr', fgr), ('pha', pha), ('com', com), ('bgr', bgr)):
            path = self.folder / kind / f'{t:04d}{self.extension}'
            if kind == 'bgr' and static_bgr and t > 0:
                path.symlink_to(f'{0:04d}{self.extension}')
            else:
                write_image(path, image)


def composite(fgr: np.ndarray, pha: np.ndarray, bgr: np.ndarray, rounded: bool) -> np.ndarray:
    """fgr * pha + bgr * (1 - pha) in float32, to uint8 rounded, or truncated as the released generators do."""
    pha = pha[..., None].astype(np.float32) / 255
    com = fgr * pha + bgr * (1 - pha)
    return (np.rint(com) if rounded else com).astype(np.uint8)


def add_common_flags(parser: argparse.ArgumentParser, num_samples: int, seed: int, num_frames: int = 100) -> None:
    parser.add_argument('--background-dir', type=Path, required=True)
    parser.add_argument('--output', '--out-dir', dest='out_dir', type=Path, required=True, metavar='OUT',
                        help='one set: clips are OUT/NNNN')
    parser.add_argument('--num-samples', type=int, default=num_samples, help='clips to make')
    parser.add_argument('--num-frames', type=int, default=num_frames, help='frames per clip')
    parser.add_argument('--start', type=int, default=0, help='number of the first clip, to extend a set')
    parser.add_argument('--random-seed', type=int, default=seed)
    parser.add_argument('--extension', choices=('.png', '.jpg'), default='.png', help='.jpg is lossy')
    parser.add_argument('--num-workers', type=int, default=os.cpu_count(), help='processes; does not change the result')


def clip_folders(root: Path, kind: str) -> dict[str, dict[str, Path]]:
    """Folders of frames under ROOT, sorted -> clip name -> frames.

    Raises:
        FileNotFoundError: there are none.
    """
    folders = {path.name: list_frames(path) for path in sorted(root.glob('*'), key=natural_key)
               if path.is_dir()}
    folders = {name: frames for name, frames in folders.items() if frames}
    if not folders:
        raise FileNotFoundError(f'no {kind} clips in {root}: expected {root.name}/<clip>/<frame>.jpg or .png')
    return folders


def pictures(root: Path, kind: str) -> dict[str, Path]:
    """Image files of a folder, sorted; FileNotFoundError if there are none."""
    found = list_frames(root)
    if not found:
        raise FileNotFoundError(f'no {kind} pictures in {root}: expected {root.name}/<name>.jpg or .png')
    return found


def pick(rng_seed: int, names: list[str], number: int) -> str:
    """Names in an order shuffled by the seed, taken in turn: no repetition before all had theirs."""
    order = sorted(names, key=natural_key)
    Random(f'order {rng_seed}').shuffle(order)
    return order[number % len(order)]


def resize(image: np.ndarray, W: int, H: int) -> np.ndarray:
    return cv2.resize(image, (W, H), interpolation=cv2.INTER_LINEAR)


def generate(args: argparse.Namespace, make_clip: MakeClip, rounded: bool = False,
             folder: Callable[[int], str] = '{:04d}'.format) -> None:
    """Make all clips in parallel, then write OUT/manifest.json: settings, sources and the SHA-256 of every file.

    Args:
        folder: clip number -> its folder under OUT.
    """
    for name in ('num_samples', 'num_frames'):
        if getattr(args, name) < 1:
            raise ValueError(f'--{name.replace("_", "-")} must be at least 1, got {getattr(args, name)}')
    numbers = range(args.start, args.start + args.num_samples)
    read = {f'--{name.replace("_", "-")}': value for name, value in vars(args).items()
            if isinstance(value, Path) and name != 'out_dir'}
    check_apart({'--out-dir': [args.out_dir / folder(number) for number in numbers]}, read)
    task = bound(_one_clip, make_clip=make_clip, out_dir=args.out_dir, seed=args.random_seed,
                   extension=args.extension, rounded=rounded, folder=folder)
    clips: dict[str, dict] = {}
    with ExitStack() as stack:
        results = map(task, numbers)
        if args.num_workers > 1 and len(numbers) > 1:
            # fresh processes: a forked one inherits locks of OpenCV's threads and may wait for them forever
            results = stack.enter_context(ProcessPoolExecutor(min(args.num_workers, len(numbers)),
                                                              get_context('spawn'))).map(task, numbers)
        for name, entry in tqdm(results, total=len(numbers), desc=args.out_dir.name, unit='clip'):
            clips[name] = entry
    path = args.out_dir / 'manifest.json'
    if args.start and path.is_file():                                                    # extended: keep the first part
        clips = json.loads(path.read_text())['clips'] | clips
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()
                if name not in ('num_workers', 'out_dir')}
    manifest = {'generator': Path(sys.argv[0]).stem, 'settings': settings, 'clips': dict(sorted(clips.items()))}
    with whole_file(path) as partial:
        partial.write_text(json.dumps(manifest, indent=1) + '\n')


def _one_clip(number: int, make_clip: MakeClip, out_dir: Path, seed: int, extension: str, rounded: bool,
              folder: Callable[[int], str]) -> tuple[str, dict]:
    cv2.setNumThreads(1)
    with whole_folder(out_dir / folder(number), keep=lambda entry: entry.name not in KINDS) as place:
        sources = make_clip(number, Random(f'clip {seed} {number}'), ClipWriter(place, extension, rounded))
        files = {f'{folder(number)}/{path.relative_to(place).as_posix()}': sha256(path)
                 for path in sorted(path for kind in KINDS for path in (place / kind).iterdir())}
    return folder(number), {'sources': sources, 'sha256': files}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
