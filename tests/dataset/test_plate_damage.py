"""Every damage to the plate by itself, with numbers."""

from dataclasses import replace

import pytest
import torch

from dataset.jpeg import jpeg
from dataset.plate_damage import NONE, PlateDamage, damaged_pair


def scene(B=8, H=64, W=96):
    """A smooth coloured scene, a box in front of it, and its alpha."""
    y, x = torch.meshgrid(torch.linspace(0, 1, H), torch.linspace(0, 1, W), indexing='ij')
    bgr = torch.stack([0.2 + 0.6 * x, 0.3 + 0.4 * y, 0.5 + 0.2 * (6 * x).sin()]).expand(B, 3, H, W).contiguous()
    pha = torch.zeros(B, 1, H, W)
    pha[:, :, 24:48, 36:60] = 1
    return torch.full((B, 3, H, W), 0.9), pha, bgr


def damaged(seed=0, B=8, **settings):
    fgr, pha, bgr = scene(B)
    src, plate = damaged_pair(fgr, pha, bgr, torch.Generator().manual_seed(seed), replace(NONE, **settings))
    return src, plate, bgr, pha


def test_nothing_is_damaged_without_damage():
    src, plate, bgr, pha = damaged()
    assert torch.equal(plate, bgr)
    torch.testing.assert_close(src, bgr * (1 - pha) + 0.9 * pha)


def test_same_draws_same_batch_and_other_seeds_differ():
    everything = {'shadow': 1, 'noise': 1, 'jitter': 1, 'light': 1, 'gamma': 1, 'misaligned': 1, 'compressed': 1}
    a, b, c = damaged(1, **everything), damaged(1, **everything), damaged(2, **everything)
    assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and not torch.equal(a[1], c[1])


def test_shadow_darkens_the_frame_only_and_differs_between_samples():
    src, plate, bgr, pha = damaged(shadow=1)
    assert torch.equal(plate, bgr)
    outside = (pha == 0).expand_as(bgr)
    ratio = torch.where(outside, src / bgr, torch.ones(()))
    assert ratio.max() <= 1 + 1e-6 and ratio.min() >= 1 - PlateDamage().shadow_depth - 1e-6
    depths = 1 - ratio.amin((1, 2, 3))
    assert depths.max() > 0.2 and depths.std() > 0.02                       # seen, and one draw per sample
    inside = pha.expand_as(src) == 1
    assert src[inside] == pytest.approx(0.9)                                # no shadow on the person


def test_noise_has_its_deviation_and_frame_and_plate_are_independent():
    src, plate, bgr, pha = damaged(B=16, noise=1)
    outside = (pha == 0).expand_as(bgr)
    in_src, in_plate = (src - bgr), (plate - bgr)
    deviations = torch.stack([in_plate[b].std() for b in range(16)])
    assert deviations.max() < 0.031 and deviations.mean() == pytest.approx(0.015, abs=0.006)
    assert deviations.std() > 0.003
    together = torch.stack([in_src[outside], in_plate[outside]])
    assert abs(float(torch.corrcoef(together)[0, 1])) < 0.02


def test_jitter_keeps_the_frame_and_its_reach():
    src, plate, bgr, pha = damaged(B=16, jitter=1, jitter_hue=0)
    torch.testing.assert_close(src, bgr * (1 - pha) + 0.9 * pha)
    means = (plate.mean((1, 2, 3)) / bgr.mean((1, 2, 3)))
    assert means.min() > 0.80 and means.max() < 1.20 and means.std() > 0.04


def test_light_is_a_slope_and_a_gain_per_channel():
    _, plate, bgr, _ = damaged(B=16, light=1)
    ratio = plate / bgr
    assert ratio.min() > (1 - 0.075) * (1 - 0.22) and ratio.max() < (1 + 0.075) * (1 + 0.22)
    channels = ratio.mean((2, 3))
    assert (channels[:, 0] - channels[:, 2]).abs().max() > 0.02
    assert (ratio[..., :8].mean((1, 2, 3)) - ratio[..., -8:].mean((1, 2, 3))).abs().max() > 0.05


def test_gamma_within_its_reach():
    _, plate, bgr, _ = damaged(B=16, gamma=1)
    exponents = (plate.log() / bgr.log()).flatten(1)
    assert exponents.std(1).max() < 1e-2                                     # one exponent per sample
    means = exponents.mean(1)
    assert means.min() >= 0.849 and means.max() <= 1.151 and means.std() > 0.03


def shift_of(plate: torch.Tensor, bgr: torch.Tensor) -> float:
    """Mean displacement in pixels along x, from the slope of the first channel, which is linear in x."""
    slope = float(bgr[0, 0, 1] - bgr[0, 0, 0])
    return float((plate[0] - bgr[0])[:, 8:-8].mean()) / slope


def test_misalignment_moves_by_fractions_of_a_pixel_and_by_a_share_of_the_side():
    _, plate, bgr, _ = damaged(B=64, misaligned=1, angle=0, scale=0)
    moves = torch.tensor([shift_of(p, b) for p, b in zip(plate, bgr, strict=True)])
    assert moves.abs().max() <= 1.51                                         # 1.5 px, and 1 % of 96 px
    assert (moves.abs() < 0.5).sum() > 10 and (moves.abs() > 0.5).sum() > 10
    assert ((moves - moves.round()).abs() > 0.1).sum() > 30                  # not whole pixels
    _, plate, bgr, _ = damaged(B=64, misaligned=1, shift=0.05, angle=0, scale=0)
    moves = torch.tensor([shift_of(p, b) for p, b in zip(plate, bgr, strict=True)])
    assert 3 < moves.abs().max() <= 4.81


def test_misalignment_has_no_borders_and_one_draw_per_sample():
    fgr, pha, bgr = scene(32)
    white = torch.ones_like(bgr)
    _, plate = damaged_pair(fgr, pha, white, torch.Generator().manual_seed(0),
                            replace(NONE, misaligned=1, angle=5, shift=0.1, scale=0.1))
    torch.testing.assert_close(plate, white)
    _, plate = damaged_pair(fgr, pha, bgr, torch.Generator().manual_seed(0), replace(NONE, misaligned=1, angle=5))
    assert len({tuple(p[0, :4, 5].tolist()) for p in plate}) == 32


def test_rotation_is_one_in_pixels_also_on_wide_pictures():
    """A vertical edge through the middle, turned by 90 degrees, is a horizontal one."""
    from dataset.plate_damage import affine
    picture = torch.zeros(1, 1, 32, 64)
    picture[..., 32:] = 1
    theta = affine(torch.tensor([90.]), torch.ones(1), torch.zeros(1), torch.zeros(1, 2), 32, 64)
    grid = torch.nn.functional.affine_grid(theta, [1, 1, 32, 64], align_corners=False)
    turned = torch.nn.functional.grid_sample(picture, grid, padding_mode='border', align_corners=False)[0, 0]
    assert turned.std(1).max() < 1e-3 and abs(float(turned[2].mean() - turned[-3].mean())) > 0.9


def test_compression_is_that_of_jpeg_and_frame_and_plate_have_their_own():
    src, plate, bgr, pha = damaged(B=8, compressed=1)
    best = [min(float((jpeg(b[None], torch.tensor([q]))[0] - p).abs().mean()) for q in torch.arange(30., 96))
            for p, b in zip(plate, bgr, strict=True)]
    assert max(best) < 2e-3                                                   # some quality in 30..95 explains it
    assert (plate - bgr).abs().mean() > 1e-3
    assert not torch.equal((src - plate)[pha.expand_as(src) == 0], torch.zeros(int((pha == 0).sum()) * 3))


def test_chances_are_per_sample():
    _, plate, bgr, _ = damaged(B=400, jitter=0.3)
    changed = (plate != bgr).flatten(1).any(1).float().mean()
    assert changed == pytest.approx(0.3, abs=0.07)


def test_values_stay_in_range_and_reach_is_checked():
    fgr, pha, bgr = scene(16)
    src, plate = damaged_pair(fgr, pha, bgr, torch.Generator().manual_seed(3))
    for x in (src, plate):
        assert x.min() >= 0 and x.max() <= 1 and x.isfinite().all()
    with pytest.raises(ValueError, match='plate damage gamma must be at least 0, got -1'):
        PlateDamage(gamma=-1)
