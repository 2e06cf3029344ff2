"""Photos with mattes and backgrounds made small enough to travel: to another machine, or into its memory at once.

python -m dataset.pack_photos mattes pictures packed --background-skip-every 5 --objects cutouts \\
    --more-mattes portraits 4 --more-backgrounds scenes 0.5

People are cut out and scaled to the canvas of the composer (640 pixels high at most), so nothing that training would
see is lost but the noise of compression. Writes packed/fgr/NAME.webp, packed/pha/NAME.webp (exact),
packed/backgrounds/NAME.webp, and packed/objects/NAME.webp: things that are not people, with alpha. How often each is
drawn stands in fgr/weights.csv and backgrounds/weights.csv.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from string import ascii_lowercase

import cv2
import numpy as np
from tqdm import tqdm

from cli.command import command
from files import whole_folder

from .duplicates import HeldOut
from .files import UnreadableFrame, list_pictures, read_picture
from .photo_bank import BACKGROUND, CANVAS, MARGIN, SOLID, WEIGHTS, read_weights

LOSSLESS = 101   # a quality beyond 100, as OpenCV has it


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
    """Sides times `scale` where that is below 1, areas averaged."""
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
        write_webp(out / f'{number:04d}.webp', np.dstack([colours[..., ::-1], alpha]), quality)
    return failed


def pack_backgrounds(folder: Path, names: list[str], out: Path, prefix: str, weight: float, quality: int,
                     held_out: HeldOut) -> list[str]:
    """Pictures of a folder to out/PREFIX-NUMBER.webp; returns a line for each that was left out."""
    failed, weights = [], read_weights(folder)
    with (out / WEIGHTS).open('a') as listing:
        for number, name in enumerate(tqdm(names, desc='backgrounds', unit='picture')):
            try:
                scene = read_picture(folder / name, 'RGB')
            except UnreadableFrame as error:
                failed.append(f'{name}: {error}')
                continue
            if held_out.holds(scene):
                failed.append(f'{name}: the same picture as one that is held out')
                continue
            scene = shrink(scene, min(1, BACKGROUND / min(scene.shape[:2])))
            write_webp(out / f'{prefix}-{number:04d}.webp', scene[..., ::-1], quality)
            listing.write(f'{prefix}-{number:04d},{weight * weights.get(Path(name).stem, 1.):g}\n')
    return failed


def readable(folder: Path, names: list[str]) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 of each picture that can be read."""
    for name in names:
        with suppress(UnreadableFrame):
            yield read_picture(folder / name, 'RGB')


def pack_people(mattes: Path, out: Path, prefix: str, weight: float, quality: int) -> list[str]:
    """mattes/fgr and mattes/pha to out/fgr/PREFIX-NAME and out/pha; returns a line for each that was left out."""
    people, failed = list_pictures(mattes / 'pha'), []
    files = {Path(name).stem: name for name in list_pictures(mattes / 'fgr')}
    missing = [name for name in people if Path(name).stem not in files]
    if missing:
        raise FileNotFoundError(f'{mattes / "fgr"} has no foreground for {", ".join(missing[:5])}')
    for kind in ('fgr', 'pha'):
        (out / kind).mkdir(parents=True, exist_ok=True)
    with (out / 'fgr' / WEIGHTS).open('a') as listing:
        for name in tqdm(people, desc='people', unit='photo'):
            stem = Path(name).stem
            try:
                fgr = read_picture(mattes / 'fgr' / files[stem], 'RGB')
                fgr, pha = cut_out(fgr, read_picture(mattes / 'pha' / name, 'L'))
            except (UnreadableFrame, ValueError) as error:
                failed.append(f'{name}: {error}')
                continue
            write_webp(out / f'fgr/{prefix}-{stem}.webp', fgr[..., ::-1], quality)
            write_webp(out / f'pha/{prefix}-{stem}.webp', pha, LOSSLESS)
            listing.write(f'{prefix}-{stem},{weight:g}\n')
    return failed


def write_webp(path: Path, image: np.ndarray, quality: int) -> None:
    """(H, W, 3 or 4) BGR(A), or (H, W), uint8."""
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_WEBP_QUALITY, quality]):
        raise OSError(f'{path} cannot be written: is the disk full?')


def weighted_folders(given: list[list[str]], flag: str) -> list[tuple[Path, float]]:
    """What --more-mattes and --more-backgrounds name, a letter of the alphabet each."""
    if len(given) >= len(ascii_lowercase):
        raise ValueError(f'{flag} may be given {len(ascii_lowercase) - 1} times, got {len(given)}')
    pairs = []
    for folder, text in given:
        try:
            weight = float(text)
        except ValueError:
            weight = -1.
        if not 0 < weight < float('inf'):
            raise ValueError(f'{flag} needs a weight larger than 0 after the folder, got {text!r}')
        pairs.append((Path(folder), weight))
    return pairs


def pack(args: argparse.Namespace, out: Path) -> list[str]:
    """Fill `out`; returns a line for each picture that was left out."""
    every, scenes = args.background_skip_every, list_pictures(args.backgrounds)
    failed, held_out = [], HeldOut()
    if every:
        held_out = HeldOut(readable(args.backgrounds, scenes[::every]))
        scenes = [name for number, name in enumerate(scenes) if number % every]
    for prefix, (folder, weight) in zip(ascii_lowercase, [(args.mattes, 1.), *args.more_mattes]):
        failed += pack_people(folder, out, prefix, weight, args.quality)
    (out / 'backgrounds').mkdir()
    failed += pack_backgrounds(args.backgrounds, scenes, out / 'backgrounds', 'a', 1., args.quality, held_out)
    for prefix, (folder, weight) in zip(ascii_lowercase[1:], args.more_backgrounds):
        failed += pack_backgrounds(folder, list_pictures(folder), out / 'backgrounds', prefix, weight, args.quality,
                                   held_out)
    if args.objects is not None:
        failed += pack_objects(args.objects, out / 'objects', args.quality)
    return failed


@command
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('mattes', type=Path, help='folder with fgr/ and pha/, as dataset.make_mattes writes it')
    parser.add_argument('backgrounds', type=Path)
    parser.add_argument('out', type=Path, help='new folder')
    parser.add_argument('--objects', type=Path, help='folder of pictures with alpha, in and below it, of things that '
                                                     'are not people')
    parser.add_argument('--more-mattes', nargs=2, action='append', default=[], metavar=('FOLDER', 'WEIGHT'),
                        help='another folder of mattes, and how often each of its people is drawn; may be repeated')
    parser.add_argument('--more-backgrounds', nargs=2, action='append', default=[], metavar=('FOLDER', 'WEIGHT'),
                        help='another folder of pictures without people, all taken, and how often each is drawn (times '
                             'its weights.csv); may be repeated')
    parser.add_argument('--quality', type=int, default=85, help='of WebP, 1 to 100')
    parser.add_argument('--background-skip-every', type=int, default=0,
                        help='leave out each N-th background, sorted, from the first on, and whatever is the same '
                             'picture under another name: those are for tests')
    args = parser.parse_args(argv)
    if not 1 <= args.quality <= 100:
        raise ValueError(f'--quality must be in 1..100, got {args.quality}')
    if args.background_skip_every < 0 or args.background_skip_every == 1:
        raise ValueError(f'--background-skip-every must be 0 or at least 2, got {args.background_skip_every}')
    if args.out.exists():
        raise ValueError(f'{args.out} exists: name a new folder')
    args.more_mattes = weighted_folders(args.more_mattes, '--more-mattes')
    args.more_backgrounds = weighted_folders(args.more_backgrounds, '--more-backgrounds')
    for folder in (args.mattes / 'pha', *(folder / 'pha' for folder, _ in args.more_mattes), args.backgrounds,
                   *(folder for folder, _ in args.more_backgrounds), args.objects):
        if folder is not None and not list_pictures(folder):
            raise FileNotFoundError(f'no pictures in {folder}')
    with whole_folder(args.out, overwrite=False) as partial:
        failed = pack(args, partial)
    for line in failed:
        print(f'left out: {line}', file=sys.stderr)
    size = sum(path.stat().st_size for path in args.out.rglob('*') if path.is_file())
    print(f'{args.out}: {size / 1e6:.1f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
