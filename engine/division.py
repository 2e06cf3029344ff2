"""The simple way to a matte for each person: divide the matte of everybody by rough masks.

It needs no network of its own. Between two people the border is that of their masks, a few pixels soft; hair and hands
that reach over another person go to whoever's mask is nearer. What is near nobody's mask belongs to nobody.
"""

import cv2
import numpy as np

SIDE = 960          # [px] long side at which distances are measured
SOFTNESS = 0.002    # of the long side: half-width of the border between two people
REACH = 0.06        # of the long side: how far a person's matte may reach out of the mask; twice that far it ends


def shares(masks: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """How much of the matte belongs to each person.

    Args:
        masks: (N, H, W) bool, front to back: where they overlap, the first person is in front.
        size: (W, H) [px] of the result; that of the masks where None.
    Returns:
        (N, H, W) float32 in [0, 1], whose sum over people is at most 1.
    """
    N, H, W = masks.shape
    size = (W, H) if size is None else size
    if N == 0:
        return np.zeros((0, size[1], size[0]), np.float32)
    factor = min(1., SIDE / max(H, W))
    small = (max(1, round(W * factor)), max(1, round(H * factor)))
    long_side = max(small)
    visible = in_front(np.stack([shrink(mask, small) for mask in masks]))
    distances = np.stack([signed_distance(mask, long_side) for mask in visible])            # (N, h, w) [px]
    nearest = distances.min(0)
    weights = np.exp((nearest - distances) / (SOFTNESS * long_side))
    weights /= weights.sum(0)
    weights *= np.clip(2 - nearest / (REACH * long_side), 0, 1)
    if small == size:
        return weights
    return np.stack([cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR) for weight in weights])


def divide(pha: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(H, W) alpha of everybody and (N, H, W) bool masks -> (N, H, W) float32 alpha of each, of sum at most `pha`."""
    return shares(masks, pha.shape[::-1]) * pha


def shrink(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if mask.shape == (size[1], size[0]):
        return mask
    return cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128


def in_front(masks: np.ndarray) -> np.ndarray:
    """(N, H, W) bool: each mask without what people in front of it cover."""
    covered = np.cumsum(masks, 0, dtype=np.int32) - masks
    return masks & (covered == 0)


def signed_distance(mask: np.ndarray, far: float) -> np.ndarray:
    """(h, w) float32 distance [px] to the mask's border, negative inside; `far` many times over where it is empty."""
    if not mask.any():
        return np.full(mask.shape, 100 * far, np.float32)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) if not mask.all() else np.float32(far)
    return outside - inside
