"""Tone of whole pictures."""

import torch

from dataset.picture_tone import BRIGHTEST, DARKEST, GAMMA, draw_tone, tone


def test_drawn_within_the_limits():
    gains, gammas = draw_tone(4000, torch.Generator().manual_seed(0))
    exposure = gains.log().mean(1).exp()              # the cast is beside the exposure
    assert DARKEST <= exposure.min() < DARKEST * 1.05 and BRIGHTEST / 1.05 < exposure.max() <= BRIGHTEST * 1.0001
    assert 1 / GAMMA <= gammas.min() < 0.7 and 1.45 < gammas.max() <= GAMMA
    assert 0.08 < (gains.log() - gains.log().mean(1, keepdim=True)).std() < 0.12


def test_gain_and_gamma_by_hand():
    clip = torch.tensor([0.25, 0.64, 1.]).view(1, 1, 3, 1, 1)
    toned = tone(clip, (torch.tensor([[0.5, 1., 2.]]), torch.tensor([[0.5]])))
    torch.testing.assert_close(toned.flatten(), torch.tensor([0.25, 0.8, 1.]))
