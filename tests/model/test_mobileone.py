"""MobileOne: published names, outputs of the original, both forms."""

import numpy as np
import pytest
import torch
from encoder_goldens import EncoderGoldens, relative_error, shapes, train_statistics
from whole_encoders import WholeMobileOne

from model.mobileone import SIZES, MobileOneBlock, MobileOneEncoder
from model.reparameterize import is_merged, reparameterize_model


@pytest.fixture(scope='module')
def goldens(golden):
    return EncoderGoldens(golden, 'enc_mobileone.npz')


@pytest.mark.parametrize('size', ['s0', 's1', 's4'])
def test_names_are_the_published_ones(goldens, size):
    encoder = WholeMobileOne(size)
    assert shapes(encoder) == goldens.keys(f'keys_mobileone_{size}.json', 'train')
    assert shapes(reparameterize_model(encoder)) == goldens.keys(f'keys_mobileone_{size}.json', 'merged')


@pytest.mark.parametrize('tag', ['mobileone_s0', 'mobileone_s0_odd', 'mobileone_s1', 'mobileone_s4'])
@torch.no_grad()
def test_outputs_of_the_original(goldens, tag):
    encoder = WholeMobileOne(tag.split('_')[1]).eval()
    goldens.fill(encoder, tag)
    for form in (encoder, reparameterize_model(encoder)):
        outputs = dict(zip(['f1', 'f2', 'f3', 'f4', 'f5'], form.features(goldens.input(tag)), strict=True))
        assert outputs.keys() == goldens.names(tag)
        for name, output in outputs.items():
            assert goldens.error(tag, name, output) < 1e-5, name


@pytest.mark.parametrize('tag, block', [
    ('mobileone_dw', MobileOneBlock(16, 16, 3, groups=16, branches=4)),
    ('mobileone_pw_se', MobileOneBlock(16, 32, 1, gated=True))])
@torch.no_grad()
def test_single_blocks(golden, tag, block):
    goldens = EncoderGoldens(golden, 'enc_blocks.npz')
    z = goldens.arrays
    block.eval()
    assert shapes(block) == goldens.keys('keys_encoder_blocks.json', tag)
    goldens.fill(block, tag)
    x = 2 * golden.reference_input(f'enc.{tag}', tuple(z[f'{tag}.in_shape'])) - 1
    merged = reparameterize_model(block)
    assert shapes(merged) == goldens.keys('keys_encoder_blocks.json', f'{tag}.merged')
    for output in (block(x), merged(x)):
        assert relative_error(output, torch.from_numpy(z[f'{tag}.out'])) < 1e-5
    np.testing.assert_allclose(merged.reparam_conv.weight, z[f'{tag}.merged_weight'], atol=1e-5)
    np.testing.assert_allclose(merged.reparam_conv.bias, z[f'{tag}.merged_bias'], atol=1e-5)


@pytest.mark.parametrize('size', SIZES)
@torch.no_grad()
def test_merged_equals_trained_form(size):
    torch.manual_seed(0)
    encoder = train_statistics(MobileOneEncoder(size))
    merged = reparameterize_model(encoder)
    assert is_merged(merged) and not is_merged(encoder)
    assert len(merged.state_dict()) < len(encoder.state_dict())
    x = torch.rand(1, 2, 3, 35, 51)
    for output, reference in zip(merged(x), encoder(x), strict=True):
        assert relative_error(output, reference) < 1e-5


@pytest.mark.parametrize('arguments', [
    {'kernel_size': 3, 'stride': 2, 'branches': 1}, {'kernel_size': 3, 'groups': 8, 'branches': 4},
    {'kernel_size': 3, 'groups': 2, 'gated': True}, {'kernel_size': 1, 'branches': 4}], ids=str)
@torch.no_grad()
def test_merging_is_exact(arguments):
    """In float64 nothing but rounding is left."""
    torch.manual_seed(0)
    block = train_statistics(MobileOneBlock(16, 16, **arguments)).double()
    x = torch.randn(2, 16, 9, 12).double()
    torch.testing.assert_close(reparameterize_model(block)(x), block(x), atol=1e-12, rtol=1e-12)


def test_merged_after_training_steps():
    torch.manual_seed(0)
    encoder = MobileOneEncoder('s0').train()
    optimizer = torch.optim.SGD(encoder.parameters(), 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        sum(f.square().mean() for f in encoder(torch.rand(2, 3, 40, 56))).backward()
        optimizer.step()
    x = torch.rand(1, 3, 37, 53)
    with torch.no_grad():
        merged = reparameterize_model(encoder)
        assert encoder.training and not merged.training
        encoder.eval()
        for output, reference in zip(merged(x), encoder(x), strict=True):
            assert relative_error(output, reference) < 1e-5


def test_gates_stand_where_the_paper_puts_them():
    gated = {name.rsplit('.se.', 1)[0] for name in WholeMobileOne('s4').state_dict() if '.se.' in name}
    assert gated == {f'stage3.{i}' for i in range(10, 20)} | {'stage4.0', 'stage4.1'}
    assert not any('.se.' in name for name in WholeMobileOne('s3').state_dict())
