"""Masks of the people of one clip, whatever they were read from."""

from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np


class MaskSource(Protocol):
    """One way in which masks are stored."""

    def read(self, key: int) -> np.ndarray:
        """Everything at one key: (h, w) labels, or one person's (h, w) mask; what the track's entries say."""


@dataclass(frozen=True)
class Entry:
    """Where one person's mask of one frame is.

    Args:
        key: what the source is asked for.
        label: the person's label in what it answers, or None where the answer is this person's mask alone.
    """

    key: int
    label: int | None


@dataclass
class MaskTrack:
    """Masks by person and frame.

    Args:
        source: where pixels come from.
        people: names, front to back: where masks overlap, the first one is in front.
        entries: for each person, frame -> where; a frame that is not there has no mask and is filled. An entry whose
            mask is empty says that the person is not in the picture.
        notes: what the user should know.
    """

    source: MaskSource
    people: tuple[str, ...]
    entries: tuple[dict[int, Entry], ...]
    notes: list[str] = field(default_factory=list)

    def known(self, frame: int) -> np.ndarray:
        """(N,) bool: who has a mask at this frame."""
        return np.array([frame in frames for frames in self.entries])

    def complete(self, frame_count: int) -> bool:
        """Whether everybody has a mask at every frame."""
        return all(len(frames) >= frame_count and all(t in frames for t in range(frame_count))
                   for frames in self.entries)

    def last(self) -> int:
        """The last frame with a mask of anybody."""
        return max(max(frames) for frames in self.entries if frames)

    def at(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """(N, H, W) bool at size (W, H) [px]; nothing for people without a mask at this frame."""
        masks = np.zeros((len(self.people), size[1], size[0]), bool)
        answers: dict[int, np.ndarray] = {}
        for mask, frames in zip(masks, self.entries):
            entry = frames.get(frame)
            if entry is None:
                continue
            if entry.key not in answers:
                answers[entry.key] = self.source.read(entry.key)
            answer = answers[entry.key]
            mask[:] = resize_mask(answer == entry.label if entry.label is not None else answer, size)
        return masks


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) bool -> (H, W) bool at size (W, H) [px]: a pixel is on where at least half of it is."""
    if mask.shape == (size[1], size[0]):
        return mask
    shrinks = size[0] < mask.shape[1]
    soft = cv2.resize(mask.astype(np.uint8) * 255, size,
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return soft >= 128
