"""Eased affine motion of pictures, for test sets. Angles in degrees, translations as fractions of the frame."""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass
from random import Random

import cv2
import numpy as np

EASINGS: dict[str, Callable[[float], float]] = {
    'linear': lambda t: t,
    'sine': lambda t: (1 - math.cos(math.pi * t)) / 2,                                # starts and ends at rest
    'quad_in': lambda t: t ** 2,
    'quad_out': lambda t: 1 - (1 - t) ** 2,
}


@dataclass(frozen=True)
class Affine:
    """Rotation, scale and x-shear about the middle of the frame, then a translation."""

    angle: float = 0.
    x: float = 0.
    y: float = 0.
    scale: float = 1.
    shear: float = 0.

    def towards(self, other: 'Affine', progress: float) -> 'Affine':
        """self at 0, other at 1; may extrapolate."""
        return Affine(*(a + (b - a) * progress for a, b in zip(astuple(self), astuple(other))))

    def matrix(self, W: int, H: int) -> np.ndarray:
        """(3, 3) float64, pixels to pixels of a W x H frame."""
        angle, shear = math.radians(self.angle), math.tan(math.radians(self.shear))
        cos, sin = self.scale * math.cos(angle), self.scale * math.sin(angle)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1.]]) @ np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1.]])
        cx, cy = (W - 1) / 2, (H - 1) / 2
        return shift(cx + self.x * W, cy + self.y * H) @ turn @ shift(-cx, -cy)


def draw_affine(rng: Random, angle: float = 10, move: float = .1, scale: tuple[float, float] = (.9, 1.1),
                shear: float = 5) -> Affine:
    """Uniform in the ranges of RVM's motion augmentation unless told otherwise."""
    return Affine(rng.uniform(-angle, angle), rng.uniform(-move, move), rng.uniform(-move, move),
                  rng.uniform(*scale), rng.uniform(-shear, shear))


def shift(x: float, y: float) -> np.ndarray:
    """A matrix that moves [px]."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.]])


def zoom(x: float, y: float) -> np.ndarray:
    """Scale about the corner of the picture, keeping pixel centres: (p + 1/2) * s - 1/2."""
    return shift(-.5, -.5) @ np.diag([x, y, 1.]) @ shift(.5, .5)


def warp(image: np.ndarray, matrix: np.ndarray, W: int, H: int, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
    """Picture -> (H, W[, 3]), bilinear. A matrix that shrinks a lot is met half-way by an area average first."""
    factor = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    if factor < .75:
        h, w = image.shape[:2]
        size = max(round(w * factor), 1), max(round(h * factor), 1)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        matrix = matrix @ zoom(w / size[0], h / size[1])
    return cv2.warpAffine(image, matrix[:2], (W, H), flags=cv2.INTER_LINEAR, borderMode=border)
