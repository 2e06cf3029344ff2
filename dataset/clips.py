"""Clips: numbered frames that are read by index, from folders of pictures or from video files."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files import natural_key
from video.random_access import frame_times, frames_at

from .files import (
    Damage,
    UnreadableFrame,
    cached,
    list_clips,
    list_pictures,
    list_videos,
    read_picture,
    shrunk_size,
)

Frame = tuple[np.ndarray, ...]  # what one index holds: (fgr, pha), (bgr,) or (img, seg); uint8, (H, W, 3) and (H, W)


@dataclass(frozen=True)
class PictureClip:
    """A clip whose frames are files: one or two pictures per frame, or one with alpha.

    Args:
        folders, modes: one of each per picture of a frame: (fgr folder, pha folder), ('RGB', 'L').
        names: per frame the file name in each folder.
    """

    name: str
    folders: tuple[Path, ...]
    modes: tuple[str, ...]
    names: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, indices: Sequence[int], size: int | None, damage: Damage) -> list[Frame]:
        """Frames at `indices`, each file decoded once. An unreadable frame is replaced by the next readable one.

        Raises:
            UnreadableFrame: no frame of the clip can be read.
        """
        frames = {index: None for index in indices}
        for index in frames:
            frames[index] = self._read_or_next(index, size, damage)
        return [frames[index] for index in indices]

    def read_one(self, index: int, size: int | None = None) -> Frame:
        """One frame; UnreadableFrame where it is damaged or its parts differ in size."""
        pictures = []
        for folder, mode, name in zip(self.folders, self.modes, self.names[index]):
            picture = read_picture(folder / name, mode, size)
            if pictures and picture.shape[:2] != pictures[0].shape[:2]:
                (h, w), (h0, w0) = picture.shape[:2], pictures[0].shape[:2]
                raise UnreadableFrame(folder / name, f'is {w}x{h} but {self.names[index][0]} is {w0}x{h0}')
            pictures.append(picture)
        return split_alpha(pictures[0]) if self.modes == ('RGBA',) else tuple(pictures)

    def _read_or_next(self, index: int, size: int | None, damage: Damage) -> Frame:
        for attempt in range(len(self)):
            try:
                return self.read_one((index + attempt) % len(self), size)
            except UnreadableFrame as error:
                damage.report(error)
                last = error
        raise last


@dataclass(frozen=True)
class VideoClip:
    """A clip that is a video file. Reading starts at the key frame before the first frame wanted.

    Args:
        mode: 'RGB' -> frames (bgr,); 'RGBA' -> frames (fgr, pha), straight alpha.
        times: presentation time of every frame in the stream's time base, ascending.
    """

    name: str
    path: Path
    mode: str
    times: Sequence[int]

    def __len__(self) -> int:
        return len(self.times)

    def read(self, indices: Sequence[int], size: int | None, damage: Damage) -> list[Frame]:
        """Frames at `indices`; one that cannot be decoded is replaced by the nearest one before or after it.

        Raises:
            UnreadableFrame: none of them can be decoded.
        """
        index_of = {self.times[index]: index for index in indices}
        try:
            decoded = frames_at(self.path, index_of, self.mode == 'RGBA', lambda shown: shrunk_size(shown, size))
        except (ValueError, OSError) as error:
            raise UnreadableFrame(self.path, str(error)) from error
        found = {index_of[time]: split_alpha(pixels) if self.mode == 'RGBA' else (pixels,)
                 for time, pixels in decoded.items()}
        if not found:
            raise UnreadableFrame(self.path, f'holds none of the frames {sorted(set(indices))}, it may be cut off')
        for index in set(indices) - found.keys():
            damage.report(UnreadableFrame(self.path, f'frame {index} cannot be decoded'))
        return [found[min(found, key=lambda have, index=index: abs(have - index))] for index in indices]


Clip = PictureClip | VideoClip


def split_alpha(pixels: np.ndarray) -> Frame:
    """(H, W, 4) -> fgr (H, W, 3) and pha (H, W)."""
    return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])


def paired_clips(fgr: Path, pha: Path) -> tuple[list[PictureClip], bool]:
    """Clips of two folders that mirror each other, and whether they are clips (True) or single pictures.

    Frames are paired by name without suffix (fgr as JPEG, pha as PNG is fine); `fgr/<clip>/` folders make clips,
    pictures directly in `fgr/` are one-frame clips.

    Raises:
        ValueError: a foreground without alpha or the other way round; names the first ones.
        FileNotFoundError: no pictures.
    """
    moving = bool(list_clips(fgr))
    left = list_clips(fgr) if moving else {'': list_pictures(fgr)}
    right = list_clips(pha) if moving else {'': list_pictures(pha)}
    clips, orphans = [], []
    for clip in left.keys() | right.keys():
        pairs, alone = pair_names(left.get(clip, ()), right.get(clip, ()))
        orphans += [str(fgr / clip / n) for n in alone[0]] + [str(pha / clip / n) for n in alone[1]]
        if pairs and moving:
            clips.append(PictureClip(clip, (fgr / clip, pha / clip), ('RGB', 'L'), pairs))
        elif pairs:
            clips += [PictureClip(pair[0], (fgr, pha), ('RGB', 'L'), [pair]) for pair in pairs]
    if orphans:
        raise ValueError(f'{len(orphans)} pictures have no partner of the same name in {fgr} and {pha}, for example '
                         f'{", ".join(sorted(orphans)[:3])}: complete or remove them')
    if not clips:
        raise FileNotFoundError(f'no pictures in {fgr}: expected fgr/<clip>/<frame>.jpg with pha/<clip>/<frame>.jpg, '
                                'or fgr/<name> with pha/<name>')
    return _in_order(clips), moving


def pair_names(left: Iterable[str], right: Iterable[str]) -> tuple[list[tuple[str, str]], tuple[list[str], list[str]]]:
    """Pairs of names equal but for the suffix, in the order of `left`, and the names without partner on each side."""
    partner = {os.path.splitext(name)[0]: name for name in right}
    pairs = [(name, partner[stem]) for name in left if (stem := os.path.splitext(name)[0]) in partner]
    paired = {b for _, b in pairs}
    return pairs, ([a for a in left if os.path.splitext(a)[0] not in partner], [b for b in right if b not in paired])


def rgba_clips(folder: Path) -> tuple[list[Clip], bool]:
    """Folders of frames with alpha, video files with alpha, or single pictures with alpha."""
    clips = [PictureClip(name, (folder / name,), ('RGBA',), [(frame,) for frame in frames])
             for name, frames in list_clips(folder).items()]
    clips += video_clips(folder, 'RGBA')
    if clips:
        return _in_order(clips), True
    stills = [PictureClip(name, (folder,), ('RGBA',), [(name,)]) for name in list_pictures(folder)]
    if not stills:
        raise FileNotFoundError(f'nothing with alpha in {folder}: expected *.png, <clip>/*.png, or video files with an '
                                'alpha channel')
    return stills, False


def folder_clips(folder: Path) -> list[Clip]:
    """Clips of a folder without alpha: `<clip>/<frame>.jpg` and video files."""
    clips = [PictureClip(name, (folder / name,), ('RGB',), [(frame,) for frame in frames])
             for name, frames in list_clips(folder).items()]
    return _in_order(clips + video_clips(folder, 'RGB'))


def video_clips(folder: Path, mode: str) -> list[VideoClip]:
    """Every video file of a folder, indexed once by its packets (nothing is decoded)."""
    clips = []
    for path in (folder / name for name in list_videos(folder)):
        times = cached(path, f'times-{mode}', lambda path=path: (frame_times(path, mode == 'RGBA'), [path]))
        if times:
            clips.append(VideoClip(path.name, path, mode, times))
    return clips


def _in_order(clips: list) -> list:
    return sorted(clips, key=lambda clip: natural_key(clip.name))
