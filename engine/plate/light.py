"""Matches exposure and white balance of the plate to the frame: cameras change both when somebody enters."""

import cv2
import numpy as np

SIDE = 256                  # [px] long side at which the light is compared
DARK, BRIGHT = 0.06, 0.94   # of full scale: beyond, nothing tells a gain
LEAST_SHARE = 0.02          # of the picture that must be scene
LIMITS = (0.6, 1.7)
STEP = 0.004                # gains nearer to 1 than this are left alone


def gains(plate: np.ndarray, frame: np.ndarray, pha: np.ndarray | None = None) -> np.ndarray:
    """(3,) float32 factor per channel that takes the plate to the frame.

    The median over the scene: outside the person where alpha is known, and robust against less than half of the
    picture otherwise.

    Args:
        plate, frame: (H, W, 3) integers of one size and type.
        pha: (h, w) in [0, 1], of any size: the matte of the frame before, or None.
    """
    scale = min(1., SIDE / max(frame.shape[:2]))
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    a, b = (cv2.resize(x, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.iinfo(x.dtype).max
            for x in (plate, frame))
    scene = np.ones(a.shape[:2], bool)
    if pha is not None:
        scene = cv2.dilate(cv2.resize(pha.astype(np.float32), size, interpolation=cv2.INTER_AREA),
                           np.ones((9, 9), np.uint8)) < 0.02
    scene &= ((a > DARK) & (a < BRIGHT) & (b > DARK) & (b < BRIGHT)).all(2)
    if scene.mean() < LEAST_SHARE:
        return np.ones(3, np.float32)
    return np.clip(np.median(b[scene] / a[scene], axis=0), *LIMITS).astype(np.float32)


def apply_gains(plate: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The plate with each channel multiplied, rounded, in its type."""
    if np.abs(factors - 1).max() < STEP:
        return plate
    most = np.iinfo(plate.dtype).max
    if plate.dtype == np.uint8:             # a table is much faster than arithmetic on every pixel
        levels = np.arange(256, dtype=np.float32)[:, None] * factors
        return cv2.LUT(plate, np.rint(levels.clip(0, most)).astype(np.uint8).reshape(1, 256, 3))
    return np.rint((plate * factors).clip(0, most)).astype(plate.dtype)


def match_light(plate: np.ndarray, frame: np.ndarray, pha: np.ndarray | None = None) -> np.ndarray:
    """The plate in the light of the frame; see `gains`."""
    return apply_gains(plate, gains(plate, frame, pha))
