"""VSSM: published names, outputs of the original, four directions, and every scan path through the whole encoder."""

import numpy as np
import pytest
import torch
from encoder_goldens import EncoderGoldens, relative_error, shapes
from vssm_v0 import VanillaVSSM
from whole_encoders import WholeVSSM

from model import MattingNetwork
from model.ss2d import SS2D, cross_merge, cross_scan


@pytest.fixture(scope='module')
def goldens(golden):
    return EncoderGoldens(golden, 'enc_vssm.npz')


def test_names_are_the_published_ones(goldens):
    with torch.device('meta'):
        assert shapes(WholeVSSM()) == goldens.keys('keys_vssm_tiny_s1l8.json', 'encoder')
        assert shapes(VanillaVSSM()) == goldens.keys('keys_vssm_v0_tiny.json', 'encoder')


@pytest.mark.parametrize('tag', ['vssm_tiny_s1l8', 'vssm_tiny_s1l8_odd'])
@torch.no_grad()
def test_outputs_of_the_original(goldens, tag):
    encoder = WholeVSSM().eval()
    goldens.fill(encoder, tag)
    x = goldens.input(tag)
    stem, *stages = encoder.stage_outputs(x)
    outputs = {'stem_half': stem} | {f'stage{i}': s for i, s in enumerate(stages)} | {
        f'norm{i}': f for i, f in enumerate(encoder.features(x)[1:])}
    assert outputs.keys() == goldens.names(tag)
    for name, output in outputs.items():
        assert goldens.error(tag, name, output) < 1e-5, name


@torch.no_grad()
def test_outputs_of_the_first_generation(goldens):
    encoder = VanillaVSSM().eval()
    goldens.fill(encoder, 'vssm_v0_tiny')
    for index, output in enumerate(encoder(goldens.input('vssm_v0_tiny'))):
        assert goldens.error('vssm_v0_tiny', f'stage{index}', output) < 1e-5
    small = [tuple(f.shape[2:]) for f in encoder(torch.rand(1, 3, 33, 47))]
    assert small == [(9, 12), (5, 6), (3, 3), (2, 2)]  # ceil at every stride


@pytest.mark.parametrize('path', ['torch', 'loop'])
@pytest.mark.parametrize('tag, layer', [('ss2d_v05_noz', SS2D(16, 1, 2.0)), ('ss2d_v0', SS2D(16, 4, 2.0, gated=True))])
@torch.no_grad()
def test_single_layers(golden, tag, layer, path):
    goldens = EncoderGoldens(golden, 'enc_blocks.npz')
    assert shapes(layer) == goldens.keys('keys_encoder_blocks.json', tag)
    goldens.fill(layer, tag)
    layer.scan_path = path
    x = 2 * golden.reference_input(f'enc.{tag}', tuple(goldens.arrays[f'{tag}.in_shape'])) - 1
    if tag == 'ss2d_v05_noz':  # stored channels-first
        output = layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    else:
        output = layer(x)
    assert relative_error(output, torch.from_numpy(goldens.arrays[f'{tag}.out'])) < 1e-5


def test_cross_scan_and_merge(golden):
    z = np.load(golden.path('enc_blocks.npz'))
    x, y = torch.from_numpy(z['cross.x']), torch.from_numpy(z['cross.y'])
    np.testing.assert_array_equal(cross_scan(x), z['cross.scan'])
    np.testing.assert_allclose(cross_merge(y.flatten(3), 3, 4).flatten(2), z['cross.merge'], rtol=1e-6)


def test_paths_agree_through_a_layer_forward_and_backward():
    torch.manual_seed(0)
    layer, gradients = SS2D(8, 2, 2.0).double(), []
    x = torch.randn(2, 5, 3, 8).double()
    for layer.scan_path in ('torch', 'loop'):
        layer.zero_grad()
        y = layer(x)
        y.square().sum().backward()
        gradients.append([y, *[p.grad for p in layer.parameters()]])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-8)


def test_half_precision_leaves_the_scan_parameters_alone():
    layer = SS2D(16)
    before = layer.dt_projs_bias.clone()
    layer.half()
    assert layer.in_proj.weight.dtype == torch.float16
    assert {layer.A_logs.dtype, layer.Ds.dtype, layer.dt_projs_bias.dtype} == {torch.float32}
    assert torch.equal(layer.dt_projs_bias, before)
    assert layer.double().A_logs.dtype == torch.float64
    assert layer.bfloat16().float().A_logs.dtype == torch.float32


def test_step_sizes_start_in_their_range():
    dt = torch.nn.functional.softplus(SS2D(64).dt_projs_bias)
    assert dt.min() >= 0.99e-3 and dt.max() <= 1.01e-1


def test_description_and_choice_of_the_scan():
    network = MattingNetwork('mamba')
    assert network.describe().endswith('scan: torch (auto on cpu)')
    network.backbone.select_scan('loop')
    assert network.describe().endswith('scan: loop (loop on cpu)')
    assert all(m.scan_path == 'loop' for m in network.modules() if isinstance(m, SS2D))
    with pytest.raises(ValueError, match='scan path must be one of auto, torch'):
        network.backbone.select_scan('fast')
