"""Motion augmentation of matting clips: what happens to a person, a background or the camera over T frames.

Steps, their order, probabilities and ranges are those of the released RVM training code (arXiv 2108.11515), except:
the saturation has draws of its own (there it reuses those of brightness); one frame is defined (there a division by
zero); frames are resampled once (affine.py).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import functional as TF

from . import colour
from .affine import motion, random_affine, square_resize, to_tensor, warp
from .draws import torch_generator
from .easing import lerp, progress, random_easing


@dataclass(frozen=True)
class MotionConfig:
    """Probability of each step. `static` is the affine that every published item gets."""

    fgr_affine: float = 0.
    bgr_affine: float = 0.
    noise: float = 0.
    color_jitter: float = 0.
    grayscale: float = 0.
    sharpness: float = 0.
    blur: float = 0.
    hflip: float = 0.
    pause: float = 0.
    static: bool = True


VIDEO_TRAIN = MotionConfig(fgr_affine=0.3, bgr_affine=0.3, noise=0.1, color_jitter=0.3, grayscale=0.02, sharpness=0.1,
                           blur=0.02, hflip=0.5, pause=0.03)
IMAGE_TRAIN = MotionConfig(fgr_affine=0.95, bgr_affine=0.3, noise=0.05, color_jitter=0.3, grayscale=0.03,
                           sharpness=0.05, blur=0.02, hflip=0.5, pause=0.03)
VIDEO_VALID = MotionConfig()
# Photos must move to be a clip at all, but the released code validates with the whole training augmentation, and its
# validation numbers jump from epoch to epoch.
IMAGE_VALID = MotionConfig(fgr_affine=1.)


class MotionAugmentation:
    """Frames of any size -> clips (T, C, size, size), all draws from the generator of the item."""

    def __init__(self, size: int, config: MotionConfig):
        self.size, self.config = size, config

    def __call__(self, fgrs: list[np.ndarray], phas: list[np.ndarray], bgrs: list[np.ndarray],
                 draws: random.Random) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            fgrs, phas, bgrs: T frames each, (H, W, 3) and (H, W) uint8.
        Returns:
            (T, 3, S, S), (T, 1, S, S), (T, 3, S, S) float32 in [0, 1], not composited.
        """
        config = self.config
        fgr, pha, bgr = self._place(fgrs, phas, bgrs, draws)
        if draws.random() < config.hflip:
            fgr, pha = fgr.flip(-1), pha.flip(-1)
        if draws.random() < config.hflip:
            bgr = bgr.flip(-1)
        if draws.random() < config.noise:
            fgr, bgr = add_noise(draws, fgr, bgr)
        if draws.random() < config.color_jitter:
            fgr = color_jitter(fgr, draws)
        if draws.random() < config.color_jitter:
            bgr = color_jitter(bgr, draws)
        if draws.random() < config.grayscale:
            fgr, bgr = (colour.grey(x).expand_as(x).contiguous() for x in (fgr, bgr))
        if draws.random() < config.sharpness:
            factor = draws.uniform(0, 8)  # 0 blurs
            fgr, pha, bgr = (TF.adjust_sharpness(x, factor) for x in (fgr, pha, bgr))
        if draws.random() < config.blur / 3:
            fgr, pha = motion_blur(draws, fgr, pha)
        if draws.random() < config.blur / 3:
            bgr, = motion_blur(draws, bgr)
        if draws.random() < config.blur / 3:
            fgr, pha, bgr = motion_blur(draws, fgr, pha, bgr)
        if draws.random() < config.pause:
            fgr, pha, bgr = pause(draws, fgr, pha, bgr)
        return fgr, pha, bgr

    def _place(self, fgrs: list[np.ndarray], phas: list[np.ndarray], bgrs: list[np.ndarray],
               draws: random.Random) -> tuple[Tensor, Tensor, Tensor]:
        """Every affine step and the square resize, multiplied to one matrix per frame."""
        T, config = len(fgrs), self.config
        fgr_size, bgr_size = (frames[0].shape[1::-1] for frames in (fgrs, bgrs))
        fgr_moves, bgr_moves = [], []  # functions (t, w, h) -> matrix, first step first
        if draws.random() < config.fgr_affine:
            fgr_moves.append(_moving(draws, T, fgr_size))
        if draws.random() < config.bgr_affine / 2:
            bgr_moves.append(_moving(draws, T, bgr_size))
        if draws.random() < config.bgr_affine / 2:
            camera = _moving(draws, T, fgr_size)  # one and the same for all three, translation in its pixels
            fgr_moves.append(camera)
            bgr_moves.append(camera)
        if config.static:
            fgr_moves.append(_still(random_affine(draws, fgr_size, scales=(0.5, 1))))
            bgr_moves.append(_still(random_affine(draws, bgr_size, scales=(1, 1.5))))
        return (to_tensor(self._warp(fgrs, fgr_moves)), to_tensor(self._warp(phas, fgr_moves)),
                to_tensor(self._warp(bgrs, bgr_moves)))

    def _warp(self, frames: list[np.ndarray], moves: list[Callable]) -> list[np.ndarray]:
        warped = []
        for t, frame in enumerate(frames):
            h, w = frame.shape[:2]
            matrix = np.eye(3)
            for move in moves:
                matrix = move(t, w, h) @ matrix
            warped.append(warp(frame, square_resize(w, h, self.size) @ matrix, self.size))
        return warped


def _moving(draws: random.Random, T: int, size: tuple[int, int]) -> Callable[[int, int, int], np.ndarray]:
    easing = random_easing(draws)
    affines = motion(draws, T, size, easing)
    return lambda t, w, h: affines[t].matrix(w, h)


def _still(affine) -> Callable[[int, int, int], np.ndarray]:
    return lambda t, w, h: affine.matrix(w, h)


def add_noise(draws: random.Random, *clips: Tensor) -> list[Tensor]:
    """Gaussian grain of 1 to 4 pixels, grey half of the time, new in every frame; a strength of its own per clip."""
    grain = draws.uniform(1, 4)
    channels = 1 if draws.random() < 0.5 else 3
    generator, noisy = torch_generator(draws), []
    for clip in clips:
        T, _, H, W = clip.shape
        noise = torch.randn(T, channels, max(1, round(H / grain)), max(1, round(W / grain)), generator=generator)
        noise = F.interpolate(noise * (draws.random() * 0.2 / grain), (H, W), mode='bilinear', align_corners=False)
        noisy.append((clip + noise).clamp_(0, 1))
    return noisy


def color_jitter(clip: Tensor, draws: random.Random) -> Tensor:
    """Brightness, contrast, saturation and hue on the way between two states; (T, 3, H, W)."""
    easing, strength = random_easing(draws), draws.random() * 0.2
    steps = [p * strength for p in progress(len(clip), easing)]

    def drift() -> Tensor:
        a, b = 0.1 * draws.gauss(0, 1), 0.1 * draws.gauss(0, 1)
        return torch.tensor([lerp(a, b, step) for step in steps]).view(-1, 1, 1, 1)
    brightness, contrast, saturation = ((1 + drift()).clamp(min=0.1) for _ in range(3))
    return colour.jitter(clip, brightness, contrast, saturation, (drift() * 0.1).clamp(-0.5, 0.5))


def motion_blur(draws: random.Random, *clips: Tensor) -> list[Tensor]:
    """Gaussian blur whose sigma runs between two draws from 0 to 10 pixels, the same for all clips."""
    a, b = draws.uniform(0, 10), draws.uniform(0, 10)
    sigmas = [max(lerp(a, b, p), 0) for p in progress(len(clips[0]), random_easing(draws))]
    return [torch.stack([_blur(frame, sigma) for frame, sigma in zip(clip, sigmas)]) for clip in clips]


def _blur(frame: Tensor, sigma: float) -> Tensor:
    # made odd; a reflected border cannot be wider than the frame
    kernel = min(int(2 * sigma) | 1, 2 * min(frame.shape[-2:]) - 1)
    return frame if kernel == 1 else TF.gaussian_blur(frame, kernel, sigma).clamp_(0, 1)


def pause(draws: random.Random, *clips: Tensor) -> list[Tensor]:
    """One frame stands still for a while in all clips; the video goes on behind it."""
    T = len(clips[0])
    if T < 2:
        return list(clips)
    first = draws.randint(0, T - 2)
    length = draws.randint(0, T - first - 1)
    frames = [first if first < t < first + length else t for t in range(T)]
    return [clip[frames] for clip in clips]
