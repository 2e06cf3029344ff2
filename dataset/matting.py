"""Matting sets: every layout that gives foreground and alpha, as clips of fgr, pha and bgr that are not yet composited.

One class reads VideoMatte240K, photo sets in ImageMatte's layout (Distinctions-646, AM-2k, P3M-10k, HHM), sets with
backgrounds of their own (Brainstorm) and folders of pictures or videos with alpha. What differs stands in a table.
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from .augmentation import IMAGE_TRAIN, IMAGE_VALID, VIDEO_TRAIN, VIDEO_VALID, MotionAugmentation
from .backgrounds import Backgrounds
from .clips import Clip, Frame, paired_clips, rgba_clips
from .draws import SeededDataset
from .files import Damage, UnreadableFrame
from .paths import Paths, require
from .sampling import train_frames, valid_frames, wrapped


@dataclass(frozen=True)
class MattingSet:
    """What must be known of a set besides its folders."""

    has_foreground: bool = True  # False: whole photographs stand in for the foreground, do not compare colours


MATTING_SETS: dict[str, MattingSet] = {
    'videomatte': MattingSet(), 'videomatteHD': MattingSet(), 'brainstorm': MattingSet(),
    'imagematte': MattingSet(), 'imgbra': MattingSet(), 'am2k': MattingSet(), 'h646': MattingSet(), 'hhm': MattingSet(),
    'distinctions': MattingSet(), 'photos': MattingSet(),
    'p3m': MattingSet(has_foreground=False), 'ppm100': MattingSet(has_foreground=False),
    'photomatte85': MattingSet(), 'rgba': MattingSet(),
}


class MattingDataset(SeededDataset):
    """Clips of a matting set over random backgrounds.

    Of video clips every (clip, start) with start = 0, L, 2L, ... is an item. Of photos each is repeated L times and set
    in motion, and there are as many items as photos or backgrounds, whichever is more, so an epoch sees them all.

    Args:
        clips: of foregrounds and alphas. moving: clips (True) or photos.
        train: samplers, augmentation and a new draw each epoch; else plain order and the same draw always.
    Items:
        fgrs (T, 3, S, S), phas (T, 1, S, S), bgrs (T, 3, S, S), float32 in [0, 1], not composited.
    """

    def __init__(self, clips: list[Clip], moving: bool, backgrounds: Backgrounds, size: int, seq_length: int,
                 train: bool = True, has_foreground: bool = True, seed: int = 0):
        super().__init__(seed, fixed=not train)
        check_sizes(size=size, seq_length=seq_length)
        self.clips, self.moving, self.backgrounds = clips, moving, backgrounds
        self.size, self.seq_length, self.has_foreground = size, seq_length, has_foreground
        presets = ((IMAGE_VALID, VIDEO_VALID), (IMAGE_TRAIN, VIDEO_TRAIN))
        self.augmentation = MotionAugmentation(size, presets[train][moving])
        self.sampler = partial(train_frames if train else valid_frames, seq_length)
        self.starts = [(clip, start) for clip in clips for start in range(0, len(clip), seq_length)]
        self.damage = Damage()

    def __len__(self) -> int:
        return len(self.starts) if self.moving else max(len(self.starts), len(self.backgrounds))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        if index >= len(self):
            raise IndexError(index)
        draws = self.draws(index)
        frames = self._read(index, self.sampler(draws))
        bgrs = self.backgrounds.read(draws, self.seq_length, self.size, self.sampler)
        return self.augmentation([fgr for fgr, _ in frames], [pha for _, pha in frames], bgrs, draws)

    def _read(self, index: int, offsets: list[int]) -> list[Frame]:
        """T frames of start number `index`; past the last one they begin again, a clip that cannot be read at all is
        replaced by the next. A photo is a clip of one frame, and every offset wraps to it."""
        for attempt in range(len(self.starts)):
            clip, start = self.starts[(index + attempt) % len(self.starts)]
            try:
                return clip.read(wrapped(start, offsets, len(clip)), self.size, self.damage)
            except UnreadableFrame as error:
                self.damage.report(error)
        raise RuntimeError(f'none of the {len(self.clips)} clips or photos can be read: {list(self.damage.paths)[:3]}')


def matting_dataset(name: str, split: str, paths: Paths, size: int, seq_length: int, seed: int = 0,
                    background_set: str = '') -> MattingDataset:
    """A set of MATTING_SETS for training or validation.

    Args:
        split: 'train' or 'valid'. size: side S of the square frames. seq_length: frames T of an item.
        background_set: the only set of backgrounds that is used, also instead of the set's own; '': all that are there.
    Raises:
        ValueError: unknown name or split, foregrounds without alpha.
        FileNotFoundError: the set or every background is missing; names the expected layout and what was found.
    """
    if name not in MATTING_SETS:
        raise ValueError(f'unknown matting set {name!r}; known: {", ".join(MATTING_SETS)}')
    if split not in ('train', 'valid'):
        raise ValueError(f"split must be 'train' or 'valid', got {split!r}")
    roles = require(paths, name, split)
    clips, moving = rgba_clips(roles['rgba']) if 'rgba' in roles else paired_clips(roles['fgr'], roles['pha'])
    if 'bgr' in roles and not background_set:
        backgrounds = Backgrounds.from_folder(roles['bgr'])
    else:
        backgrounds = Backgrounds.from_paths(paths, split, background_set)
    return MattingDataset(clips, moving, backgrounds, size, seq_length, split == 'train',
                          MATTING_SETS[name].has_foreground, seed)


def check_sizes(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f'{name} must be at least 1, got {value}')
