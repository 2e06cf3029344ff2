"""From true alphas to masks as detectors and trackers deliver them: rough, holed, swapped.

All draws of a clip are shared by its frames and people where a tracker would err alike. Sizes are meant for pictures of
512 pixels and shrink with smaller ones. Masks are made after every transform of the picture, so they always follow it.
"""

import random
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 512      # [px] what the sizes below are meant for


@dataclass(frozen=True)
class MaskDamageConfig:
    """Probability of each fault; sizes [px] at 512 pixels."""

    low: float = 0.1            # threshold on alpha, between
    high: float = 0.95
    kernel: int = 30            # dilation and erosion stay below it
    downscale: float = 0.5      # to an eighth and back
    paste: float = 0.5          # a patch of a mask copied elsewhere inside it
    swap: float = 0.5           # a patch exchanged between two people
    holes: float = 0.3          # parts dropped, in clips
    removed_image: float = 0.05     # a whole person, in pictures
    removed_clip: float = 0.2       # and on single frames of clips


def damaged_masks(pha: np.ndarray, draws: random.Random, config: MaskDamageConfig | None = None) -> np.ndarray:
    """(T, N, H, W) float alpha in [0, 1] -> (T, N, H, W) uint8 of 0 and 1."""
    config = MaskDamageConfig() if config is None else config
    T, N, H, W = pha.shape
    masks = (pha > draws.uniform(config.low, config.high)).astype(np.uint8)
    scale = max(H, W) / SIDE
    masks = _reshape(masks, draws, config.kernel * scale)
    if draws.random() < config.downscale:
        masks = _eighth(masks)
    if draws.random() < config.paste:
        _paste(masks, draws)
    if N > 1 and draws.random() < config.swap:
        _swap(masks, draws)
    if T > 1 and draws.random() < config.holes:
        _holes(masks, draws)
    return masks


def removed_people(T: int, N: int, draws: random.Random, config: MaskDamageConfig | None = None) -> np.ndarray:
    """(T, N) bool, whose mask is missing where. In a picture the person is gone, in a clip on a run of frames."""
    config = MaskDamageConfig() if config is None else config
    gone = np.zeros((T, N), bool)
    if draws.random() >= (config.removed_clip if T > 1 else config.removed_image) or (T == 1 and N == 1):
        return gone
    first = draws.randrange(T)
    gone[first:draws.randint(first + 1, T), draws.randrange(N)] = True
    return gone


def _reshape(masks: np.ndarray, draws: random.Random, largest: float) -> np.ndarray:
    """Dilate, erode, or both in either order, by boxes."""
    steps = draws.choice((('grow',), ('shrink',), ('grow', 'shrink'), ('shrink', 'grow')))
    out = masks.copy()
    for step in steps:
        box = np.ones((draws.randint(1, max(1, round(largest) - 1)), draws.randint(1, max(1, round(largest) - 1))),
                      np.uint8)
        operate = cv2.dilate if step == 'grow' else cv2.erode
        for index in np.ndindex(out.shape[:2]):
            out[index] = operate(out[index], box)
    for index in np.ndindex(out.shape[:2]):          # who would vanish keeps what there was
        if not out[index].any():
            out[index] = masks[index]
    return out


def _eighth(masks: np.ndarray) -> np.ndarray:
    T, N, H, W = masks.shape
    out = np.empty_like(masks)
    for index in np.ndindex((T, N)):
        small = cv2.resize(masks[index], (max(1, W // 8), max(1, H // 8)), interpolation=cv2.INTER_NEAREST)
        out[index] = cv2.resize(small, (W, H), interpolation=cv2.INTER_NEAREST)
    return out


def _patch(mask: np.ndarray, draws: random.Random) -> tuple[slice, slice] | None:
    """A rectangle somewhere in the box of a (H, W) mask; None where it is empty."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(ys):
        return None
    height, width = len(range(ys[0], ys[-1] + 1)), len(range(xs[0], xs[-1] + 1))
    h, w = max(1, int(height * draws.uniform(0.1, 0.4))), max(1, int(width * draws.uniform(0.1, 0.4)))
    top, left = ys[0] + draws.randint(0, height - h), xs[0] + draws.randint(0, width - w)
    return slice(top, top + h), slice(left, left + w)


def _paste(masks: np.ndarray, draws: random.Random) -> None:
    n = draws.randrange(masks.shape[1])
    source, target = (_patch(masks[:, n].max(0), draws) for _ in range(2))
    if source is None:
        return
    h, w = (min(a.stop - a.start, b.stop - b.start) for a, b in zip(source, target))
    copied = masks[:, n, source[0].start:source[0].start + h, source[1].start:source[1].start + w].copy()
    masks[:, n, target[0].start:target[0].start + h, target[1].start:target[1].start + w] = copied


def _swap(masks: np.ndarray, draws: random.Random) -> None:
    a, b = draws.sample(range(masks.shape[1]), 2)
    patch = _patch(masks[:, a].max(0), draws)
    if patch is not None:
        masks[:, [a, b], patch[0], patch[1]] = masks[:, [b, a], patch[0], patch[1]]


def _holes(masks: np.ndarray, draws: random.Random) -> None:
    for t in range(len(masks)):
        for n in range(masks.shape[1]):
            if draws.random() < 0.5 and (patch := _patch(masks[t, n], draws)) is not None:
                masks[t, n, patch[0], patch[1]] = 0
