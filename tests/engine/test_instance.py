"""The instance network on clips: windows, states, groups of people, cuts and sizes."""

from copy import deepcopy
from functools import cache

import cv2
import numpy as np
import pytest
import torch

from engine.instance import BothPrediction, InstanceMatter
from engine.matter import Matter
from engine.people import PeopleMatter, PeoplePrediction
from model import convert_checkpoint
from model.instance.checkpoint import load_instance_network, save_instance_network
from model.instance.network import InstanceForm

CHANNELS = (8, 16, 16, 24, 32)


def network(**settings):
    return deepcopy(trained(**settings))


@cache
def trained(**settings):
    torch.manual_seed(3)
    built = InstanceForm(CHANNELS, **settings).build()
    for layer in built.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(layer.weight)
            layer.momentum = 1.         # statistics of what follows: answers lie between 0 and 1
    pixels, masks = next(clip(1))
    picture = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    torch.manual_seed(4)
    with torch.no_grad():
        built.train()(picture.expand(2, 1, 3, 48, 64), torch.from_numpy(masks).float().expand(2, 1, 2, 48, 64))
        built.decoder.refine_OS8.decoder_norm.weight.mul_(0.3)
    return built


def clip(T: int, N: int = 2, size: tuple[int, int] = (64, 48)):
    rng = np.random.default_rng(0)
    W, H = size
    picture = cv2.resize(rng.integers(0, 255, (3, 4, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    for t in range(T):
        masks = np.zeros((N, H, W), bool)
        for n in range(N):
            left = (n * W // N + t) % W
            masks[n, H // 4:, left:left + W // 4] = True
        yield np.roll(picture, t, 1), masks


def alphas(matter: InstanceMatter, frames) -> torch.Tensor:
    return torch.stack([prediction.shares for prediction in matter.run(frames)])


@pytest.mark.parametrize('T', [1, 2, 4, 5, 9])
def test_every_frame_comes_out_once(T):
    matter = InstanceMatter(network(), 'cpu', window=4, overlap=1)
    out = alphas(matter, clip(T))
    assert out.shape == (T, 2, 48, 64) and out.isfinite().all() and out.sum(1).max() <= 1 + 1e-5
    assert matter.computed <= 2 * T         # once, twice at most


def test_state_crosses_windows():
    """Many windows are nearer to one long one when the state is handed on."""
    whole = alphas(InstanceMatter(network(), 'cpu', window=8, overlap=0), clip(8))
    many = InstanceMatter(network(), 'cpu', window=4, overlap=1)
    carried = alphas(many, clip(8))

    class Forgetful(InstanceMatter):
        def _window(self, waiting, states, done=0):
            return super()._window(waiting, None, done)
    forgotten = alphas(Forgetful(network(), 'cpu', window=4, overlap=1), clip(8))
    assert (carried - whole).abs().mean() < (forgotten - whole).abs().mean()
    assert not torch.equal(carried, forgotten)


def test_windows_that_see_the_same_agree():
    """Where the masks and the past are the same, only what comes later may differ: the forward states are equal."""
    frames = list(clip(5))
    matter = InstanceMatter(network(), 'cpu', window=5, overlap=0)
    (first,), (again,) = ([matter._window([_wait(f) for f in frames], None, 5)[1][0]] for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def _wait(frame):
    from engine.instance import _Waiting
    return _Waiting(*frame)


def test_more_people_than_slots():
    out = alphas(InstanceMatter(network(slots=3), 'cpu', window=2), clip(3, N=7))
    assert out.shape == (3, 7, 48, 64) and out.sum(1).max() <= 1 + 1e-5
    assert (out.amax((0, 2, 3)) > 0).all()


def test_people_come_and_go_and_nobody_is_there():
    frames = list(clip(6))
    for t, (_, masks) in enumerate(frames):
        masks[0] &= t < 2
        masks[1] &= t > 3
    out = alphas(InstanceMatter(network(), 'cpu', window=3, overlap=1), frames)
    assert out[5, 0].max() == 0 and out[0, 1].max() == 0
    nobody = [(pixels, masks & False) for pixels, masks in clip(2)]
    assert alphas(InstanceMatter(network(), 'cpu', window=3), nobody).max() == 0
    assert alphas(InstanceMatter(network(), 'cpu'), [(p, m[:0]) for p, m in clip(2)]).shape == (2, 0, 48, 64)


def test_sizes_and_cuts_reset():
    frames = [*clip(3), *clip(3, size=(80, 32))]
    out = [prediction.shares for prediction in InstanceMatter(network(), 'cpu', window=2).run(frames)]
    assert [tuple(alpha.shape[1:]) for alpha in out] == [(48, 64)] * 3 + [(32, 80)] * 3
    alone = alphas(InstanceMatter(network(), 'cpu', window=2), clip(3, size=(80, 32)))
    torch.testing.assert_close(torch.stack(out[3:]), alone)
    dark = [(np.zeros_like(pixels), masks) for pixels, masks in clip(3)]
    cut = alphas(InstanceMatter(network(), 'cpu', window=2, reset_on_cut=True), [*dark, *clip(3)])
    torch.testing.assert_close(cut[3:], alphas(InstanceMatter(network(), 'cpu', window=2), clip(3)))


def test_large_frames_are_shrunk_inside():
    out = alphas(InstanceMatter(network(), 'cpu', window=2, short_side=32), clip(2, size=(128, 96)))
    assert out.shape == (2, 2, 96, 128)


def test_the_size_that_a_file_says_its_weights_are_for(tmp_path):
    save_instance_network(network(), tmp_path / 'plain.safetensors')
    arguments = [str(tmp_path / 'plain.safetensors'), str(tmp_path / 'sized.safetensors'), '--inference-size', '64']
    assert convert_checkpoint.main(arguments) == 0
    sizes = []
    for name in ('plain', 'sized'):
        matter = InstanceMatter(tmp_path / f'{name}.safetensors', 'cpu', window=2)
        matter.network.register_forward_pre_hook(lambda module, given: sizes.append(given[0].shape[-2:]))
        assert alphas(matter, clip(2, size=(160, 90))).shape == (2, 2, 90, 160)
    assert list(dict.fromkeys(sizes)) == [(90, 160), (36, 64)]
    again = load_instance_network(tmp_path / 'sized.safetensors')
    save_instance_network(again, tmp_path / 'again.safetensors')
    assert load_instance_network(tmp_path / 'again.safetensors').trained_size == 64


def test_pictures_need_no_video_network():
    matter = InstanceMatter(network(video=False), 'cpu')
    assert alphas(matter, clip(2)).shape == (2, 2, 48, 64) and matter.computed == 2


def test_colours_are_those_of_the_frame():
    pixels, masks = next(clip(1))
    prediction, = InstanceMatter(network(), 'cpu').run([(pixels, masks)])
    rows = prediction.person(1).rows(0, 48)
    torch.testing.assert_close(rows['fgr'], torch.from_numpy(pixels).permute(2, 0, 1) / 255)
    torch.testing.assert_close(rows['pha'][0], prediction.shares[1])
    assert prediction.rows(0, 10, ('labels',))['labels'].shape == (3, 10, 64)


def test_both_is_the_mean_divided_as_the_network_says():
    class Matte(torch.nn.Module):
        def forward(self, src, *states_and_ratio):
            pha = torch.full_like(src[..., :1, :, :], 0.6)
            return src, pha, *[torch.zeros(1)] * 4
    pixels, masks = next(clip(1))
    split = PeopleMatter(Matter(Matte(), 1., device='cpu', dtype=torch.float32)).predict([pixels], [masks])[0]
    network = PeoplePrediction(split._prediction, lambda: masks, pixels)
    network.shares = torch.zeros(2, 48, 64)
    network.shares[0, :, :20], network.shares[1, :, :20], network.shares[0, :, 20:40] = 0.6, 0.2, 1.
    both = BothPrediction(split, network)
    pha = torch.cat([both.person(n).rows(0, 48, ('pha',))['pha'] for n in range(2)])
    everybody = both.rows(0, 48, ('pha',))['pha'][0]
    torch.testing.assert_close(pha[:, :, :20].mean((1, 2)), torch.tensor([0.7 * 0.75, 0.7 * 0.25]))
    torch.testing.assert_close(pha[:, :, 20:40].mean((1, 2)), torch.tensor([0.8, 0.]))
    torch.testing.assert_close(pha[:, :, 40:], 0.3 * split.shares[:, :, 40:])       # nobody there: by the masks
    torch.testing.assert_close(everybody, pha.sum(0))
    rows = both.rows(5, 9)
    assert rows['fgr'].shape == (3, 4, 64) and torch.equal(rows['pha'][0], everybody[5:9])


def test_bad_windows():
    with pytest.raises(ValueError, match='overlap must be at least 0 and less than the window of 2'):
        InstanceMatter(network(), 'cpu', window=2, overlap=2)
