"""Photos with mattes and backgrounds made small enough to travel: to another machine, or into its memory at once.

python -m dataset.pack_photos mattes pictures packed --background-skip-every 5 --objects cutouts

People are cut out and scaled to the canvas of the composer (640 pixels high at most), so nothing that training would
see is lost but the noise of JPEG. Writes packed/fgr/NAME.jpg, packed/pha/NAME.png, packed/backgrounds/NAME.jpg, and
packed/objects/NAME.webp: things that are not people, with alpha.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from .files import UnreadableFrame, list_pictures, read_picture
from .photo_bank import BACKGROUND, CANVAS, MARGIN, SOLID


def cut_out(fgr: np.ndarray, pha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The person of (H, W, 3) and (H, W) uint8 with a margin, no larger than the composer's canvas.

    Raises:
        ValueError: alpha shows nothing.
    """
    rows, columns = (np.flatnonzero(pha.max(axis) > 255 * SOLID) for axis in (1, 0))
    if not len(rows):
        raise ValueError('alpha shows nothing')
    margin = round(MARGIN * max(np.ptp(rows), np.ptp(columns)) + 1)
    part = (slice(max(rows[0] - margin, 0), rows[-1] + 1 + margin),
            slice(max(columns[0] - margin, 0), columns[-1] + 1 + margin))
    fgr, pha = fgr[part], pha[part]
    scale = min(1, CANVAS[0] / len(pha), CANVAS[1] / pha.shape[1])
    return tuple(shrink(image, scale) for image in (fgr, pha))


def shrink(image: np.ndarray, scale: float) -> np.ndarray:
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image


def spread_colours(rgba: np.ndarray, sigma: float = 6.) -> np.ndarray:
    """(H, W, 4) uint8 whose colours run on where nothing is to be seen, so that filtering mixes in no black."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    weight = cv2.GaussianBlur(alpha, (0, 0), sigma)[..., None]
    around = cv2.GaussianBlur(rgba[..., :3] * alpha, (0, 0), sigma) / np.maximum(weight, 1e-4)
    colours = np.where(alpha > SOLID, rgba[..., :3], around)
    return np.concatenate([colours.clip(0, 255).round().astype(np.uint8), rgba[..., 3:]], 2)


def pack_objects(folder: Path, out: Path, quality: int) -> list[str]:
    """Pictures with alpha in and below a folder, to out/NAME.webp; returns a line for each that was left out."""
    out.mkdir(parents=True)
    failed = []
    for number, name in enumerate(tqdm(list_pictures(folder), desc='objects', unit='picture')):
        try:
            rgba = spread_colours(read_picture(folder / name, 'RGBA'))
            colours, alpha = cut_out(rgba[..., :3], rgba[..., 3])
        except (UnreadableFrame, ValueError) as error:
            failed.append(f'{name}: {error}')
            continue
        cv2.imwrite(str(out / f'{number:04d}.webp'), np.dstack([colours[..., ::-1], alpha]),
                    [cv2.IMWRITE_WEBP_QUALITY, quality])
    return failed


def pack(mattes: Path, backgrounds: Path, out: Path, quality: int, background_skip_every: int) -> list[str]:
    """Fill `out`; returns a line for each picture that was left out."""
    people = list_pictures(mattes / 'pha')
    scenes = list_pictures(backgrounds)
    if background_skip_every:
        scenes = [name for number, name in enumerate(scenes) if number % background_skip_every]
    files = {Path(name).stem: name for name in list_pictures(mattes / 'fgr')}
    missing = [name for name in people if Path(name).stem not in files]
    if missing:
        raise FileNotFoundError(f'{mattes / "fgr"} has no foreground for {", ".join(missing[:5])}')
    for kind in ('fgr', 'pha', 'backgrounds'):
        (out / kind).mkdir(parents=True)
    failed, jpeg = [], [cv2.IMWRITE_JPEG_QUALITY, quality]
    for name in tqdm(people, desc='people', unit='photo'):
        stem = Path(name).stem
        try:
            fgr = read_picture(mattes / 'fgr' / files[stem], 'RGB')
            fgr, pha = cut_out(fgr, read_picture(mattes / 'pha' / name, 'L'))
        except (UnreadableFrame, ValueError) as error:
            failed.append(f'{name}: {error}')
            continue
        cv2.imwrite(str(out / f'fgr/{stem}.jpg'), fgr[..., ::-1], jpeg)
        cv2.imwrite(str(out / f'pha/{stem}.png'), pha, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    for number, name in enumerate(tqdm(scenes, desc='backgrounds', unit='picture')):
        try:
            scene = read_picture(backgrounds / name, 'RGB')
        except UnreadableFrame as error:
            failed.append(f'{name}: {error}')
            continue
        scene = shrink(scene, min(1, BACKGROUND / min(scene.shape[:2])))
        cv2.imwrite(str(out / f'backgrounds/{number:04d}.jpg'), scene[..., ::-1], jpeg)
    return failed


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('mattes', type=Path, help='folder with fgr/ and pha/, as dataset.make_mattes writes it')
    parser.add_argument('backgrounds', type=Path)
    parser.add_argument('out', type=Path, help='new folder')
    parser.add_argument('--objects', type=Path, help='folder of pictures with alpha, in and below it, of things that '
                                                     'are not people')
    parser.add_argument('--quality', type=int, default=90, help='of JPEG and WebP, 1 to 100')
    parser.add_argument('--background-skip-every', type=int, default=0,
                        help='leave out each N-th background, sorted, from the first on: those are for tests')
    args = parser.parse_args(argv)
    partial = args.out.with_name(args.out.name + '.partial')
    try:
        if not 1 <= args.quality <= 100:
            raise ValueError(f'--quality must be in 1..100, got {args.quality}')
        if args.background_skip_every < 0 or args.background_skip_every == 1:
            raise ValueError(f'--background-skip-every must be 0 or at least 2, got {args.background_skip_every}')
        if args.out.exists():
            raise ValueError(f'{args.out} exists: name a new folder')
        shutil.rmtree(partial, ignore_errors=True)
        failed = pack(args.mattes, args.backgrounds, partial, args.quality, args.background_skip_every)
        if args.objects is not None:
            failed += pack_objects(args.objects, partial / 'objects', args.quality)
        os.replace(partial, args.out)
    except (ValueError, OSError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        print(f'error: {error}', file=sys.stderr)
        return 2
    for line in failed:
        print(f'left out: {line}', file=sys.stderr)
    size = sum(path.stat().st_size for path in args.out.rglob('*') if path.is_file())
    print(f'{args.out}: {size / 1e6:.1f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
