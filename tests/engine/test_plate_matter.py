"""Matter with a network that takes a plate; plate checkpoints through the table of families."""

import numpy as np
import pytest
import torch

from engine.matter import Matter
from engine.plate import PlateCue
from model.background import MattingBase, MattingRefine
from model.families import FAMILIES, build_network
from model.weights import load_network, save_network

H, W = 61, 83


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = MattingRefine('efficientnet_lite0', refine_sample_pixels=400).eval()
    torch.nn.init.normal_(network.decoder.conv4.weight[:5], std=0.05)
    torch.nn.init.constant_(network.decoder.conv4.bias[:5], 0.4)
    return network


@pytest.fixture(scope='module')
def frames():
    draws = np.random.default_rng(0)
    return [draws.integers(0, 255, (H, W, 3), np.uint8) for _ in range(3)]


def tensor(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def test_step_equals_the_network(network, frames):
    matter = Matter(network, background_plate=PlateCue(frames[1], align=False, light=False))
    fgr, pha = matter.step(frames[0])
    expected = network(tensor(frames[0]), tensor(frames[1]), 1.)
    torch.testing.assert_close(pha[None], expected[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(fgr[None], expected[1], atol=1e-4, rtol=0)


def test_several_frames_and_a_plate_that_is_handed_in(network, frames):
    cue = PlateCue(frames[1], align=False, light=False)
    together = Matter(network, background_plate=cue).predict(frames)
    given = Matter(network).predict(frames, bgr=[frames[1]] * 3)
    for a, b in zip(together, given, strict=True):
        torch.testing.assert_close(a.rows(0, H)['pha'], b.rows(0, H)['pha'])


def test_errors_and_refined_patches_are_shown_at_full_size(network, frames):
    prediction = Matter(network, 0.5, background_plate=frames[1]).predict(frames[:1])[0]
    rows = prediction.rows(0, H, ('pha', 'fgr', 'err', 'ref'))
    assert {name: tuple(x.shape) for name, x in rows.items()} == {
        'pha': (1, H, W), 'fgr': (3, H, W), 'err': (1, H, W), 'ref': (1, H, W)}
    assert set(rows['ref'].unique().tolist()) == {0., 1.}                     # nearest: nothing in between
    assert prediction.rows(0, H).keys() == {'fgr', 'pha'}


def test_ratio_aims_at_the_inference_size(network):
    matter = Matter(network)
    assert matter.ratio_for(512, 288) == 1. and matter.ratio_for(2048, 1152) == 0.25
    with pytest.raises(ValueError, match=r'downsample_ratio must be in \(0, 1\], got 2'):
        Matter(network, 2.).predict([np.zeros((32, 32, 3), np.uint8)], bgr=[np.zeros((32, 32, 3), np.uint8)])


def test_missing_and_useless_plates(network, frames):
    with pytest.raises(ValueError, match='the network takes src, bgr, got src'):
        Matter(network).step(frames[0])
    with pytest.raises(ValueError, match='a background plate is for networks that take one, this one takes src'):
        Matter(build_network('mobilenetv3').eval(), background_plate=frames[0])


def test_notes_of_the_plate_reach_the_matter(network, frames):
    matter = Matter(network, background_plate=frames[1][:30])
    matter.step(frames[0])
    assert 'background plate is 83x30, the frames 83x61' in matter.notes[0]


@pytest.mark.parametrize('build, variant', [
    (lambda: MattingBase('mobilenetv2'), 'background_base_mobilenetv2'),
    (lambda: MattingRefine('mobilenetv3', refine_kernel_size=1), 'background_mobilenetv3')])
def test_load_network_recognises_plate_checkpoints(build, variant, tmp_path):
    network = build()
    network.inference_size = 384
    for name in ('a.pth', 'a.safetensors'):
        save_network(network, tmp_path / name)
        loaded = load_network(tmp_path / name, variant)
        assert type(loaded) is type(network) and loaded.interface.inputs == ('src', 'bgr')
    assert loaded.inference_size == 384
    with pytest.raises(ValueError, match=f'is a {variant} network, asked for mobilenetv3'):
        load_network(tmp_path / 'a.pth', 'mobilenetv3')
    with pytest.raises(ValueError, match='has no fast_guided_filter, it is a network with a background plate'):
        load_network(tmp_path / 'a.pth', refiner='fast_guided_filter')


@pytest.mark.parametrize('family', ['background', 'background_base'])
def test_rows_of_the_table(family):
    row = FAMILIES[family]
    for name in row.variants:
        with torch.device('meta'):
            network = build_network(name)
        assert network.interface == row.interface and network.facts()['family'] == family
        assert row.recognise(network.state_dict()).variant == name
    others = [other for other in FAMILIES if other != family]
    assert all(FAMILIES[other].recognise(network.state_dict()) is None for other in others)
