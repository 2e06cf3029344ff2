"""The table of encoders: what a row says is what is built."""

import pytest
import torch

from model import ENCODERS, VARIANTS


@pytest.mark.parametrize('name', sorted(ENCODERS))
@torch.no_grad()
def test_a_row_tells_widths_and_strides_for_any_number_of_channels(name):
    spec = ENCODERS[name]
    encoder = spec.create(in_channels=6, normalize=False).eval()
    features = encoder(torch.rand(1, 6, 64, 96))
    assert [tuple(f.shape) for f in features] == [(1, C, 64 // s, 96 // s)
                                                  for C, s in zip(spec.channels, spec.strides, strict=True)]


@torch.no_grad()
def test_what_is_normalised_inside():
    x = torch.rand(1, 3, 32, 32)
    for name, differs in (('mobilenetv3', True), ('mobileone_s0', True), ('resnet50', False)):
        encoder = ENCODERS[name].create().eval()
        before = encoder(x)[0]
        encoder.normalize = False
        assert torch.equal(before, encoder(x)[0]) is not differs


def test_statistics_of_other_channels_are_refused():
    with pytest.raises(ValueError, match='normalize must be False for 6 channels'):
        ENCODERS['mobilenetv3'].create(in_channels=6)


def test_every_variant_names_an_encoder_of_its_strides():
    assert all(variant.spec.strides == (2, 4, 8, 16) for variant in VARIANTS.values())
