"""UniRepLKNet: published names, outputs of the original, both forms, and the large-kernel network as a whole."""

import numpy as np
import pytest
import torch
from encoder_goldens import EncoderGoldens, relative_error, shapes, train_statistics
from torch import nn

from model import MattingNetwork
from model.large_kernel_decoder import HaarWavelet
from model.reparameterize import reparameterize_model
from model.unireplknet import BRANCHES, DilatedReparamBlock, UniRepLKNet, UniRepLKNetBlock, UniRepLKNetEncoder

# tag, size, stride of the second stem convolution, limit. GRN over a 2x3 map amplifies rounding: float32 itself is
# 1.3e-4 away from float64 in the last case
CASES = [('unireplknet_a', 'a', 2, 1e-5), ('unireplknet_a_s16', 'a', 1, 1e-5),
         ('unireplknet_a_s16_odd', 'a', 1, 1e-5), ('unireplknet_n', 'n', 2, 1e-3)]


@pytest.fixture(scope='module')
def goldens(golden):
    return EncoderGoldens(golden, 'enc_unireplknet.npz')


@pytest.mark.parametrize('size', ['a', 'n'])
def test_names_are_the_published_ones(goldens, size):
    network = UniRepLKNet(size, stem_stride=2)
    assert shapes(network) == goldens.keys(f'keys_unireplknet_{size}.json', 'train')
    assert shapes(reparameterize_model(network)) == goldens.keys(f'keys_unireplknet_{size}.json', 'merged')


@pytest.mark.parametrize('tag, size, stem_stride, limit', CASES)
@torch.no_grad()
def test_outputs_of_the_original(goldens, tag, size, stem_stride, limit):
    network = UniRepLKNet(size, stem_stride).eval()
    goldens.fill(network, tag)
    x = goldens.input(tag)
    stem, *stages = network.stage_outputs(x)
    outputs = {'stem_half': stem} | {f'stage{i}': s for i, s in enumerate(stages)} | {
        f'norm{i}': f for i, f in enumerate(network(x)[1:])}
    assert outputs.keys() == goldens.names(tag)
    for name, output in outputs.items():
        assert goldens.error(tag, name, output) < limit, name
    # a chain of blocks with random weights amplifies rounding; that merging itself is exact is shown on single blocks
    for name, output in zip(['stem_half', 'norm0', 'norm1', 'norm2', 'norm3'], reparameterize_model(network)(x)):
        assert goldens.error(tag, name, output) < max(limit, 1e-4), name


@pytest.mark.parametrize('kernel_size', [3, 7, 13])
@torch.no_grad()
def test_single_blocks(golden, kernel_size):
    tag, goldens = f'unirep_k{kernel_size}', EncoderGoldens(golden, 'enc_blocks.npz')
    z = goldens.arrays
    block = UniRepLKNetBlock(16, kernel_size).eval()
    assert shapes(block) == goldens.keys('keys_encoder_blocks.json', tag)
    goldens.fill(block, tag)
    x = 2 * golden.reference_input(f'enc.{tag}', tuple(z[f'{tag}.in_shape'])) - 1
    merged = reparameterize_model(block)
    assert shapes(merged) == goldens.keys('keys_encoder_blocks.json', f'{tag}.merged')
    for output in (block(x), merged(x)):
        assert relative_error(output, torch.from_numpy(z[f'{tag}.out'])) < 1e-5
    conv = merged.dwconv.lk_origin if kernel_size >= 7 else merged.dwconv
    np.testing.assert_allclose(conv.weight, z[f'{tag}.merged_weight'], atol=1e-5)
    np.testing.assert_allclose(conv.bias, z[f'{tag}.merged_bias'], atol=1e-5)


@pytest.mark.parametrize('kernel_size', BRANCHES)
@pytest.mark.parametrize('groups', [1, 4])
@torch.no_grad()
def test_every_dilated_block_merges(kernel_size, groups):
    torch.manual_seed(0)
    assert all(dilation * (k - 1) < kernel_size for k, dilation in BRANCHES[kernel_size])
    block = train_statistics(DilatedReparamBlock(4, 8, kernel_size, groups)).double()
    x = torch.randn(1, 4, 21, 17).double()
    torch.testing.assert_close(reparameterize_model(block)(x), block(x), atol=1e-12, rtol=1e-12)
    assert block(x).shape == (1, 8, 21, 17)


@pytest.mark.parametrize('kernel_size', [3, 13])
@torch.no_grad()
def test_merging_a_block_is_exact(kernel_size):
    torch.manual_seed(0)
    block = draw_scales(train_statistics(UniRepLKNetBlock(8, kernel_size))).double()
    x = torch.randn(2, 8, 9, 12).double()
    torch.testing.assert_close(reparameterize_model(block)(x), block(x), atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize('native', [False, True])
@torch.no_grad()
def test_merged_equals_trained_form_at_odd_sides(native):
    torch.manual_seed(0)
    encoder = draw_scales(train_statistics(UniRepLKNetEncoder('a', native=native)))
    x = torch.rand(1, 2, 3, 37, 53)
    for output, reference in zip(reparameterize_model(encoder)(x), encoder(x), strict=True):
        assert relative_error(output, reference) < 1e-4


def draw_scales(model: nn.Module) -> nn.Module:
    """Layer scale starts at 1e-6 and GRN at 0, which would hide what is inside the blocks."""
    for name, parameter in model.named_parameters():
        if name.endswith(('gamma', 'beta')):
            nn.init.uniform_(parameter, 0.1, 0.5)
    return model


def test_haar_bands_of_one_block():
    bands = HaarWavelet()(torch.tensor([[1., 2.], [3., 5.]]).reshape(1, 1, 2, 2)).flatten()
    torch.testing.assert_close(bands, torch.tensor([11., -5., -3., 1.]) / 2)


def test_haar_bands_are_band_major_and_ceil():
    x = torch.rand(2, 3, 5, 7)
    bands = HaarWavelet()(x)
    assert bands.shape == (2, 12, 3, 4)
    torch.testing.assert_close(bands[:, :3, :2, :3], 2 * nn.functional.avg_pool2d(x, 2))
    torch.testing.assert_close(bands[:, :3, 2, 3], x[:, :, 4, 6] / 2)  # the corner stands alone beside zeros


@torch.no_grad()
def test_large_kernel_network(golden):
    tag, goldens = 'net4_unireplknet_a', EncoderGoldens(golden, 'enc_networks.npz')
    network = MattingNetwork('unireplknet_large_kernel').eval()
    assert shapes(network) == goldens.keys(f'keys_{tag}.json', 'net')
    goldens.fill(network, tag, scale_prefix='backbone.')
    merged = reparameterize_model(network)
    assert shapes(merged) == goldens.keys(f'keys_{tag}.json', 'merged')
    src = goldens.input(tag)
    for net in (network, merged):
        outputs = dict(zip(['fgr', 'pha', 'r1', 'r2', 'r3', 'r4'], net(src), strict=True))
        outputs |= {'seg': net(src, segmentation_pass=True)[0], 'pha_half': net(src, downsample_ratio=0.5)[1]}
        assert outputs.keys() == goldens.names(tag)
        for name, output in outputs.items():
            assert goldens.error(tag, name, output) < 1e-4, name
