"""Properties of the instance network that no published number shows."""

import pytest
import torch
from torch import nn

from model.instance import detail
from model.instance.checkpoint import load_instance_network, save_instance_network
from model.instance.detail import DetailLayers
from model.instance.frames import InstanceFrames
from model.instance.masked import ActiveBatchNorm2d
from model.instance.network import InstanceForm
from model.instance.regions import bounds, dilate, dilate_by_convolution, dilate_each
from model.instance.spectral import SpectralConv2d

NARROW = (8, 16, 16, 24, 32)


@pytest.fixture
def narrow():
    """`narrow(video=...)` -> a small network whose answer is neither empty nor sure."""
    def build(**settings):
        torch.manual_seed(0)
        network = InstanceForm(NARROW, **settings).build()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d) and float(layer.weight.detach().abs().max()) == 0:
                nn.init.ones_(layer.weight)
        return network.eval()
    return build


def people(T: int, N: int, H: int, W: int) -> torch.Tensor:
    """(1, T, N, H, W): one square for each person, moving right."""
    msk = torch.zeros(1, T, N, H, W)
    for t in range(T):
        for n in range(N):
            left = (n * W // N + 2 * t) % (W - W // 4)
            msk[0, t, n, H // 4:3 * H // 4, left:left + W // 4] = 1
    return msk


@pytest.mark.parametrize('T', [1, 2, 5])
@pytest.mark.parametrize('size', [(64, 96), (45, 77)])
def test_any_length_and_size(narrow, T, size):
    network = narrow(video=True, change=True)
    with torch.inference_mode():
        out = network(torch.rand(1, T, 3, *size), people(T, 3, *size))
    assert out['pha'].shape == (1, T, 3, *size)
    assert out['pha'].isfinite().all() and out['pha'].min() >= 0 and out['pha'].max() <= 1


def test_no_mask_at_all_is_nobody(narrow):
    with torch.inference_mode():
        out = narrow()(torch.rand(1, 2, 3, 64, 64), torch.zeros(1, 2, 2, 64, 64))
    assert out['pha'].isfinite().all() and out['pha'].max() == 0


def test_too_many_people_is_an_error(narrow):
    with pytest.raises(ValueError, match='at most 10 people, got 11'):
        narrow()(torch.rand(1, 1, 3, 32, 32), people(1, 11, 32, 32))


def test_small_masks_are_enlarged(narrow):
    network, src = narrow(), torch.rand(1, 2, 3, 64, 64)
    small = people(2, 2, 8, 8)
    large = small.repeat_interleave(8, 3).repeat_interleave(8, 4)
    with torch.inference_mode():
        torch.testing.assert_close(network(src, small)['pha'], network(src, large)['pha'], rtol=0, atol=0)


def test_state_is_handed_on(narrow):
    """The forward states of two calls are those of one, as far as the features are."""
    gru = narrow().decoder.os8_temp_module
    x = torch.rand(1, 6, 16, 8, 8)
    _, whole = gru(x)
    _, first = gru(x[:, :4])
    _, second = gru(x[:, 4:], first[:, -1])
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


def branch(training: bool = False) -> DetailLayers:
    torch.manual_seed(1)
    layers = DetailLayers((8, 8, 16, 16)).train(training)
    layers.inst_spec_layer.dropout.p = 0.
    return layers


def inputs(H: int, W: int, N: int = 2):
    torch.manual_seed(2)
    shortcuts = [torch.randn(1, c, H // s, W // s) for c, s in ((8, 1), (8, 2), (16, 4))]
    region = torch.zeros(1, N, H, W)
    region[0, 0, 3:30, 5:41] = 1
    region[0, 1, H - 20:, W - 33:W - 3] = 1
    return shortcuts, torch.randn(1, 16, H // 8, W // 8), torch.randn(1, N, 16), dilate(region, 7)


@pytest.mark.parametrize('training', [False, True])
def test_boxes_are_exact(training):
    layers, case = branch(training), inputs(96, 128)
    expected = layers.detail_everywhere(*case)
    for ours, theirs in zip(layers.detail_in_boxes(*case), expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_small_budget_is_exact(monkeypatch):
    """One box at a time, and a large box in tiles, give what all at once gives."""
    monkeypatch.setattr(detail, 'TILE', 64)
    layers, case = branch(), inputs(256, 320)
    case[3][0, 0, 40:220, 30:300] = 1
    sizes = []
    whole = layers.detail_in_boxes(*case, budget=1 << 30)
    plain = DetailLayers.detail

    def watched(self, features, tokens, region):
        sizes.append(region.numel())
        return plain(self, features, tokens, region)
    monkeypatch.setattr(DetailLayers, 'detail', watched)
    tiled = layers.detail_in_boxes(*case, budget=200 * 200)
    for ours, theirs in zip(tiled, whole):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert len(sizes) > 4 and max(sizes) <= 200 * 200


def test_batch_norm_counts_active_sites_alone():
    active = (torch.rand(2, 1, 9, 11) > 0.6).float()
    x = (torch.randn(2, 4, 9, 11) * 3 + 1) * active
    ours, plain = ActiveBatchNorm2d(4).train(), nn.BatchNorm1d(4).train()
    sites = active[:, 0] > 0
    expected = plain(x.permute(0, 2, 3, 1)[sites])
    torch.testing.assert_close(ours(x, active).permute(0, 2, 3, 1)[sites], expected)
    torch.testing.assert_close(ours.running_var, plain.running_var)
    assert not (ours(x, active) * (1 - active)).any()


def test_gradients_reach_every_parameter(narrow):
    network = narrow(video=True).train()
    msk = people(2, 10, 64, 64)     # a person in every slot: the row of an empty one is not used
    out = network(torch.rand(1, 2, 3, 64, 64), msk, true_pha=msk * 0.5, use_truth=True)
    sum((out[name] * torch.rand_like(out[name])).sum() for name in ('pha_os8', 'pha_os4', 'pha_os1')).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert silent == []


def test_norm_moves_in_training_only():
    layer = SpectralConv2d(nn.Conv2d(3, 8, 3, padding=1, bias=False))
    x = torch.rand(1, 3, 8, 8)
    for _ in range(30):
        layer.train()(x)
    assert abs(float(torch.linalg.matrix_norm(layer.module().detach().flatten(1), 2)) - 1) < 1e-3
    before = layer.module.weight_u.clone()
    torch.testing.assert_close(layer.eval()(x), layer(x), rtol=0, atol=0)
    assert torch.equal(before, layer.module.weight_u)


def test_our_weights_come_back(narrow, tmp_path):
    network = narrow(video=True)
    save_instance_network(network, tmp_path / 'ours.safetensors')
    loaded = load_instance_network(tmp_path / 'ours.safetensors')
    assert loaded.form == network.form and loaded.state_dict().keys() == network.state_dict().keys()
    src, msk = torch.rand(1, 1, 3, 32, 32), people(1, 2, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(src, msk)['pha'], network(src, msk)['pha'], rtol=0, atol=0)


def test_bounds_and_widths_of_each_map():
    maps = torch.zeros(3, 12, 10)
    maps[0, 2:5, 3:9] = 1
    maps[2, 11, 0] = 1
    assert bounds(maps) == [(2, 5, 3, 9), None, (11, 12, 0, 1)]
    widths = torch.tensor([1, 4, 7])
    for map_, width, ours in zip(maps, widths.tolist(), dilate_each(maps, widths)):
        torch.testing.assert_close(ours, dilate(map_, width))


@pytest.mark.parametrize('width', [1, 2, 3, 7, 14, 15, 29])
def test_running_sums_widen_as_the_convolution_does(width):
    torch.manual_seed(width)
    maps = (torch.rand(3, 41, 37) > 0.97).float()
    assert torch.equal(dilate(maps, width), dilate_by_convolution(maps, width))


@pytest.mark.parametrize('video', [True, False])
def test_a_frame_is_a_clip_of_one(narrow, video):
    network = narrow(video=video)
    frames, rec, states = InstanceFrames.of(network), [None] if video else [], None
    src, msk = torch.rand(1, 3, 3, 64, 96), people(3, 2, 64, 96)
    with torch.inference_mode():
        for t in range(3):
            out = network(src[:, t:t + 1], msk[:, t:t + 1], states)
            pha, *rec = frames(src[:, t], msk[:, t], *rec)
            torch.testing.assert_close(pha, out['pha'][:, 0])
            states = out['states'][:, 0] if video else None
    assert pha.shape == (1, 2, 64, 96) and len(rec) == video
    assert frames(src, msk)[0].shape == (1, 3, 2, 64, 96)


def test_a_network_begins_with_the_masks_and_keeps_it_in_files(tmp_path):
    torch.manual_seed(0)
    network = InstanceForm(NARROW, slots=3, video=False, begins=True).build().eval()
    with torch.no_grad():
        network.decoder.trust.fill_(20.)
    msk = people(1, 2, 64, 96)
    with torch.inference_mode():
        os8 = network(torch.rand(1, 1, 3, 64, 96), msk)['pha_os8']
    inside = dilate_by_convolution(1 - msk, 15) == 0
    assert os8[inside].min() > 0.99 and os8[dilate_by_convolution(msk, 15) == 0].max() < 0.01
    save_instance_network(network, tmp_path / 'net.safetensors')
    assert load_instance_network(tmp_path / 'net.safetensors').form == network.form
