"""Where the sets lie: names, layouts under one root, and messages that say what was expected and what was found.

The root comes from the caller (--data-root), the environment variable MATTING_DATA, or a YAML file that may also move
single folders; nothing is edited in the source. Example of a file, relative paths are under `root`:

    root: /data/matting
    videomatte: {train: {fgr: VideoMatte240K_SD/train/fgr, pha: VideoMatte240K_SD/train/pha}}
"""

import os
from pathlib import Path

from files.documents import read_yaml

ROOT_VARIABLE = 'MATTING_DATA'
DEFAULT_FILE = 'data_paths.yaml'  # read from the working folder when neither a root nor a file is given

Paths = dict[str, dict[str, dict[str, Path]]]  # name -> split -> role -> folder or file


def _matting(name: str, *published: tuple[str, str, str], valid: str = 'valid') -> dict[str, list[dict[str, str]]]:
    """Splits of a matting set: ours (fgr, pha, optional bgr) first, then names under which it is published."""
    roles = [('fgr', 'pha', 'bgr'), *published]
    return {split: [{role: f'{name}/{folder}/{sub}' for role, sub in zip(('fgr', 'pha', 'bgr'), subs) if sub}
                    for subs in roles for folder in dict.fromkeys((split, alias))]
            for split, alias in (('train', 'train'), ('valid', valid))}


def _people(folder: str, place: str, split: str, kind: str) -> list[dict[str, str]]:
    """Pictures or clips of several people; the folders of masks are those of the releases, then plain ones."""
    where = f'{folder}/{place}' if '{split}' in place else f'{folder}/{split}/{place}'
    names = [('images', 'alphas', masks) for masks in ('masks_matched_r50_fpn_3x', 'masks')] if kind == 'images' else [
        ('fgr', 'pha', masks) for masks in ('xmem', 'masks')]
    return [{role: where.format(sub=sub, split=split) for role, sub in zip((kind, 'alphas', 'masks'), subs)}
            for subs in names]


# Alternatives are tried in order; the first whose folders (bgr aside) exist is taken, else the first of all.
LAYOUTS: dict[str, dict[str, list[dict[str, str]]]] = {
    'videomatte': _matting('videomatte'),
    'videomatteHD': _matting('videomatteHD'),
    'brainstorm': _matting('brainstorm'),
    'imagematte': _matting('imagematte'),
    'imgbra': _matting('imgbra'),
    'am2k': _matting('am2k', ('fg', 'mask', 'bg'), valid='validation'),
    'h646': _matting('h646', ('fg', 'alpha', '')),
    'hhm': _matting('hhm', ('fg', 'alpha', '')),
    'distinctions': _matting('distinctions', ('fg', 'alpha', ''), valid='test'),
    # whole photographs, too
    'ppm100': {split: [{'fgr': f'ppm100/{split}/image', 'pha': f'ppm100/{split}/matte'}]
               for split in ('train', 'valid')},
    # what dataset.pack_photos writes
    'photos': {split: [{'fgr': f'photos/{split}/fgr', 'pha': f'photos/{split}/pha'}] for split in ('train', 'valid')},
    # P3M-10k publishes whole photographs: they stand in for the foreground, which is then never compared.
    'p3m': {'train': [{'fgr': 'p3m/train/blurred_image', 'pha': 'p3m/train/mask'}],
            'valid': [{'fgr': f'p3m/validation/{sub}', 'pha': 'p3m/validation/P3M-500-P/mask'}
                      for sub in ('P3M-500-P/blurred_image', 'P3M-500-P/original_image')]},
    # a test set: nobody should train on it
    'photomatte85': {'valid': [{'fgr': 'photomatte85/fgr', 'pha': 'photomatte85/pha'}, {'rgba': 'photomatte85'}]},
    'rgba': {'train': [{'rgba': 'rgba/train'}], 'valid': [{'rgba': 'rgba/valid'}]},
    'background_images': {'train': [{'dir': 'background_images/train'}], 'valid': [{'dir': 'background_images/valid'}]},
    'bg20k': {'train': [{'dir': 'bg20k/train'}], 'valid': [{'dir': 'bg20k/testval'}, {'dir': 'bg20k/valid'}]},
    'background_videos': {'train': [{'dir': 'background_videos/train'}], 'valid': [{'dir': 'background_videos/valid'}]},
    'coco_panoptic': {'train': [{'imgdir': 'coco_panoptic/train2017',
                                 'anndir': f'coco_panoptic/{folder}panoptic_train2017',
                                 'annfile': 'coco_panoptic/annotations/panoptic_train2017.json'}
                                for folder in ('', 'annotations/')]},
    'spd': {'train': [{'imgdir': 'spd/img', 'segdir': 'spd/seg'}, {'imgdir': 'spd/src', 'segdir': 'spd/msk'}]},
    'youtubevis': {'train': [{'videodir': 'youtubevis/train/JPEGImages',
                              'annfile': 'youtubevis/train/instances.json'}]},
    # several people, with an alpha of each; M-HIM2K adds sets of masks to HIM2K, one folder for each detector
    'i_him50k': {'train': _people('I-HIM50K', '{sub}', 'train', 'images')},
    'him2k': {split: _people('HIM2K', '{sub}/{split}', split, 'images') for split in ('natural', 'comp')},
    'v_him2k5': {'train': _people('V-HIM2K5', '{sub}', 'train', 'frames')},
    'v_him60': {split: _people('V-HIM60', '{sub}', split, 'frames') for split in ('easy', 'medium', 'hard')},
}

EXPECTED = {
    ('fgr', 'pha'): 'fgr/<clip>/<frame>.jpg with pha/<clip>/<frame>.jpg, or for photos fgr/<name> with pha/<name>; '
                    'own backgrounds, if any, in bgr/',
    ('rgba',): 'pictures with alpha (*.png), folders of such frames, or videos with an alpha channel',
    ('dir',): 'pictures, or for videos <clip>/<frame>.jpg or video files',
    ('imgdir', 'anndir', 'annfile'): 'train2017/*.jpg, panoptic_train2017/*.png, annotations/panoptic_train2017.json',
    ('imgdir', 'segdir'): 'img/* with seg/* (or src/* with msk/*), paired by name',
    ('images', 'alphas'): 'images/<name>.jpg with alphas/<name>/00.png, 01.png, ..., and masks alike',
    ('frames', 'alphas'): 'fgr/<video>/<frame>.jpg with pha/<video>/<frame>/00.png, 01.png, ..., and masks alike',
    ('videodir', 'annfile'): 'train/JPEGImages/<video>/<frame>.jpg and train/instances.json',
}
OPTIONAL = {'bgr', 'masks'}


def data_paths(root: str | Path | None = None, file: str | Path | None = None) -> Paths:
    """Folders of every set by name, split and role, whether they exist or not.

    Args:
        root: folder that holds the sets; else the environment variable MATTING_DATA, else `root` in the file.
        file: YAML file that moves the root or single folders; else data_paths.yaml in the working folder if there.
    Raises:
        ValueError: no root from anywhere, or a name in the file that is no set.
        FileNotFoundError: the root or the file does not exist.
    """
    if file is None and root is None and Path(DEFAULT_FILE).is_file():
        file = DEFAULT_FILE
    moved = {} if file is None else _read_file(Path(file))
    root = root or os.environ.get(ROOT_VARIABLE) or moved.pop('root', None)
    moved.pop('root', None)
    if root is None:
        raise ValueError(f'no data root: give --data-root, set {ROOT_VARIABLE}, or write `root:` into {DEFAULT_FILE}')
    root = Path(root).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f'data root {root} is not a folder; `python -m dataset.synthetic {root}` writes a '
                                'small generated tree to try things out')
    paths = {name: {split: _resolve(root, choices) for split, choices in splits.items()}
             for name, splits in LAYOUTS.items()}
    for name, splits in moved.items():
        for split, roles in splits.items():
            paths[name][split] = {role: root / Path(path).expanduser() for role, path in roles.items()}
    return paths


def require(paths: Paths, name: str, split: str) -> dict[str, Path]:
    """Folders of one split.

    Raises:
        FileNotFoundError: something is missing; names the expected layout and what was found.
    """
    if name not in paths or split not in paths[name]:
        known = ', '.join(f'{n} ({"/".join(splits)})' for n, splits in paths.items())
        raise ValueError(f'no paths for the {split} split of {name!r}; known: {known}')
    roles = paths[name][split]
    missing = [path for role, path in roles.items() if role not in OPTIONAL and not path.exists()]
    if missing:
        raise FileNotFoundError(f'{name} ({split}): {missing[0]} does not exist. Expected {expected_layout(roles)}. '
                                f'Found {found_at(missing[0])}')
    return {role: path for role, path in roles.items() if path.exists()}


def exists(paths: Paths, name: str, split: str) -> bool:
    """True where every folder of the split is there."""
    roles = paths.get(name, {}).get(split, {})
    return bool(roles) and all(path.exists() for role, path in roles.items() if role not in OPTIONAL)


def expected_layout(roles: dict[str, Path]) -> str:
    """One line on what belongs into these folders."""
    return EXPECTED.get(tuple(role for role in roles if role not in OPTIONAL), ', '.join(map(str, roles.values())))


def found_at(path: Path) -> str:
    """What the nearest existing folder above `path` holds."""
    while not path.is_dir():
        path = path.parent
    names = sorted(entry.name for entry in path.iterdir())
    more = f' and {len(names) - 8} more' if len(names) > 8 else ''
    return f'in {path}: ' + (', '.join(names[:8]) + more if names else 'nothing')


def _resolve(root: Path, choices: list[dict[str, str]]) -> dict[str, Path]:
    there = [roles for roles in choices
             if all((root / path).exists() for role, path in roles.items() if role not in OPTIONAL)]
    masked = [roles for roles in there if 'masks' in roles and (root / roles['masks']).exists()]
    roles = (masked or there or choices)[0]
    return {role: root / path for role, path in roles.items()}


def _read_file(file: Path) -> dict:
    content = read_yaml(file, 'data paths file')
    for name, splits in content.items():
        if name == 'root':
            if not isinstance(splits, str):
                raise ValueError(f'{file}: root must be a path, got {str(splits)[:80]!r}')
            continue
        if name not in LAYOUTS:
            raise ValueError(f'{file}: {name!r} is no set; known: root, {", ".join(LAYOUTS)}')
        if not isinstance(splits, dict) or not all(isinstance(roles, dict) and all(
                isinstance(path, str) for path in roles.values()) for roles in splits.values()):
            raise ValueError(f'{file}: {name} must be a mapping split -> role -> path, for example '
                             f'{name}: {{train: {{fgr: ..., pha: ...}}}}, got {str(splits)[:80]}')
    return content
