"""Backgrounds for composition: single pictures and clips without people."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .clips import Clip, PictureClip, folder_clips
from .files import Damage, UnreadableFrame, list_pictures
from .paths import Paths, exists, expected_layout, found_at, require
from .sampling import wrapped

PICTURE_SETS, CLIP_SETS = ('background_images', 'bg20k'), ('background_videos',)


class Backgrounds:
    """Draws T frames: half of the time one picture repeated, else a clip; only what exists where one kind is missing.

    Args:
        pictures: every frame is a background of its own. clips: folders of frames and video files.
    """

    def __init__(self, pictures: list[PictureClip], clips: list[Clip], damage: Damage | None = None):
        if not pictures and not clips:
            raise FileNotFoundError('backgrounds: neither pictures nor clips')
        self.pictures, self.clips = pictures, clips
        self.damage = Damage() if damage is None else damage

    @classmethod
    def from_folder(cls, folder: Path) -> 'Backgrounds':
        """A folder that belongs to one set: clips where it holds any, else pictures."""
        clips = folder_clips(folder)
        pictures = [] if clips else folder_pictures(folder)
        if not pictures and not clips:
            raise FileNotFoundError(f'no backgrounds in {folder}: expected {expected_layout({"dir": folder})}')
        return cls(pictures, clips)

    @classmethod
    def from_paths(cls, paths: Paths, split: str, only: str = '') -> 'Backgrounds':
        """Every background set that is there, or the one that is named.

        Raises:
            FileNotFoundError: none is, or all are empty. ValueError: the name is no set of backgrounds.
        """
        if only:
            if only not in PICTURE_SETS + CLIP_SETS:
                raise ValueError(f'unknown set of backgrounds {only!r}; known: {", ".join(PICTURE_SETS + CLIP_SETS)}')
            return cls.from_folder(require(paths, only, split)['dir'])
        folders = {name: paths[name][split]['dir'] for name in PICTURE_SETS + CLIP_SETS if split in paths[name]}
        pictures = [clip for name in PICTURE_SETS if exists(paths, name, split)
                    for clip in folder_pictures(folders[name])]
        clips = [clip for name in CLIP_SETS if exists(paths, name, split) for clip in folder_clips(folders[name])]
        if not pictures and not clips:
            raise FileNotFoundError(f'no backgrounds ({split}): expected {expected_layout({"dir": Path()})} in one or '
                                    f'more of {", ".join(map(str, folders.values()))}. Found '
                                    f'{found_at(folders["background_images"])}')
        return cls(pictures, clips)

    def __len__(self) -> int:
        """Single pictures and clips together."""
        return sum(map(len, self.pictures)) + len(self.clips)

    def read(self, draws: random.Random, T: int, size: int,
             sampler: Callable[[random.Random], list[int]]) -> list[np.ndarray]:
        """T frames (H, W, 3) uint8, at most `size` on the shorter side; `sampler(draws)` gives frame offsets."""
        still = draws.random() < 0.5
        if self.pictures and (still or not self.clips):
            index = draws.randrange(sum(map(len, self.pictures)))
            for folder in self.pictures:
                if index < len(folder):
                    return [folder.read([index], size, self.damage)[0][0]] * T
                index -= len(folder)
        first = draws.randrange(len(self.clips))
        for attempt in range(len(self.clips)):
            clip = self.clips[(first + attempt) % len(self.clips)]
            start = draws.randrange(max(1, len(clip) - T))
            try:
                return [frame for frame, in clip.read(wrapped(start, sampler(draws), len(clip)), size, self.damage)]
            except UnreadableFrame as error:
                self.damage.report(error)
        raise RuntimeError(f'none of the {len(self.clips)} background clips can be read')


def folder_pictures(folder: Path) -> list[PictureClip]:
    """All pictures in and below a folder as the frames of one clip, so that a damaged one is replaced by the next."""
    names = list_pictures(folder)
    return [PictureClip(str(folder), (folder,), ('RGB',), [(name,) for name in names])] if names else []
