"""Which frames of a clip make an item: speeds, holds, shifts and reversal."""

import random

TRAIN_SPEEDS = (0.5, 1, 2, 3, 4, 5)  # 0.5 shows each frame twice
SEGMENTATION_SPEEDS = (1,)


def train_frames(length: int, draws: random.Random, speeds: tuple[float, ...] = TRAIN_SPEEDS) -> list[int]:
    """Offsets of `length` frames, to be added to the start and wrapped at the end of the clip.

    0..length-1 times a speed, cut to integers, plus one shift from [0, length-1], reversed half of the time.
    """
    speed = draws.choice(speeds)
    shift = draws.randint(0, length - 1)
    frames = [int(t * speed) + shift for t in range(length)]
    return frames[::-1] if draws.random() < 0.5 else frames


def valid_frames(length: int, draws: random.Random | None = None) -> list[int]:
    """0..length-1, without a draw."""
    return list(range(length))


def wrapped(start: int, offsets: list[int], count: int) -> list[int]:
    """Frame numbers in a clip of `count` frames; past its end it begins again (a jump cut, as published)."""
    return [(start + offset) % count for offset in offsets]
