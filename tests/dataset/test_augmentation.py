"""Easing formulas, affine matrices, colour changes and the motion augmentation."""

import math
import random

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from dataset import affine, augmentation, colour
from dataset.affine import Affine, crop_to_square, motion, random_affine, random_resized_crop, square_resize, warp
from dataset.augmentation import IMAGE_TRAIN, IMAGE_VALID, VIDEO_TRAIN, VIDEO_VALID, MotionAugmentation, MotionConfig
from dataset.easing import CURVES, FAMILIES, linear, progress, random_easing, step

# ------------------------------------------------------------------------------------------------------------ easing

EXACT = [  # family, shape (in, out, in-out), t, value worked out by hand
    ('quad', 0, 0.5, 0.25), ('quad', 1, 0.5, 0.75), ('quad', 2, 0.25, 0.125), ('quad', 2, 0.75, 0.875),
    ('cubic', 0, 0.5, 0.125), ('quartic', 1, 0.5, 0.9375), ('quintic', 2, 0.75, 1 - 16 * 0.25 ** 5),
    ('sine', 0, 1 / 3, 1 - math.sqrt(3) / 2), ('sine', 2, 0.25, (1 - math.cos(math.pi / 4)) / 2),
    ('circular', 0, 0.6, 0.2), ('circular', 1, 0.4, 0.8),
    ('exponential', 0, 0.5, 2 ** -5), ('exponential', 1, 0.5, 1 - 2 ** -5), ('exponential', 2, 0.75, 1 - 2 ** -6),
    ('elastic', 0, 1 / 13, 2 ** (-120 / 13)), ('elastic', 1, 12 / 13, 1 - 2 ** (-120 / 13)),
    ('elastic', 2, 1 / 26, 2 ** (-120 / 13) / 2), ('elastic', 2, 25 / 26, 1 - 2 ** (-120 / 13) / 2),
    ('back', 0, 0.5, 0.125 - 0.5), ('back', 1, 0.5, 1 + 0.375), ('back', 2, 0.25, -0.1875),
    ('bounce', 1, 0.2, 121 * 0.04 / 16), ('bounce', 1, 0.5, 363 / 160 - 99 / 20 + 3.4), ('bounce', 0, 0.5, 0.28125),
    ('bounce', 1, 0.8, 4356 / 361 * 0.64 - 35442 / 1805 * 0.8 + 16061 / 1805),
    ('bounce', 1, 0.95, 54 / 5 * 0.9025 - 513 / 25 * 0.95 + 268 / 25),
]


@pytest.mark.parametrize('family, shape, t, value', EXACT)
def test_easing_by_hand(family, shape, t, value):
    assert FAMILIES[family][shape](t) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize('family', FAMILIES)
def test_easing_runs_from_0_to_1(family):
    ease_in, ease_out, both = FAMILIES[family]
    for curve in (ease_in, ease_out, both):
        assert curve(0.) == pytest.approx(0, abs=1e-3) and curve(1.) == pytest.approx(1, abs=1e-3)
    for t in np.linspace(0.01, 0.99, 33):
        assert ease_out(t) == pytest.approx(1 - ease_in(1 - t), abs=1e-9)
        halves = ease_in(2 * t) / 2 if t < 0.5 else 0.5 + ease_out(2 * t - 1) / 2
        assert both(t) == pytest.approx(halves, abs=2e-3)


def test_easing_choice():
    assert len(CURVES) == 31 and step in CURVES and (step(0.49), step(0.5)) == (0, 1)
    draws = random.Random(0)
    picked = [random_easing(draws) for _ in range(4000)]
    assert picked.count(linear) / 4000 == pytest.approx(0.2, abs=0.03)
    assert all(curve in picked for curve in CURVES)
    assert progress(5, linear) == [0, 0.25, 0.5, 0.75, 1] and progress(1, linear) == [0]


# ------------------------------------------------------------------------------------------------------------ affine

def smooth(w, h):
    y, x = np.mgrid[:h, :w].astype(np.float32)
    waves = [np.sin(x / 9 + y / 14), np.cos(x / 13 - y / 8), np.sin(y / 11)]
    return (np.stack(waves, -1) * 100 + 128).round().astype(np.uint8)


@pytest.mark.parametrize('params', [Affine(), Affine(angle=10), Affine(dx=7, dy=-3), Affine(scale=0.8),
                                    Affine(shear=5), Affine(-8, 3, 5, 1.1, -4)])
def test_affine_equals_torchvision(params):
    picture = smooth(80, 80)
    ours = warp(picture, params.matrix(80, 80), 80).astype(float)
    theirs = TF.affine(torch.from_numpy(picture).permute(2, 0, 1), params.angle, [params.dx, params.dy], params.scale,
                       [params.shear, 0.], InterpolationMode.BILINEAR).permute(1, 2, 0).numpy().astype(float)
    assert np.abs(ours - theirs)[24:56, 24:56].max() <= 3  # of 255; inside, away from the borders


def test_square_resize_is_the_published_centre_crop():
    def box(w, h):  # corners of the crop: what maps to (0, 0) and (S, S)
        inverse = np.linalg.inv(square_resize(w, h, 64))
        return [*(inverse @ [0, 0, 1])[:2].round(6), *(inverse @ [64, 64, 1])[:2].round(6)]
    assert box(100, 100) == [0, 0, 100, 100]
    assert box(200, 100) == [45, 0, 155, 100]      # full height, width of 1.1 heights
    assert box(90, 200) == [0, 50, 90, 150]        # full width, height of width / 0.9
    assert box(105, 100) == [0, 0, 105, 100]


def test_crop_maps_pixel_centres():
    picture = np.zeros((10, 10), np.uint8)
    picture[2:4, 6:8] = 200
    assert (warp(picture, crop_to_square(6, 2, 2, 2, 8), 8)[2:6, 2:6] == 200).all()
    assert (warp(picture, crop_to_square(0, 0, 10, 10, 10), 10) == picture).all()


def test_random_affine_ranges():
    draws = random.Random(0)
    many = [random_affine(draws, (200, 100), (0.5, 1)) for _ in range(500)]
    for name, low, high in (('angle', -10, 10), ('dx', -20, 20), ('dy', -10, 10), ('scale', 0.5, 1), ('shear', -5, 5)):
        values = [getattr(one, name) for one in many]
        assert low <= min(values) < low + 0.1 * (high - low) and high - 0.1 * (high - low) < max(values) <= high
    path = motion(draws, 5, (200, 100), linear)
    assert path[2].angle == pytest.approx((path[0].angle + path[4].angle) / 2)


def test_random_resized_crop_stays_inside():
    draws = random.Random(0)
    for w, h in ((80, 60), (300, 40), (20, 400)):
        for _ in range(50):
            inverse = np.linalg.inv(random_resized_crop(draws, w, h, 32, (0.5, 1), (0.7, 1.3)))
            (x0, y0), (x1, y1) = (inverse @ [0, 0, 1])[:2], (inverse @ [32, 32, 1])[:2]
            assert -1e-6 <= x0 < x1 <= w + 1e-6 and -1e-6 <= y0 < y1 <= h + 1e-6
            assert 0.65 < (x1 - x0) / (y1 - y0) < 1.4


# ------------------------------------------------------------------------------------------------------------ colour

def test_colour_equals_torchvision():
    clip = torch.rand(4, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    clip[0, :, 0, 0] = 0.5  # grey has no hue
    factors = torch.tensor([0.3, 1., 1.4, 2.]).view(-1, 1, 1, 1)
    pairs = [(colour.adjust_brightness, TF.adjust_brightness), (colour.adjust_contrast, TF.adjust_contrast),
             (colour.adjust_saturation, TF.adjust_saturation)]
    for ours, theirs in pairs:
        expected = torch.stack([theirs(frame, factor.item()) for frame, factor in zip(clip, factors)])
        torch.testing.assert_close(ours(clip, factors), expected, atol=1e-4, rtol=0)
    shifts = torch.tensor([-0.5, -0.1, 0., 0.3]).view(-1, 1, 1, 1)
    expected = torch.stack([TF.adjust_hue(frame, shift.item()) for frame, shift in zip(clip, shifts)])
    torch.testing.assert_close(colour.adjust_hue(clip, shifts), expected, atol=1e-4, rtol=0)


# ------------------------------------------------------------------------------------------------------ augmentation

NOTHING = MotionConfig(static=False)
STEPS = ['fgr_affine', 'bgr_affine', 'noise', 'color_jitter', 'grayscale', 'sharpness', 'blur', 'hflip', 'pause']


def clip(T=5, side=32):
    fgr = [smooth(side, side)] * T
    pha = np.zeros((side, side), np.uint8)
    pha[8:, 8:20] = 255
    return fgr, [pha] * T, [255 - smooth(side, side)] * T


def test_presets_hold_the_published_probabilities():
    assert [getattr(VIDEO_TRAIN, name) for name in STEPS] == [0.3, 0.3, 0.1, 0.3, 0.02, 0.1, 0.02, 0.5, 0.03]
    assert [getattr(IMAGE_TRAIN, name) for name in STEPS] == [0.95, 0.3, 0.05, 0.3, 0.03, 0.05, 0.02, 0.5, 0.03]
    assert all(getattr(VIDEO_VALID, name) == 0 for name in STEPS) and VIDEO_VALID.static
    assert MotionConfig(fgr_affine=1) == IMAGE_VALID


def test_nothing_changes_nothing():
    fgr, pha, bgr = MotionAugmentation(32, NOTHING)(*clip(), random.Random(0))
    assert (fgr * 255).round().permute(0, 2, 3, 1)[3].numpy().astype(np.uint8).tolist() == clip()[0][0].tolist()
    assert torch.equal(pha[:, 0, 8:, 8:20], torch.ones(5, 24, 12)) and pha.mean().item() == 24 * 12 / 1024
    assert torch.equal((bgr[0] * 255).round(), 255 - (fgr[0] * 255).round())


@pytest.mark.parametrize('T', [1, 2, 5])
@pytest.mark.parametrize('name', STEPS)
def test_each_step_alone(name, T):
    config = MotionConfig(**{name: 1. if name != 'blur' else 3.}, static=False)
    plain = MotionAugmentation(32, NOTHING)(*clip(T), random.Random(0))
    changed = [False] * 3
    for seed in range(8):
        result = MotionAugmentation(32, config)(*clip(T), random.Random(seed))
        again = MotionAugmentation(32, config)(*clip(T), random.Random(seed))
        for i, (clips, C) in enumerate(zip(result, (3, 1, 3))):
            assert clips.shape == (T, C, 32, 32) and clips.dtype == torch.float32 and clips.is_contiguous()
            assert clips.min() >= 0 and clips.max() <= 1 and torch.equal(clips, again[i])
            changed[i] |= not torch.equal(clips, plain[i])
    expected = {'fgr_affine': [1, 1, 0], 'noise': [1, 0, 1], 'color_jitter': [1, 0, 1], 'grayscale': [1, 0, 1],
                'pause': [0, 0, 0]}.get(name, [1, 1, 1])  # a pause of frames that are all alike shows nothing
    if name == 'bgr_affine':
        expected = [1, 1, 1]
    assert changed == [bool(x) for x in expected]


def test_foreground_and_alpha_move_together():
    fgr, pha, _ = clip()
    white = [np.repeat(p[..., None], 3, -1) for p in pha]
    for seed in range(5):
        config = MotionConfig(fgr_affine=1, bgr_affine=1, hflip=0.5, pause=0.5)
        moved, alpha, _ = MotionAugmentation(48, config)(white, pha, fgr, random.Random(seed))
        assert (moved - alpha).abs().max() < 1 / 255 + 1e-6
        assert not torch.equal(alpha[0], alpha[-1])


def test_motion_blur_is_shared_and_eased(monkeypatch):
    sigmas = []
    monkeypatch.setattr(augmentation, '_blur', lambda frame, sigma: sigmas.append(sigma) or frame)
    monkeypatch.setattr(augmentation, 'random_easing', lambda draws: linear)
    augmentation.motion_blur(random.Random(0), torch.rand(3, 3, 8, 8), torch.rand(3, 1, 8, 8))
    assert sigmas[:3] == sigmas[3:] and sigmas[1] == pytest.approx((sigmas[0] + sigmas[2]) / 2)
    assert all(0 <= sigma <= 10 for sigma in sigmas)


def test_saturation_has_draws_of_its_own(monkeypatch):
    factors = {}
    monkeypatch.setattr(colour, 'jitter', lambda clip, *given: factors.update(zip('bcsh', given)) or clip)
    augmentation.color_jitter(torch.rand(4, 3, 2, 2), random.Random(1))
    assert len({tuple(factor.flatten().tolist()) for factor in factors.values()}) == 4


def test_noise_is_new_in_every_frame():
    grey = torch.full((4, 3, 24, 24), 0.5)
    for seed in range(4):
        fgr, bgr = augmentation.add_noise(random.Random(seed), grey, grey)
        assert not torch.equal(fgr[0], fgr[1]) and not torch.equal(fgr, bgr) and fgr.std() < 0.25


def test_pause_by_hand():
    class Draws(random.Random):
        answers = iter([1, 3])

        def randint(self, low, high):
            assert (low, high) in ((0, 4), (0, 4))
            return next(self.answers)
    frames = torch.arange(6.).view(6, 1, 1, 1)
    held, = augmentation.pause(Draws(), frames)
    assert held.flatten().tolist() == [0, 1, 1, 1, 4, 5]
    assert affine.to_tensor([np.full((2, 2), 51, np.uint8)]).unique().item() == pytest.approx(0.2)
