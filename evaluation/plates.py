"""Plates for networks that take one, from the backgrounds of a test set: damaged as in the paper's evaluation.

Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810, section 6: a shift by fractions of a pixel, a
gamma, noise. The draws belong to the clip, so the plate of a clip stands still and is the same in every run.
"""

import random

import cv2
import numpy as np

SHIFT = 0.3                  # [px]
GAMMA = 0.85, 1.15
NOISE = 0.02, 0.06           # standard deviation; of full scale, and a mean within 0.02


def damaged_plate(bgr: np.ndarray, clip: str) -> np.ndarray:
    """(H, W, 3) uint8 background -> what the network is shown instead; the draws depend on the clip's name alone."""
    draws = random.Random(f'plate of {clip}')
    dx, dy = draws.uniform(-SHIFT, SHIFT), draws.uniform(-SHIFT, SHIFT)
    H, W = bgr.shape[:2]
    moved = cv2.warpAffine(bgr.astype(np.float32) / 255, np.float32([[1, 0, dx], [0, 1, dy]]), (W, H),
                           borderMode=cv2.BORDER_REFLECT)
    plate = moved.clip(0, 1) ** draws.uniform(*GAMMA)
    mean, deviation = draws.uniform(-0.02, 0.02), draws.uniform(*NOISE)
    noise = np.random.default_rng(draws.getrandbits(32)).normal(mean, deviation, plate.shape)
    return np.rint((plate + noise).clip(0, 1) * 255).astype(np.uint8)
