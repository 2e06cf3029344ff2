"""A small generated tree of every layout, so that training, checks and tests run without a download.

python -m dataset.synthetic OUT [--clips 2] [--frames 6] [--size 96 64]

A figure of head and body with soft edges walks through each clip; nothing in it was photographed.
"""

import argparse
import json
from pathlib import Path

import av
import numpy as np
from PIL import Image


def write_tree(out: Path, clips: int = 2, frames: int = 6, size: tuple[int, int] = (96, 64)) -> Path:
    """Write every set of data_paths() under `out`.

    Args:
        clips: clips, photos and backgrounds per set and split. size: (w, h) of every picture; the HD set is twice that.
    """
    out = Path(out)
    w, h = size
    for split, first in (('train', 0), ('valid', 100)):
        numbers = range(first, first + clips)
        _video_set(out / 'videomatte' / split, numbers, frames, w, h)
        _video_set(out / 'videomatteHD' / split, numbers, frames, 2 * w, 2 * h)
        _video_set(out / 'brainstorm' / split, numbers, frames, w, h)
        for number in numbers:
            for t in range(frames):
                _save(out / 'brainstorm' / split / 'bgr' / f'{number:04d}' / f'{t:04d}.jpg', scenery(number, t, w, h))
                _save(out / 'background_videos' / split / f'{number:04d}' / f'{t:04d}.jpg', scenery(number, t, w, h))
        for name in ('imagematte', 'imgbra', 'h646', 'hhm', 'distinctions', 'photos'):
            _photo_set(out / name / split, numbers, w, h)
        _photo_set(out / 'ppm100' / split, numbers, w, h, 'image', 'matte')
        alias = 'validation' if split == 'valid' else split
        _photo_set(out / 'am2k' / alias, numbers, w, h, 'fg', 'mask')
        people = out / 'p3m' / alias / ('P3M-500-P' if split == 'valid' else '')
        _photo_set(people, numbers, w, h, 'blurred_image', 'mask')
        for number in numbers:
            for folder in (f'imgbra/{split}/bgr', f'am2k/{alias}/bg', f'background_images/{split}',
                           f'bg20k/{"testval" if split == "valid" else split}'):
                _save(out / folder / f'b_{number:04d}.jpg', scenery(number, 0, w, h))
        _rgba_set(out / 'rgba' / split, numbers, frames, w, h)
    for number in range(clips):
        fgr, pha = figure(number, 0, w, h)
        _save(out / 'photomatte85' / f'{number:04d}.png', np.dstack([fgr, pha]))
        _save(out / 'spd' / 'img' / f'{number:04d}.png', photo(number, 0, w, h))
        _save(out / 'spd' / 'seg' / f'{number:04d}.png', (pha > 127).astype(np.uint8) * 255)
    for folder in ('I-HIM50K/train', 'HIM2K', 'V-HIM2K5/train', 'V-HIM60/easy', 'V-HIM60/medium', 'V-HIM60/hard'):
        _people(out / folder, clips, frames, w, h)
    _coco(out / 'coco_panoptic', clips, w, h)
    _youtubevis(out / 'youtubevis' / 'train', clips, frames, w, h)
    return out


def figure(number: int, t: int, w: int, h: int) -> tuple[np.ndarray, np.ndarray]:
    """fgr (h, w, 3) and pha (h, w) uint8 of frame `t`: a head over a body, moving to the right."""
    y, x = np.mgrid[:h, :w].astype(np.float32)
    x = (x - w * (0.35 + 0.04 * t + 0.1 * (number % 3))) / h
    y = y / h
    head = 0.13 - np.hypot(x, y - 0.3)
    body = 1 - np.hypot(x / 0.24, (y - 0.95) / 0.52)
    pha = np.clip(np.maximum(head * h / 3, body * h / 12) + 0.5, 0, 1)
    hue = np.random.default_rng(number).uniform(0.2, 0.9, 3)
    skin = np.float32([0.85, 0.65, 0.55])
    folds = 1 + 0.15 * np.sin(40 * (x + y))[..., None]
    fgr = np.where((y < 0.44)[..., None], skin, hue.astype(np.float32) * folds)
    return (fgr.clip(0, 1) * 255).round().astype(np.uint8), (pha * 255).round().astype(np.uint8)


def scenery(number: int, t: int, w: int, h: int) -> np.ndarray:
    """(h, w, 3) uint8: a textured colour gradient that drifts."""
    y, x = np.mgrid[:h, :w].astype(np.float32) / max(w, h)
    draws = np.random.default_rng(1000 + number)
    base, slope, waves = draws.uniform(0.2, 0.7, 3), draws.uniform(-0.4, 0.4, (2, 3)), draws.uniform(5, 40, (2, 3))
    x = (x + 0.02 * t)[..., None]
    picture = base + slope[0] * x + slope[1] * y[..., None] + 0.1 * np.sin(waves[0] * x + waves[1] * y[..., None])
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def photo(number: int, t: int, w: int, h: int) -> np.ndarray:
    """(h, w, 3) uint8: the figure in front of the scenery."""
    fgr, pha = figure(number, t, w, h)
    share = pha[..., None] / 255
    return (fgr * share + scenery(number, t, w, h) * (1 - share)).round().astype(np.uint8)


def _video_set(folder: Path, numbers: range, frames: int, w: int, h: int) -> None:
    for number in numbers:
        for t in range(frames):
            fgr, pha = figure(number, t, w, h)
            _save(folder / 'fgr' / f'{number:04d}' / f'{t:04d}.jpg', fgr)
            _save(folder / 'pha' / f'{number:04d}' / f'{t:04d}.jpg', pha)


def _photo_set(folder: Path, numbers: range, w: int, h: int, fgr_name: str = 'fgr', pha_name: str = 'pha') -> None:
    for number in numbers:
        fgr, pha = figure(number, 0, w, h)
        if fgr_name in ('blurred_image', 'image'):
            fgr = photo(number, 0, w, h)
        _save(folder / fgr_name / f'p_{number:04d}.jpg', fgr)
        _save(folder / pha_name / f'p_{number:04d}.png', pha)


def _rgba_set(folder: Path, numbers: range, frames: int, w: int, h: int) -> None:
    """Folders of PNG frames, and one video with alpha (QuickTime animation, lossless)."""
    for number in numbers:
        for t in range(frames):
            _save(folder / f'{number:04d}' / f'{t:04d}.png', np.dstack(figure(number, t, w, h)))
    with av.open(str(folder / 'figure.mov'), 'w') as container:
        stream = container.add_stream('qtrle', rate=25)
        stream.width, stream.height, stream.pix_fmt = w, h, 'argb'
        for t in range(frames):
            picture = np.dstack(figure(numbers[0], t, w, h))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, 'rgba').reformat(format='argb')))
        container.mux(stream.encode(None))


def _people(folder: Path, clips: int, frames: int, w: int, h: int) -> None:
    """Two people beside each other, each with an alpha and a mask."""
    video = folder.parts[-2].startswith('V-HIM')
    kinds = [''] if folder.name != 'HIM2K' else ['natural', 'comp']
    scene, alphas, masks = ('fgr', 'pha', 'xmem') if video else ('images', 'alphas', 'masks_matched_r50_fpn_3x')
    for kind in kinds:
        for number in range(clips):
            for t in range(frames if video else 1):
                name = Path(kind) / f'{number:04d}'
                name = name / f'{t:04d}' if video else name
                picture = scenery(number, t, w, h)
                for person, shift in enumerate((-w // 4, w // 4)):
                    fgr, pha = (np.roll(x, shift, 1) for x in figure(number, 0 if not video else t, w, h))
                    share = pha[..., None] / 255
                    picture = np.uint8(picture * (1 - share) + fgr * share)
                    _save(folder / alphas / name / f'{person:02d}.png', pha)
                    _save(folder / masks / name / f'{person:02d}.png', (pha > 127).astype(np.uint8) * 255)
                _save((folder / scene / name).with_suffix('.jpg'), picture)


def _coco(folder: Path, clips: int, w: int, h: int) -> None:
    """Segment 1 + 256 * number is the person, its lower part a backpack; one more picture shows nobody."""
    annotations = []
    for number in range(clips + 1):
        name, person, backpack = f'{number:012d}', 1 + 256 * number, 2 + 256 * number + 65536
        pha = figure(number, 0, w, h)[1] > 127
        ids = np.where(pha, person, 0)
        ids[h - h // 4:][pha[h - h // 4:]] = backpack
        empty = number == clips
        ids = np.zeros_like(ids) if empty else ids
        _save(folder / 'train2017' / f'{name}.jpg', (scenery if empty else photo)(number, 0, w, h))
        rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
        _save(folder / 'panoptic_train2017' / f'{name}.png', rgb)
        segments = [] if empty else [{'id': person, 'category_id': 1}, {'id': backpack, 'category_id': 27}]
        annotations.append({'file_name': f'{name}.png', 'segments_info': segments})
    _save_json(folder / 'annotations' / 'panoptic_train2017.json', {'annotations': annotations})


def _youtubevis(folder: Path, clips: int, frames: int, w: int, h: int) -> None:
    videos, annotations = [], []
    for number in range(clips):
        names, masks = [], []
        for t in range(frames):
            names.append(f'{number:04d}/{t:05d}.jpg')
            _save(folder / 'JPEGImages' / names[-1], photo(number, t, w, h))
            masks.append({'size': [h, w], 'counts': encode_runs(figure(number, t, w, h)[1] > 127)})
        videos.append({'id': number + 1, 'file_names': names, 'width': w, 'height': h, 'length': frames})
        annotations.append({'video_id': number + 1, 'category_id': 26, 'segmentations': masks})
    videos.append({'id': clips + 1, 'file_names': ['nobody/00000.jpg'], 'width': w, 'height': h, 'length': 1})
    _save(folder / 'JPEGImages' / 'nobody' / '00000.jpg', scenery(0, 0, w, h))
    _save_json(folder / 'instances.json', {'videos': videos, 'annotations': annotations})


def encode_runs(mask: np.ndarray) -> list[int]:
    """Boolean (h, w) -> uncompressed run lengths, column by column, beginning with a skip."""
    flat = np.concatenate([[False], mask.T.reshape(-1), [not mask[-1, -1]]])
    changes = np.flatnonzero(np.diff(flat.astype(np.int8)))
    return np.diff(changes, prepend=0).tolist()


def _save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=95)


def _save_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def main() -> None:
    """Write a tree of every set."""
    parser = argparse.ArgumentParser(description='Write a small generated tree of every layout.')
    parser.add_argument('out', type=Path)
    parser.add_argument('--clips', type=int, default=2, help='clips, photos and backgrounds per set and split')
    parser.add_argument('--frames', type=int, default=6, help='frames per clip')
    parser.add_argument('--resolution', '--size', dest='size', type=int, nargs=2, default=(96, 64), metavar=('W', 'H'))
    args = parser.parse_args()
    print(f'wrote {write_tree(args.out, args.clips, args.frames, tuple(args.size))}')


if __name__ == '__main__':
    main()
