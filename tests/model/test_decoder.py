"""The recurrent decoder: time only in the unit, states as they were, odd sizes."""

import pytest
import torch

from model.decoder import ConvGRU, RecurrentDecoder, pool_half, upsample_to


def test_the_unit_by_hand():
    unit = ConvGRU(1, kernel_size=1)
    for parameter in unit.parameters():
        torch.nn.init.zeros_(parameter)
    unit.hh[0].bias.data.fill_(3.)
    x, h = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.5)
    assert unit(x, h)[0].item() == pytest.approx(0.5 * 0.5 + 0.5 * torch.tensor(3.).tanh().item())


@torch.no_grad()
def test_a_clip_is_its_frames_one_by_one():
    unit = ConvGRU(4)
    clip = torch.rand(2, 3, 4, 5, 7)
    outputs, last = unit(clip, None)
    h = None
    for t in range(3):
        frame, h = unit(clip[:, t], h)
        torch.testing.assert_close(frame, outputs[:, t])
    torch.testing.assert_close(h, last)
    torch.testing.assert_close(unit(clip[:, 0], torch.zeros(1, 1, 1, 1))[0], outputs[:, 0])    # of published files
    with pytest.raises(ValueError, match=r'recurrent state has shape \[2, 4, 5, 6\], expected \[2, 4, 5, 7\]'):
        unit(clip, torch.zeros(2, 4, 5, 6))


@torch.no_grad()
def test_only_the_second_half_of_the_channels_recurs():
    unit, x = ConvGRU(2), torch.rand(6, 4, 5, 7)
    out, h = unit.on_half(x, 3, None)
    assert torch.equal(out[:, :2], x[:, :2]) and h.shape == (2, 2, 5, 7)
    torch.testing.assert_close(out[:, 2:].unflatten(0, (2, 3))[:, -1], h)


@pytest.mark.parametrize('H, W', [(32, 48), (33, 47), (17, 16)])
@torch.no_grad()
def test_sizes_are_those_of_the_source(H, W):
    decoder = RecurrentDecoder((4, 6, 8, 10), (8, 6, 4, 3)).eval()
    sides = [(-(-H // s), -(-W // s)) for s in (2, 4, 8, 16)]
    features = [torch.rand(1, 2, C, h, w) for C, (h, w) in zip((4, 6, 8, 10), sides)]
    hid, *rec = decoder(torch.rand(1, 2, 3, H, W), *features, None, None, None, None)
    assert hid.shape == (1, 2, 3, H, W)
    assert [tuple(r.shape) for r in rec] == [(1, C, h, w) for C, (h, w) in zip((2, 3, 4, 5), sides)]


def test_partial_windows_count_their_own_pixels():
    x = torch.tensor([[[[0., 2., 6.], [4., 2., 8.], [10., 20., 5.]]]])
    assert pool_half(x).flatten().tolist() == [2., 7., 15., 5.]
    assert upsample_to(pool_half(x), x).shape == x.shape
