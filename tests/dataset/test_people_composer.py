"""Composed people: whose alpha is whose, how much others cover, and that a seed is a clip."""

import numpy as np
import pytest
import torch

from dataset.people_composer import LEVELS, PeopleComposer, PeopleConfig, occlusion, visible
from dataset.photo_bank import Backgrounds, PhotoBank


@pytest.fixture(scope='module')
def bank() -> PhotoBank:
    pictures = []
    for k in range(3):
        y, x = np.mgrid[:120, :80]
        pha = np.uint8(255 * (((x - 40) / 22) ** 2 + ((y - 60) / 55) ** 2 < 1))
        pictures.append((np.full((120, 80, 3), 60 + 60 * k, np.uint8), pha))
    return PhotoBank.from_pictures(pictures, (160, 112))


def composer(bank, seed=0, **settings) -> PeopleComposer:
    return PeopleComposer(bank, Backgrounds(torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.ones(2)),
                          PeopleConfig(64, noise=0, gamma=0, **settings), seed)


@pytest.mark.parametrize('level', ['easy', 'medium', 'hard'])
def test_overlap_is_that_of_the_level(bank, level):
    least, most, crowd = LEVELS[level]
    clips = [composer(bank, level=level, seq_length=3).clip(index) for index in range(6)]
    worst = torch.stack([clip.covered.max() for clip in clips])
    # forty attempts reach the level nearly always; measured at another size, so not to the last hundredth
    assert ((worst >= least - 0.07) & (worst <= most + 0.07)).float().mean() > 0.8
    assert all(2 <= clip.pha.size(1) <= crowd for clip in clips)


def test_alphas_share_the_picture(bank):
    clip = composer(bank, level='hard', seq_length=2).clip(3)
    T, N = clip.pha.shape[:2]
    assert clip.src.shape == (T, 3, 64, 64) and clip.msk.shape == clip.pha.shape
    assert clip.pha.min() >= 0 and clip.pha.sum(1).max() <= 1 + 1e-5
    # over a black background the picture is the people's colours by their alphas: 60, 120 or 180
    bright = clip.src[:, 0][clip.pha.sum(1) > 0.999]
    assert bright.min() > 0.2
    assert clip.src[:, 0][clip.pha.sum(1) == 0].max() == 0


def test_a_seed_is_a_clip(bank):
    first, again, other = (composer(bank, seed).clip(5, epoch=2) for seed in (1, 1, 2))
    assert torch.equal(first.src, again.src) and torch.equal(first.msk, again.msk)
    assert not (first.src.shape == other.src.shape and torch.equal(first.src, other.src))


def test_visible_and_occlusion_by_hand():
    alphas = torch.zeros(1, 2, 1, 4)
    alphas[0, 0, 0] = torch.tensor([1., 0.5, 0, 0])
    alphas[0, 1, 0] = torch.tensor([1., 1, 1, 1])
    assert visible(alphas)[0, 1, 0].tolist() == [0, 0.5, 1, 1]
    assert occlusion(alphas).tolist() == [0, 0.375]


def test_people_move(bank):
    clip = composer(bank, seq_length=4, level='easy').clip(0)
    assert (clip.pha[0] - clip.pha[-1]).abs().max() > 0.5


def test_bad_settings():
    with pytest.raises(ValueError, match='level must be one of easy, medium, hard, any'):
        PeopleConfig(level='harder')
    with pytest.raises(ValueError, match='size must be at least'):
        PeopleConfig(size=16)
