"""A matte for each person, by the simple way: the matte of everybody, divided by rough masks of each.

Any recurrent network will do. What it takes for a person and no mask is near belongs to nobody.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from .division import shares
from .frames import to_device
from .matter import Matter
from .prediction import Prediction

TINT = 0.6      # of a person's colour in the label preview


class Masks(Protocol):
    """Masks of a clip; `video.masks` reads them."""

    people: tuple[str, ...]

    def at(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """(N, H, W) bool at size (W, H) [px], front to back."""


def person_colour(n: int) -> tuple[float, float, float]:
    """RGB in [0, 1] of person `n`; neighbours in number are far apart in hue."""
    hue = int(n * 180 * 0.381966) % 180
    bgr = cv2.cvtColor(np.uint8([[[hue, 200, 255]]]), cv2.COLOR_HSV2RGB)[0, 0]
    return tuple(float(channel) / 255 for channel in bgr)


class PeopleMatter:
    """Mattes each person frame after frame; used like `Matter`.

        matter = PeopleMatter(Matter(load_network()), open_masks('masks', Clip(count=300)))
        for frame in VideoReader('in.mp4'):
            fgr, pha = matter.step(frame.pixels)           # (3, H, W) and (N, H, W)

    Args:
        matter: for everybody together.
        masks: of the clip, or None where every call of `step` brings its own.
    """

    def __init__(self, matter: Matter, masks: Masks | None = None):
        self.matter, self.masks = matter, masks
        self.device, self.dtype = matter.device, matter.dtype
        self.interface = replace(matter.interface, outputs=(*matter.interface.outputs, 'labels'))
        self.index = 0

    def reset(self) -> None:
        """The next frame is the first of the clip."""
        self.matter.reset()
        self.index = 0

    @property
    def notes(self) -> list[str]:
        """What `Matter` has to say."""
        return self.matter.notes

    def ratio_for(self, width: int, height: int) -> float:
        """As of the matter of everybody."""
        return self.matter.ratio_for(width, height)

    def check_size(self, width: int, height: int) -> None:
        """As of the matter of everybody."""
        self.matter.check_size(width, height)

    def internal_size(self, width: int, height: int) -> tuple[int, int]:
        """As of the matter of everybody."""
        return self.matter.internal_size(width, height)

    def step(self, pixels: np.ndarray, masks: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """Matte the next frame.

        Args:
            pixels: (H, W, 3) uint8 or uint16 RGB.
            masks: (N, H, W) bool, front to back; the clip's own where None.
        Returns:
            fgr (3, H, W) and pha (N, H, W), float32 in [0, 1].
        """
        prediction = self.predict([pixels], None if masks is None else [masks])[0]
        rows = [prediction.person(n).rows(0, prediction.height) for n in range(prediction.count)]
        pha = torch.cat([own['pha'] for own in rows]) if rows else prediction.rows(0, prediction.height)['pha'][:0]
        return prediction.rows(0, prediction.height)['fgr'], pha

    def predict(self, frames: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None
                ) -> list['PeoplePrediction']:
        """Matte the next frames, which all have one size.

        Raises:
            ValueError: masks of another size than their frame, or none at all.
        """
        size = frames[0].shape[1::-1]
        for mask in masks or ():
            if mask.ndim != 3 or mask.shape[1:] != frames[0].shape[:2]:
                raise ValueError(f'masks must be (N, {size[1]}, {size[0]}) as the frame is, got {list(mask.shape)}')
        if masks is None and self.masks is None:
            raise ValueError('no masks: hand them to the constructor or to every call')
        out = []
        for number, (frame, prediction) in enumerate(zip(frames, self.matter.predict(frames), strict=True)):
            # Read where the picture is made, beside the network.
            read = partial(self.masks.at, self.index + number, size) if masks is None else partial(
                np.asarray, masks[number], bool)
            out.append(PeoplePrediction(prediction, read, frame))
        self.index += len(frames)
        return out


class PeoplePrediction:
    """What is said about everybody with a mask, together; `person(n)` is one of them.

    Args:
        prediction: of everybody in the picture.
        masks: gives (N, H, W) bool.
        pixels: (H, W, 3) source frame.
    """

    def __init__(self, prediction: Prediction, masks: Callable[[], np.ndarray], pixels: np.ndarray):
        self._prediction, self._masks, self._pixels = prediction, masks, pixels
        self._planes: dict[str, Tensor] = {}
        self.height, self.device = prediction.height, prediction.device

    @cached_property
    def shares(self) -> Tensor:
        """(N, H, W) of each person."""
        return torch.from_numpy(shares(self._masks())).to(self.device)

    @property
    def count(self) -> int:
        return len(self.shares)

    def everybody(self, pha: Tensor) -> Tensor:
        """(1, H, W) alpha that is divided, from that of the matte."""
        return pha

    def person(self, n: int) -> 'PersonPrediction':
        return PersonPrediction(self, n)

    def rows_of(self, n: int | None, start: int, stop: int, names: Sequence[str]) -> dict[str, Tensor]:
        """Answers with the alpha of one person, or with that of all who have a mask."""
        missing = [name for name in names if name not in self._planes and name != 'labels']
        if missing:         # of the whole frame: several people look at the same rows
            self._planes |= self._prediction.rows(0, self.height, missing)
            if 'pha' in missing:
                self._planes['pha'] = self.everybody(self._planes['pha'])
        rows = {name: self._planes[name][:, start:stop] for name in names if name in self._planes}
        if 'pha' in rows:
            own = self.shares[:, start:stop].sum(0).clamp_(max=1) if n is None else self.shares[n, start:stop]
            rows['pha'] = rows['pha'] * own
        return rows

    def rows(self, start: int, stop: int, names: Sequence[str] = ('fgr', 'pha')) -> dict[str, Tensor]:
        """(C, R, W) float32 in [0, 1] of rows start..stop, by name; 'labels' is the frame with people in colours."""
        rows = self.rows_of(None, start, stop, names)
        return rows | {'labels': self._labels(start, stop)} if 'labels' in names else rows

    def _labels(self, start: int, stop: int) -> Tensor:
        picture = to_device(self._pixels[start:stop], self.device)
        for n in range(self.count):
            alpha = self.rows_of(n, start, stop, ('pha',))['pha']
            colour = torch.tensor(person_colour(n), device=self.device)[:, None, None]
            picture = torch.lerp(picture, colour.expand_as(picture), TINT * alpha)
        return picture

    def small_alpha(self, n: int | None = None) -> np.ndarray:
        """(h, w) float32 alpha, at any size."""
        pha = self._prediction.small_alpha()
        own = (self.shares.sum(0).clamp(max=1) if n is None else self.shares[n]).cpu().numpy()
        return pha * cv2.resize(own, pha.shape[::-1], interpolation=cv2.INTER_AREA)


class PersonPrediction:
    """One person of a frame."""

    def __init__(self, people: PeoplePrediction, n: int):
        self._people, self._n = people, n
        self.height, self.device = people.height, people.device

    def rows(self, start: int, stop: int, names: Sequence[str] = ('fgr', 'pha')) -> dict[str, Tensor]:
        """(C, R, W) float32 in [0, 1] of rows start..stop, by name."""
        return self._people.rows_of(self._n, start, stop, names)

    def small_alpha(self) -> np.ndarray:
        """(h, w) float32 alpha, at any size."""
        return self._people.small_alpha(self._n)
