"""Affine motion of frames: every step is a matrix, and a frame is resampled once.

The released code resamples a frame up to four times (motion, joint motion, static, resized crop) and blurs it a little
each time; here the matrices are multiplied first. What an early step pushes out of the picture and a later one pulls
back is therefore kept instead of black.

Matrices are 3x3 and map pixel coordinates of the source to those of the result, pixel centres at integers plus a half.
"""

import random
from dataclasses import astuple, dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from .easing import Easing, lerp, progress


@dataclass(frozen=True)
class Affine:
    """Rotation [degrees], translation [pixels], scale and shear along x [degrees], about the centre of the picture."""

    angle: float = 0.
    dx: float = 0.
    dy: float = 0.
    scale: float = 1.
    shear: float = 0.

    def matrix(self, w: int, h: int) -> np.ndarray:
        """As torchvision's affine with a y shear of 0."""
        turn, lean = np.deg2rad(self.angle), np.tan(np.deg2rad(self.shear))
        cos, sin = self.scale * np.cos(turn), self.scale * np.sin(turn)
        linear = np.array([[cos, -cos * lean - sin, 0], [sin, cos - sin * lean, 0], [0, 0, 1]])
        return shift(w / 2 + self.dx, h / 2 + self.dy) @ linear @ shift(-w / 2, -h / 2)


def random_affine(draws: random.Random, size: tuple[int, int], scales: tuple[float, float] = (0.9, 1.1),
                  angle: float = 10, translate: float = 0.1, shear: float = 5) -> Affine:
    """Uniform draws; translation is a share of `size` (w, h), in whole pixels."""
    w, h = size
    return Affine(draws.uniform(-angle, angle), round(draws.uniform(-translate, translate) * w),
                  round(draws.uniform(-translate, translate) * h), draws.uniform(*scales), draws.uniform(-shear, shear))


def motion(draws: random.Random, T: int, size: tuple[int, int], easing: Easing) -> list[Affine]:
    """One Affine per frame on the way between two random ones."""
    a, b = (astuple(random_affine(draws, size)) for _ in range(2))
    return [Affine(*(lerp(x, y, p) for x, y in zip(a, b))) for p in progress(T, easing)]


def shift(dx: float, dy: float) -> np.ndarray:
    """A matrix that moves."""
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.]])


def crop_to_square(x: float, y: float, w: float, h: float, side: int) -> np.ndarray:
    """Maps the box at (x, y) of size w, h to a square picture."""
    return np.diag([side / w, side / h, 1.]) @ shift(-x, -y)


def square_resize(w: int, h: int, side: int) -> np.ndarray:
    """The published resized crop of area 1 and ratio 0.9 to 1.1, which in practice is a fixed centre crop.

    Landscape keeps its height and a width of 1.1 heights, portrait its width and a height of width / 0.9; then the
    crop is squeezed to a square.
    """
    crop_w, crop_h = min(w, round(1.1 * h)), min(h, round(w / 0.9))
    return crop_to_square((w - crop_w) // 2, (h - crop_h) // 2, crop_w, crop_h, side)


def random_resized_crop(draws: random.Random, w: int, h: int, side: int, area: tuple[float, float],
                        ratio: tuple[float, float]) -> np.ndarray:
    """As torchvision's RandomResizedCrop: ten tries, then the largest centre crop within the ratios."""
    for _ in range(10):
        target = w * h * draws.uniform(*area)
        aspect = np.exp(draws.uniform(*np.log(ratio)))
        crop_w, crop_h = round(np.sqrt(target * aspect)), round(np.sqrt(target / aspect))
        if 0 < crop_w <= w and 0 < crop_h <= h:
            return crop_to_square(draws.randint(0, w - crop_w), draws.randint(0, h - crop_h), crop_w, crop_h, side)
    crop_w, crop_h = min(w, round(h * ratio[1])), min(h, round(w / ratio[0]))
    return crop_to_square((w - crop_w) // 2, (h - crop_h) // 2, crop_w, crop_h, side)


def warp(picture: np.ndarray, matrix: np.ndarray, side: int, nearest: bool = False) -> np.ndarray:
    """Resample (H, W[, 3]) uint8 to (side, side[, 3]); what lies outside is 0."""
    matrix = shift(-0.5, -0.5) @ matrix @ shift(0.5, 0.5)  # OpenCV's pixel centres are integers
    return cv2.warpAffine(picture, matrix[:2], (side, side), flags=cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR)


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """T pictures (H, W[, 3]) uint8 -> (T, 1 or 3, H, W) float32 in [0, 1]."""
    stack = torch.from_numpy(np.stack(pictures))
    stack = stack[:, None] if stack.dim() == 3 else stack.permute(0, 3, 1, 2)
    return stack.contiguous().float().div_(255)
