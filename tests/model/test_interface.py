"""What networks take and give, and the table of families that says so."""

import pytest
import torch

from model.families import FAMILIES, all_variants, build_network, nearest, recognise
from model.interface import MATTING, Interface, interface_of


def test_calls_are_taken_apart_and_answers_put_together():
    plate = Interface(inputs=('src', 'bgr'), outputs=('pha', 'fgr'))
    assert MATTING.parse(['s', *'abcd', 0.5]) == (['s'], list('abcd'), 0.5)
    assert MATTING.parse(['s', *MATTING.first_states(), 0.5]) == (['s'], None, 0.5)
    assert MATTING.parse(['s']) == (['s'], None, None) and plate.parse(['s', 'b']) == (['s', 'b'], None, None)
    assert MATTING.split(['f', 'p', *'abcd']) == ({'fgr': 'f', 'pha': 'p'}, list('abcd'))
    assert plate.split(('p', 'f')) == ({'pha': 'p', 'fgr': 'f'}, []) and plate.first_states() == []


def test_names_in_files_are_the_published_ones():
    assert MATTING.names_in == ('src', 'r1i', 'r2i', 'r3i', 'r4i', 'downsample_ratio')
    assert MATTING.names_out == ('fgr', 'pha', 'r1o', 'r2o', 'r3o', 'r4o')
    assert MATTING.frame_names == MATTING.names_in[:5]


def test_a_network_that_names_nothing_is_called_like_rvm():
    assert interface_of(torch.nn.Identity()) is MATTING


@pytest.mark.parametrize('family', FAMILIES)
def test_a_checkpoint_of_every_family_is_recognised(family):
    variant = next(iter(FAMILIES[family].variants))
    with torch.device('meta'):
        network = FAMILIES[family].variants[variant]()
    state = network.state_dict()
    form = recognise(state)
    assert {name: value.shape for name, value in form.build().state_dict().items()} == \
        {name: value.shape for name, value in state.items()}
    assert type(nearest(dict(list(state.items())[3:]))) is type(network)      # a part of it still looks like one


def test_variants_have_one_name_each():
    assert len(set(all_variants())) == len(all_variants())
    with pytest.raises(ValueError, match='variant must be one of mobilenetv3, '):
        build_network('vgg')
