"""Which frame a mask belongs to, from the names of files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """What must be known of the clip that masks belong to.

    Args:
        names: file names of the frames of an image folder, () for a video.
        count: number of frames, None when the container does not say.
    """

    names: tuple[str, ...] = ()
    count: int | None = None

    def describe(self) -> str:
        if self.names:
            return f'the clip has {len(self.names)} frames, {self.names[0]} to {self.names[-1]}'
        return f'the clip has {self.count} frames, numbered from 0'


def match_frames(files: Sequence[Path], clip: Clip) -> list[int]:
    """The frame of each file.

    Equal names first; else the last number in each name, counted from 0, or from 1 where only that fits.

    Raises:
        ValueError: naming the file for which there is no frame, or two files for one frame.
    """
    stems = {Path(name).stem: index for index, name in enumerate(clip.names)}
    if stems and any(file.stem in stems for file in files):
        for file in files:
            if file.stem not in stems:
                raise ValueError(f'mask {file} belongs to no frame: {clip.describe()}')
        return [stems[file.stem] for file in files]
    if len(files) == 1 and last_number(files[0]) is None:
        return [0]
    return match_numbers([number_of(file) for file in files], [str(file) for file in files], clip)


def match_numbers(numbers: Sequence[int], labels: Sequence[str], clip: Clip) -> list[int]:
    """Numbers of masks -> frames; `labels` name them in messages.

    Raises:
        ValueError: see `match_frames`.
    """
    count = clip.count if clip.count is not None else len(clip.names) or None
    first = 0
    if count is not None and min(numbers) > 0:
        consecutive = sorted(numbers) == list(range(min(numbers), min(numbers) + count))
        if consecutive:
            first = min(numbers)           # one for each frame, wherever the counting starts
        elif max(numbers) == count:
            first = 1
    frames = [number - first for number in numbers]
    seen: dict[int, str] = {}
    for frame, label in zip(frames, labels):
        if frame < 0 or (count is not None and frame >= count):
            raise ValueError(f'mask {label} belongs to no frame: {clip.describe()}')
        if frame in seen:
            raise ValueError(f'masks {seen[frame]} and {label} are both of frame {frame}: one mask for each frame '
                             'was expected')
        seen[frame] = label
    return frames


def last_number(file: Path) -> int | None:
    numbers = re.findall(r'\d+', file.stem)
    return int(numbers[-1]) if numbers else None


def number_of(file: Path) -> int:
    """
    Raises:
        ValueError: no number in the name.
    """
    number = last_number(file)
    if number is None:
        raise ValueError(f'mask {file} does not say which frame it is of: expected a number in its name, such as '
                         '00012.png')
    return number
