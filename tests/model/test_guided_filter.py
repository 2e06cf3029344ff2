"""What the guided filters share: a linear model of the source that is exact where the truth is linear."""

import pytest
import torch

from model.deep_guided_filter import DeepGuidedFilterRefiner
from model.fast_guided_filter import FastGuidedFilterRefiner
from model.guided_filter import apply_coefficients, make_guide


def test_the_guide_is_the_source_and_its_mean():
    src = torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1)
    assert make_guide(src).flatten().tolist() == pytest.approx([0.1, 0.2, 0.6, 0.3])


def test_coefficients_by_hand():
    coefficients = torch.tensor([2., 3., 4., 5., 0.1, 0.2, 0.3, 0.4]).view(1, 8, 1, 1)
    fgr, pha = apply_coefficients(coefficients, torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1).expand(1, 3, 4, 6))
    assert fgr[0, :, 3, 5].tolist() == pytest.approx([0.3, 0.8, 2.7]) and pha[0, 0, 0, 0].item() == pytest.approx(1.9)
    assert fgr.shape == (1, 3, 4, 6) and pha.shape == (1, 1, 4, 6)


def test_an_alpha_that_is_linear_in_the_source_comes_back_at_full_size():
    torch.manual_seed(0)
    small = torch.rand(2, 3, 3, 9, 11)
    pha = 0.25 + 0.5 * small.mean(2, keepdim=True)
    refiner = FastGuidedFilterRefiner(16)
    refiner.eps = 1e-9
    fine = torch.rand(2, 3, 3, 36, 44)
    fgr, found = refiner(fine, small, 0.1 + 0 * small, pha, torch.zeros(2, 3, 16, 9, 11))
    inner = (..., slice(6, -6), slice(6, -6))       # the border has windows with zeros
    torch.testing.assert_close(found[inner], (0.25 + 0.5 * fine.mean(2, keepdim=True))[inner], atol=2e-3, rtol=0)
    torch.testing.assert_close(fgr[inner], torch.full_like(fgr, 0.1)[inner], atol=2e-3, rtol=0)


@pytest.mark.parametrize('refiner', [FastGuidedFilterRefiner(16), DeepGuidedFilterRefiner(16)])
def test_frames_and_clips_agree(refiner):
    small, hid, fine = torch.rand(1, 2, 3, 8, 8), torch.rand(1, 2, 16, 8, 8), torch.rand(1, 2, 3, 16, 16)
    pha, fgr = torch.rand(1, 2, 1, 8, 8), torch.rand(1, 2, 3, 8, 8)
    refiner.eval()
    with torch.no_grad():
        clip = refiner(fine, small, fgr, pha, hid)
        for t in range(2):
            frame = refiner(fine[:, t], small[:, t], fgr[:, t], pha[:, t], hid[:, t])
            for whole, one in zip(clip, frame):
                torch.testing.assert_close(whole[:, t], one, atol=1e-5, rtol=1e-4)
        assert refiner.coefficients(small, fgr, pha, hid).dtype == torch.float32
