"""Carrying masks from frame to frame by dense optical flow."""

import cv2
import numpy as np

SIDE = 480          # [px] long side at which motion is measured
AGREEMENT = 1.0     # [px] there and back again may miss by this much, and a tenth of the way
SEEN = 0.35         # of a mask: where the matte covers less of it, the matte does not see this person
REACH = 0.02        # of the long side: how far a mask may follow the matte in one frame


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 or uint16 -> (h, w) uint8 grey, long side at most `SIDE`."""
    size = thumbnail_size(pixels.shape[1], pixels.shape[0])
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if small.dtype == np.uint16:
        small = (small >> 8).astype(np.uint8)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def thumbnail_size(width: int, height: int) -> tuple[int, int]:
    """(w, h) [px] of thumbnails."""
    factor = min(1., SIDE / max(width, height))
    return max(16, round(width * factor)), max(16, round(height * factor))


class Carrier:
    """Moves masks between neighbouring frames."""

    def __init__(self):
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def carry(self, masks: np.ndarray, source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Args:
            masks: (N, h, w) float32 in [0, 1] at the source frame.
            source, target: (h, w) uint8 grey.
        Returns:
            The masks at the target frame, and (N,) how sure that is, in [0, 1]: the share of each mask whose motion
            there and back again agrees. An empty mask is sure.
        """
        back = self._flow.calc(target, source, None)           # where each pixel of the target comes from
        there = self._flow.calc(source, target, None)
        h, w = source.shape
        x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
        from_x, from_y = x + back[..., 0], y + back[..., 1]
        returned = cv2.remap(there, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        miss = np.linalg.norm(back + returned, axis=2)
        agrees = miss <= AGREEMENT + 0.1 * np.linalg.norm(back, axis=2)
        moved = np.stack([cv2.remap(mask, from_x, from_y, cv2.INTER_LINEAR) for mask in masks])
        weight = moved.sum((1, 2))
        sure = np.where(weight > 0, (moved * agrees).sum((1, 2)) / np.maximum(weight, 1e-6), 1)
        return moved, sure


def snap(masks: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Let carried masks follow the matte, so that small errors do not add up from frame to frame.

    A pixel of the matte that is near carried masks goes to the nearest of them; a pixel of a mask outside the matte is
    given up, unless the matte does not see that person.

    Args:
        masks: (N, h, w) float32 in [0, 1].
        matte: (h, w) float32 alpha of everybody.
    Returns:
        (N, h, w) float32 of 0 and 1, or the mask as it was for people whom the matte does not see.
    """
    hard, solid = masks > 0.5, matte > 0.5
    area = hard.sum((1, 2))
    seen = (hard & solid).sum((1, 2)) >= SEEN * np.maximum(area, 1)
    reach = max(2., REACH * max(matte.shape))
    distances = np.full(masks.shape, np.inf, np.float32)
    for n in np.flatnonzero(area):
        distances[n] = cv2.distanceTransform((~hard[n]).astype(np.uint8), cv2.DIST_L2, 5) - masks[n]
    owner = distances.argmin(0)
    near = distances.min(0) <= reach if len(masks) else solid
    out = masks.copy()
    for n in np.flatnonzero(seen & (area > 0)):
        out[n] = solid & near & (owner == n)
    return out
