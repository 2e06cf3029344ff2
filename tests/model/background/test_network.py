"""The networks with a plate beyond the golden cases: sizes, batches, modes, precision, TorchScript, gradients."""

import pytest
import torch
import torch.nn.functional as F

from model.background import BACKBONES, MattingBase, MattingRefine
from model.background.network import fill_up
from model.background.refiner import crop, replace


@pytest.fixture(scope='module')
def refine():
    torch.manual_seed(0)
    network = MattingRefine('mobilenetv2', backbone_scale=0.5, refine_sample_pixels=640).eval()
    # random weights predict no error: alpha and error are moved into (0, 1), where nothing is clamped
    torch.nn.init.normal_(network.decoder.conv4.weight[:5], std=0.1)
    torch.nn.init.constant_(network.decoder.conv4.bias[:5], 0.4)
    return network


def pair(B=1, H=64, W=80, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(B, 3, H, W, generator=draws), torch.rand(B, 3, H, W, generator=draws)


@pytest.mark.parametrize('margin, stride', [(0, 2), (3, 2), (2, 4)])
def test_crop_equals_slicing(margin, stride):
    x = torch.rand(2, 5, 6 * stride, 7 * stride)
    chosen = [(1, 5, 6), (0, 0, 0), (1, 2, 3)]
    indices = torch.tensor([(b * 6 + row) * 7 + column for b, row, column in chosen])
    padded, side = F.pad(x, (margin,) * 4), stride + 2 * margin
    expected = torch.stack([padded[b, :, row * stride:row * stride + side, column * stride:column * stride + side]
                            for b, row, column in chosen])
    assert torch.equal(crop(x, indices, 6, 7, stride, margin), expected)


def test_replace_equals_slicing():
    x, values = torch.rand(2, 4, 12, 20), torch.rand(2, 4, 4, 4)
    expected = x.clone()
    expected[1, :, 8:12, 16:20], expected[0, :, 4:8, 0:4] = values
    assert torch.equal(replace(x, torch.tensor([(1 * 3 + 2) * 5 + 4, 1 * 5]), values), expected)


def test_half_precision_crops_the_same_pixels_far_from_the_origin():
    x = torch.arange(1208 * 4.).remainder(2039).reshape(1, 1, 1208, 4)
    indices = torch.tensor([300, 301])              # rows 1200 and 1204, where float16 has no halves
    expected = crop(x, indices, 302, 1, 4, 2)
    assert torch.equal(crop(x.half(), indices, 302, 1, 4, 2).float(), expected)


@torch.no_grad()
def test_half_precision_network_above_1024_rows(refine):
    src, bgr = pair(H=1100, W=16)
    expected = refine(src, bgr)[0]
    half = refine.half()
    try:
        pha = half(src.half(), bgr.half())[0]
    finally:
        refine.float()
    assert (pha.float() - expected).abs().mean() < 2e-3


@pytest.mark.parametrize('mode', ['sampling', 'thresholding', 'full'])
@torch.no_grad()
def test_batch_equals_single_pictures(refine, mode):
    refine.refine_mode, refine.refine_threshold = mode, 0.4
    src, bgr = pair(B=3)
    whole = refine(src, bgr)
    for index in range(3):
        single = refine(src[index:index + 1], bgr[index:index + 1])
        for a, b in zip(whole, single, strict=True):
            torch.testing.assert_close(a[index:index + 1], b, atol=1e-5, rtol=0)
    refine.refine_mode = 'sampling'


@pytest.mark.parametrize('H, W', [(61, 83), (62, 81), (64, 80), (33, 35)])
@torch.no_grad()
def test_odd_sizes_are_filled_up_and_cut_back(refine, H, W):
    src, bgr = pair(H=H, W=W)
    pha, fgr, pha_sm, fgr_sm, err_sm, ref_sm = refine(src, bgr)
    assert pha.shape == (1, 1, H, W) and fgr.shape == (1, 3, H, W)
    assert ref_sm.shape == (1, 1, -(-H // 4), -(-W // 4))
    filled = F.pad(src, (0, -W % 4, 0, -H % 4), mode='replicate')
    assert torch.equal(fill_up(src, 4), filled)
    whole = refine(filled, F.pad(bgr, (0, -W % 4, 0, -H % 4), mode='replicate'))
    torch.testing.assert_close(pha, whole[0][..., :H, :W])


@torch.no_grad()
def test_fewer_pixels_than_the_sample_count_is_full(refine):
    src, bgr = pair(B=2)
    refine.refine_sample_pixels, refine.refine_prevent_oversampling = 80_000, False
    sampled = refine(src, bgr)
    refine.refine_mode = 'full'
    full = refine(src, bgr)
    refine.refine_mode, refine.refine_sample_pixels, refine.refine_prevent_oversampling = 'sampling', 640, True
    assert sampled[5].min() == 1
    torch.testing.assert_close(sampled[0], full[0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_sampling_takes_the_count_and_the_largest_errors(refine):
    src, bgr = pair(B=2)
    *_, err_sm, ref_sm = refine(src, bgr)
    err = F.interpolate(err_sm, size=ref_sm.shape[-2:], mode='bilinear')
    for e, r in zip(err, ref_sm, strict=True):
        assert r.sum() == 640 // 16
        assert e[r == 1].min() >= e[r == 0].max()


@pytest.mark.parametrize('mode', ['sampling', 'thresholding'])
@torch.no_grad()
def test_no_patch_is_the_enlarged_coarse_result(refine, mode):
    src, bgr = pair(B=2)
    refine.refine_mode, refine.refine_sample_pixels, refine.refine_threshold = mode, 0, 2.
    pha, _, pha_sm, *_, ref_sm = refine(src, bgr)
    refine.refine_mode, refine.refine_sample_pixels, refine.refine_threshold = 'sampling', 640, 0.1
    assert ref_sm.sum() == 0
    torch.testing.assert_close(pha, F.interpolate(pha_sm, size=(64, 80), mode='bilinear').clamp(0, 1))


@torch.no_grad()
def test_above_one_half_the_coarse_answer_is_the_answer(refine):
    src, bgr = pair(H=62, W=81)
    pha, fgr, pha_sm, fgr_sm, _, ref_sm = refine(src, bgr, downsample_ratio=1.)
    assert ref_sm.shape == (1, 1, 16, 21) and not ref_sm.any()
    assert torch.equal(pha, pha_sm[..., :62, :81]) and torch.equal(fgr, fgr_sm[..., :62, :81])
    pha, _, pha_sm, *_ = refine(src, bgr, downsample_ratio=0.75)
    expected = F.interpolate(pha_sm, size=(64, 84), mode='bilinear')[..., :62, :81]
    torch.testing.assert_close(pha, expected)


@pytest.mark.parametrize('backbone', sorted(BACKBONES))
@torch.no_grad()
def test_grid_of_the_coarse_network(backbone):
    network = MattingBase(backbone).eval()
    torch.nn.init.normal_(network.decoder.conv4.weight[:5], std=0.1)
    src, bgr = pair(H=45, W=70)
    filled = [F.pad(x, (0, 10, 0, 3), mode='replicate') for x in (src, bgr)]
    same = torch.equal(network(src, bgr)[3], network(*filled)[3][..., :45, :70])
    assert same == (backbone == 'efficientnet_lite0')       # released weights take odd sizes as they are


def test_no_patch_in_training_has_gradients():
    network = MattingRefine('mobilenetv2', refine_mode='thresholding', refine_threshold=2.).train()
    pha = network(*pair(B=2, H=128, W=128))[0]
    pha.sum().backward()
    assert network.decoder.conv4.weight.grad is not None


@pytest.mark.parametrize('backbone', ['efficientnet_lite0', 'mobilenetv3'])
def test_gradients_reach_every_parameter(backbone):
    network = MattingRefine(backbone, backbone_scale=0.5, refine_prevent_oversampling=False).train()
    torch.nn.init.constant_(network.decoder.conv4.bias[:5], 0.5)
    pha, fgr, pha_sm, fgr_sm, err_sm, _ = network(*pair(B=2, H=128, W=128))
    sum(x.sum() for x in (pha, fgr, pha_sm, fgr_sm, err_sm)).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


@pytest.mark.parametrize('backbone', sorted(BACKBONES))
@torch.no_grad()
def test_features_have_the_widths_and_strides_of_the_table(backbone):
    spec = BACKBONES[backbone]
    features = MattingBase(backbone).eval().backbone(torch.rand(1, 6, 64, 96))
    assert [tuple(f.shape) for f in features] == [
        (1, C, 64 // s, 96 // s) for C, s in zip(spec.channels, spec.strides, strict=True)]


@pytest.mark.parametrize('backbone', ['efficientnet_lite0', 'mobilenetv2', 'mobilenetv3'])
@torch.no_grad()
def test_scripted_equals_eager_and_settings_can_change_after_loading(backbone, tmp_path):
    network = MattingRefine(backbone, backbone_scale=0.5, refine_sample_pixels=640).eval()
    torch.nn.init.constant_(network.decoder.conv4.bias[:5], 0.4)
    scripted = torch.jit.script(network)
    scripted.save(str(tmp_path / 'net.pt'))
    scripted = torch.jit.load(str(tmp_path / 'net.pt'))
    src, bgr = pair(H=61, W=83)
    for settings in ({}, {'refine_mode': 'thresholding', 'refine_threshold': 0.3}, {'refine_mode': 'full'},
                     {'backbone_scale': 0.25, 'refine_mode': 'sampling', 'refine_sample_pixels': 320}):
        for name, value in settings.items():
            setattr(network, name, value)
            setattr(scripted, name, value)
        for a, b in zip(network(src, bgr), scripted(src, bgr), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize('settings, message', [
    ({'backbone': 'vgg'}, 'backbone must be one of .*, got .vgg.'),
    ({'backbone': 'mobilenetv2', 'backbone_scale': 1.5}, r'backbone_scale must be in \(0, 1\], got 1.5'),
    ({'backbone': 'mobilenetv2', 'refine_mode': 'all'}, 'refine_mode must be one of'),
    ({'backbone': 'mobilenetv2', 'refine_kernel_size': 5}, 'refine_kernel_size must be 1 or 3, got 5'),
    ({'backbone': 'mobilenetv2', 'refine_sample_pixels': -1}, 'must be at least 0'),
])
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        MattingRefine(**settings)


def test_plate_of_another_size(refine):
    with pytest.raises(ValueError, match=r'src and bgr must both be \(B, 3, H, W\), got'):
        refine(torch.rand(1, 3, 64, 80), torch.rand(1, 3, 32, 80))
