"""The instance network against the public release, part by part; golden/README.md names the tolerances."""

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from model.instance.checkpoint import natural, network_of
from model.instance.fusion import fuse
from model.instance.network import MEAN, STD, InstanceForm
from model.instance.regions import dilate, ellipse, uncertain
from model.instance.spectral import SpectralWeight, fold_spectral
from model.instance.temporal import fuse_frames

PARTS = 'instance_parts.npz'


@pytest.fixture(scope='module')
def published(golden):
    """`published(seed, video)` -> the network with the drawn weights of a golden case."""
    keys = json.loads(golden.path('instance_keys.json').read_text())
    made = {}

    def build(seed: int, video: bool):
        if (seed, video) not in made:
            shapes = keys['image_model'] | (keys['video_model_adds'] if video else {})
            state = {name: torch.zeros(shape, dtype=torch.long if name.endswith('tracked') else torch.float32)
                     for name, shape in shapes.items()}
            made[seed, video] = network_of(golden.reference_fill(state, seed), f'golden seed {seed}')
        return made[seed, video]
    return build


def load(golden, name: str) -> dict[str, np.ndarray]:
    with np.load(golden.path(name)) as file:
        return dict(file)


def picture(golden, name: str, shape: tuple[int, ...]) -> Tensor:
    """In [0, 1] what the release saw normalised in [-1, 1]."""
    seen = 2 * golden.reference_input(name, shape) - 1
    return seen * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)


def assert_near(ours: Tensor, theirs: np.ndarray, absolute: float = 1e-4, relative: float = 0.) -> None:
    theirs = torch.from_numpy(theirs).float()
    assert ours.shape == theirs.shape
    limit = absolute if not relative else relative * float(theirs.abs().max())
    assert float((ours - theirs).abs().max()) <= limit


def test_every_published_name_and_shape(golden):
    keys = json.loads(golden.path('instance_keys.json').read_text())
    for video in (False, True):
        shapes = keys['image_model'] | (keys['video_model_adds'] if video else {})
        state = natural({name: torch.empty(shape, device='meta') for name, shape in shapes.items()})
        with torch.device('meta'):
            ours = InstanceForm(video=video, change=video).build().state_dict()
        assert {name: list(t.shape) for name, t in ours.items()} == {name: list(t.shape) for name, t in state.items()}


def test_image_model(golden, published):
    z = load(golden, 'instance_image.npz')
    network = published(int(z['seed']), video=False)
    src = picture(golden, str(z['image_name']), (1, 1, 3, 128, 192))
    msk = torch.from_numpy(z['mask']).float()
    with torch.inference_mode():
        x, shortcuts = network.encoder(network.normalise(src[0]), msk[0])
        assert_near(x, z['enc_os32'], relative=1e-3)
        for stride, features in zip((1, 2, 4, 8, 16), shortcuts):
            theirs = z[f'shortcut_os{stride}']
            assert_near(features[:, :theirs.shape[1]], theirs, relative=1e-3)
        x = network.aspp(x)
        assert_near(x, z['aspp'], relative=1e-3)
        full = torch.zeros(1, 1, 10, 128, 192)
        full[:, :, :3] = msk
        decoder = network.decoder
        x = decoder.layer2(decoder.layer1(x) + shortcuts[4]) + shortcuts[3]
        features, tokens, _ = decoder.refine_OS8.exchange(x[None], full)
        assert_near(tokens, z['os8_tokens'], relative=1e-3)
        assert_near(decoder.refine_OS8.enrich(features)[0, :, :16], z['os8_feat'], relative=1e-3)
        out = network(src, msk)
    assert_near(out['logits_os8'][0], z['os8_logits'], relative=1e-3)
    for ours, theirs in (('pha_os8', 'alpha_os8'), ('pha_os4', 'alpha_os4'), ('pha_os1', 'alpha_os1'),
                         ('pha', 'refined_masks')):
        assert_near(out[ours], z[theirs])
    assert float((out['region'] != torch.from_numpy(z['detail_mask'])).float().mean()) <= 1e-3


def test_video_model(golden, published):
    z = load(golden, 'instance_video.npz')
    network = published(int(z['seed']), video=True)
    src = picture(golden, str(z['image_name']), (1, 3, 3, 64, 128))
    src[:, 1, :, :, :64] = src[:, 0, :, :, :64]
    with torch.inference_mode():
        out = network(src, torch.from_numpy(z['mask']).float())
    assert_near(out['logits_os8'][0], z['os8_logits'], relative=1e-3)
    assert_near(out['states'][:, :, :8], z['hidden'], relative=1e-3)
    for ours, theirs in (('pha_os8', 'alpha_os8'), ('pha_os4', 'alpha_os4'), ('pha_os1', 'alpha_os1'),
                         ('pha', 'refined_raw'), ('pha_propagated', 'temp_alpha')):
        assert_near(out[ours], z[theirs])
    forward, backward = out['change_forward'].sigmoid(), out['change_backward'].sigmoid()
    assert_near(forward, z['diff_forward'])
    assert_near(backward, z['diff_backward'])
    assert float((out['region'] != torch.from_numpy(z['detail_mask'])).float().mean()) <= 1e-3
    before = (golden.reference_input(str(z['prev_name']), (1, 2, 64, 128)) > 0.5).float()
    assert_near(fuse_frames(out['pha'], forward, backward), z['refined'])
    assert_near(fuse_frames(out['pha'], forward, backward, before), z['refined_prev'])


def test_recurrent_unit(golden, published):
    z = load(golden, PARTS)
    gru = published(int(z['gru_seed']), video=True).decoder.os8_temp_module
    x = 2 * golden.reference_input('instance.gru.x', (1, 4, 128, 8, 8)) - 1
    with torch.inference_mode():
        assert_near(gru(x)[0][:, :, ::8], z['gru_out'])


def test_detail_branch(golden, published):
    z = load(golden, PARTS)
    decoder = published(int(z['detail_seed']), video=False).decoder

    def draw(name: str, shape: tuple[int, ...]) -> Tensor:
        return 2 * golden.reference_input(f'instance.detail.{name}', shape) - 1
    shortcuts = [draw(name, shape) for name, shape in
                 (('fea1', (1, 32, 64, 64)), ('fea2', (1, 32, 32, 32)), ('fea4', (1, 64, 16, 16)))]
    tokens, region = draw('tokens', (1, 10, 64))[:, :2], torch.from_numpy(z['detail_roi']).float()
    with torch.inference_mode():
        os4, os1 = decoder.detail_in_boxes(shortcuts, draw('feat8', (1, 64, 8, 8)), tokens, region)
    assert_near(os4.transpose(0, 1), z['detail_os4'])
    assert_near(os1.transpose(0, 1), z['detail_os1'])


def test_dilation_and_fusion(golden):
    z = load(golden, PARTS)
    kernels = {name: kernel for name, kernel in z.items() if name.startswith('ellipse_') and name != 'ellipse_widths'}
    assert len(kernels) >= 4
    for name, kernel in kernels.items():
        np.testing.assert_array_equal(ellipse(len(kernel)).numpy(), kernel, err_msg=name)
    pha = torch.from_numpy(z['unknown_in']).float() / 255
    for call in (30, 27, 15):
        np.testing.assert_array_equal(dilate(uncertain(pha), call // 2).numpy(), z[f'unknown_k{call}'])
    a8, a4, a1 = (torch.from_numpy(z[f'fuse_a{stride}']).float() / 255 for stride in (8, 4, 1))
    pha, w4, w1 = fuse(a8, a4, a1, torch.from_numpy(z['fuse_detail']).float())
    np.testing.assert_array_equal(w4.numpy(), z['fuse_w4'])
    np.testing.assert_array_equal(w1.numpy(), z['fuse_w1'])
    assert_near(pha, z['fuse_out'], 1e-6)


def test_fusion_over_frames(golden):
    z = load(golden, PARTS)
    pha, before = (torch.from_numpy(z[f'tfuse_{name}_x4']).float() / 4 for name in ('alpha', 'prev'))
    forward, backward = (torch.from_numpy(z[f'tfuse_{name}']).float() / 255 for name in ('df', 'db'))
    assert_near(fuse_frames(pha, forward, backward), z['tfuse_out_noprev_x4'] / 4, 0)
    assert_near(fuse_frames(pha, forward, backward, before), z['tfuse_out_prev_x4'] / 4, 0)


def test_folding_the_norm_changes_nothing(golden, published):
    network = published(28, video=False)
    assert any(isinstance(layer, SpectralWeight) for layer in network.modules())
    src, msk = golden.reference_input('fold', (1, 1, 3, 64, 64)), torch.zeros(1, 1, 1, 64, 64)
    msk[..., 16:48, 16:48] = 1
    with torch.inference_mode():
        first, second = network(src, msk)['pha'], network(src, msk)['pha']
        torch.testing.assert_close(first, second, rtol=0, atol=0)      # the release gave two answers
        folded = fold_spectral(deepcopy(network))
        torch.testing.assert_close(folded(src, msk)['pha'], first, rtol=0, atol=1e-6)
    assert not any('weight_bar' in name for name in folded.state_dict())
