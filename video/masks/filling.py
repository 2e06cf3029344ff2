"""Masks for every frame from masks of some: carried forward and backward from the nearest key frames.

Between a mask and one that is empty somebody comes or goes, at a frame that nobody named. The mask is carried all the
way, and given up where the matte has not seen this person for a moment.
"""

import zlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from .flow import Carrier, snap, thumbnail, thumbnail_size
from .track import MaskTrack, resize_mask

SEEN = 0.1      # of a mask: where the matte covers less of it, this person may have gone
GONE = 4        # frames of that in a row: he has


@dataclass(frozen=True)
class Filled:
    """One mask that was carried."""

    bits: bytes         # compressed, at thumbnail size
    key: int            # the frame it was carried from
    sure: float         # in [0, 1]


class FilledTrack:
    """A track that has a mask of everybody at every frame; those that were there already are untouched.

    Args:
        track: as read.
        filled: for each person, frame -> what was carried there.
        small: (w, h) [px] of carried masks.
    """

    def __init__(self, track: MaskTrack, filled: tuple[dict[int, Filled], ...], small: tuple[int, int]):
        self.track, self.filled, self.small = track, filled, small
        self.people = track.people

    @property
    def notes(self) -> list[str]:
        return self.track.notes + self.report()

    def at(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """(N, H, W) bool at size (W, H) [px]."""
        masks = self.track.at(frame, size)
        for mask, carried in zip(masks, self.filled):
            if frame in carried:
                mask[:] = resize_mask(unpack(carried[frame].bits, self.small), size)
        return masks

    def report(self) -> list[str]:
        """One line for each run of carried masks: whose, which frames, from where, how sure."""
        lines = []
        for person, carried in zip(self.people, self.filled):
            for run in runs(sorted(carried)):
                keys = sorted({carried[frame].key for frame in run})
                worst = min(run, key=lambda frame: carried[frame].sure)
                mean = sum(carried[frame].sure for frame in run) / len(run)
                frames = f'frame {run[0]}' if len(run) == 1 else f'frames {run[0]} to {run[-1]}'
                lines.append(f'masks of {person}: {frames} filled by motion from {" and ".join(map(str, keys))}, sure '
                             f'{mean:.2f} in the mean, {carried[worst].sure:.2f} at frame {worst}')
        return lines


def fill(track: MaskTrack, frames: Iterable[tuple[np.ndarray, np.ndarray | None]]) -> FilledTrack:
    """Give everybody a mask at every frame.

    Args:
        frames: of the whole clip, in order: (H, W, 3) pixels, and (h, w) float32 alpha of everybody at any size, to
            which carried masks are snapped, or None.
    """
    thumbs, mattes, small = _Thumbnails(), _Thumbnails(), (0, 0)
    size = None
    for pixels, matte in frames:
        if size is None:
            size = pixels.shape[1::-1]
            small = thumbnail_size(*size)
        grey = thumbnail(pixels)
        thumbs.append(grey if grey.shape == (small[1], small[0]) else cv2.resize(grey, small))
        mattes.append(None if matte is None else cv2.resize(np.uint8(np.clip(matte, 0, 1) * 255 + 0.5), small))
    filled = tuple({} for _ in track.people)
    keys = [_Keys(track, n, small) for n in range(len(track.people))]
    for order in (range(len(thumbs)), range(len(thumbs) - 1, -1, -1)):
        _carry(track, keys, order, thumbs, mattes, small, filled)
    return FilledTrack(track, filled, small)


class _Keys:
    """The frames that have a mask of one person, and which of them the others are filled from."""

    def __init__(self, track: MaskTrack, person: int, small: tuple[int, int]):
        self.frames = sorted(track.entries[person])
        self.empty = cache(lambda frame: not track.at(frame, small)[person].any())

    def of(self, frame: int) -> tuple[int, bool]:
        """The key frame that a frame is filled from, -1 where there is none; and whether the other one beside it says
        that nobody is there."""
        place = bisect_left(self.frames, frame)
        around = self.frames[max(place - 1, 0):place + 1]
        if len(around) == 2 and self.empty(around[0]) != self.empty(around[1]):
            return around[self.empty(around[0])], True
        return min(around, key=lambda other: abs(other - frame), default=-1), False


def _carry(track: MaskTrack, keys: list[_Keys], order: range, thumbs: '_Thumbnails', mattes: '_Thumbnails',
           small: tuple[int, int], filled: tuple[dict[int, Filled], ...]) -> None:
    """Go through the clip in one direction and fill the frames whose nearest masks come from that side."""
    N, carrier = len(track.people), Carrier()
    masks = np.zeros((N, small[1], small[0]), np.float32)
    key, sure, unseen, before = np.full(N, -1), np.ones(N), np.zeros(N, int), None
    for frame in order:
        known = track.known(frame)
        nearest, going = map(np.array, zip(*(own.of(frame) for own in keys)))
        wanted = ~known & (key >= 0) & (key == nearest)
        if wanted.any():
            masks[wanted], step = carrier.carry(masks[wanted], thumbs[before], thumbs[frame])
            matte = mattes[frame]
            if matte is not None:
                unseen = np.where(wanted & going & ~seen_by(matte, masks), unseen + 1, 0)
                masks[unseen >= GONE] = 0
                # the matte is everybody's: people whose masks are known here share it out too
                everybody = np.where(known[:, None, None], track.at(frame, small), masks).astype(np.float32)
                masks[wanted] = snap(everybody, matte / np.float32(255))[wanted]
            sure[wanted] *= step
            for n in np.flatnonzero(wanted):
                filled[n][frame] = Filled(pack(masks[n] > 0.5), int(key[n]), float(sure[n]))
        key[~known & ~wanted] = -1
        masks[~known & ~wanted] = 0
        if known.any():
            masks[known] = track.at(frame, small)[known]
            key[known], sure[known], unseen[known] = frame, 1, 0
        before = frame


def seen_by(matte: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(N,) whether a matte (h, w) uint8 covers some of each mask (N, h, w); it does of an empty one."""
    hard = masks > 0.5
    return (hard & (matte > 127)).sum((1, 2)) >= SEEN * hard.sum((1, 2))


class _Thumbnails:
    """Small grey pictures, kept as JPEGs: about 10 kB each."""

    def __init__(self):
        self._files: list[np.ndarray | None] = []

    def append(self, picture: np.ndarray | None) -> None:
        self._files.append(None if picture is None else
                           cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> np.ndarray | None:
        data = self._files[index]
        return None if data is None else cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def pack(mask: np.ndarray) -> bytes:
    return zlib.compress(np.packbits(mask).tobytes(), 1)


def unpack(data: bytes, size: tuple[int, int]) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(zlib.decompress(data), np.uint8), count=size[0] * size[1])
    return bits.reshape(size[1], size[0]).astype(bool)


def runs(numbers: list[int]) -> list[list[int]]:
    """Consecutive numbers together."""
    out: list[list[int]] = []
    for number in numbers:
        if out and number == out[-1][-1] + 1:
            out[-1].append(number)
        else:
            out.append([number])
    return out
