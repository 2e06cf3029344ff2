"""Alpha that is held where the picture stands still."""

import numpy as np
import torch

from engine.matter import Matter
from engine.plate import PlateCue
from engine.plate.steady import Steady
from model.interface import Interface


def noisy(draws, shift=0):
    """A grey scene with a bright square that moves by `shift`, with the noise of a camera."""
    frame = np.full((64, 96, 3), 90.)
    frame[20:44, 30 + shift:54 + shift] = 220
    return (frame + draws.normal(0, 2, frame.shape)).clip(0, 255).astype(np.uint8)


def test_noise_goes_and_motion_stays():
    draws, steady = np.random.default_rng(0), Steady()
    held, raw = [], []
    for index in range(20):
        shift = 0 if index < 15 else 4 * (index - 14)
        frame = noisy(draws, shift)
        pha = torch.zeros(1, 64, 96)
        pha[:, 20:44, 30 + shift:54 + shift] = 1
        pha = (pha + 0.1 * torch.randn(pha.shape, generator=torch.Generator().manual_seed(index))).clamp(0, 1)
        truth = pha.round()
        raw.append(pha)
        held.append(steady(frame, pha))

    def flicker(mattes):
        return float(torch.stack(mattes[5:15]).diff(dim=0).square().mean().sqrt())
    assert flicker(held) < 0.3 * flicker(raw)
    assert (held[-1] - truth).abs().max() < 0.5                                            # nothing lags behind
    assert torch.equal(Steady()(noisy(draws), raw[0]), raw[0])                             # the first frame is as it is


def test_matter_holds_alpha_and_forgets_at_a_reset():
    class Flickering(torch.nn.Module):
        interface = Interface(inputs=('src', 'bgr'), outputs=('pha', 'fgr'))

        def __init__(self):
            super().__init__()
            self.gain, self.calls = torch.nn.Parameter(torch.ones(1)), 0

        def forward(self, src, bgr):
            self.calls += 1
            return torch.full_like(src[:, :1], float(self.calls % 2)) * self.gain, src
    frame = np.full((32, 32, 3), 100, np.uint8)
    for steady, expected in ((False, 0.), (True, 0.8)):
        matter = Matter(Flickering(), background_plate=PlateCue(frame, align=False, light=False, steady=steady))
        first, second = (float(matter.step(frame)[1].mean()) for _ in range(2))
        assert first == 1 and abs(second - expected) < 1e-6
        matter.reset()
        assert float(matter.step(frame)[1].mean()) == 1
