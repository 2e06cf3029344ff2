"""Which network a state dict with a plate belongs to, and refine networks on base weights."""

import pytest
import torch

from model.background import (
    BACKBONES,
    MattingBase,
    MattingRefine,
    infer_plate_network,
    load_plate_network,
    start_from_base,
)


@pytest.mark.parametrize('kernel_size', [None, 1, 3])
@pytest.mark.parametrize('backbone', sorted(BACKBONES))
def test_recognised_by_names_and_shapes(backbone, kernel_size):
    with torch.device('meta'):
        network = (MattingBase(backbone) if kernel_size is None
                   else MattingRefine(backbone, refine_kernel_size=kernel_size))
    assert infer_plate_network(network.state_dict()) == (backbone, kernel_size)


def test_another_network_is_not_recognised():
    assert infer_plate_network({'backbone.conv1.weight': torch.zeros(1)}) is None


def test_loaded_strictly():
    network = MattingRefine('mobilenetv2')
    loaded = load_plate_network(network.state_dict(), 'a.pth')
    assert isinstance(loaded, MattingRefine) and not loaded.training
    for a, b in zip(network.state_dict().values(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match='a.pth has the backbone mobilenetv2, asked for resnet50'):
        load_plate_network(network.state_dict(), 'a.pth', 'resnet50')
    state = network.state_dict()
    del state['decoder.bn1.weight']
    with pytest.raises(ValueError, match=r'a.pth does not fit this network: 1 keys missing \(decoder.bn1.weight\)'):
        load_plate_network(state, 'a.pth', 'mobilenetv2')


def test_base_weights_start_a_refine_network_and_it_says_so():
    base, refine = MattingBase('mobilenetv2'), MattingRefine('mobilenetv2')
    said = start_from_base(refine, base.state_dict(), 'base.pth')
    assert said == 'base.pth: 362 keys loaded; the 20 keys of the refiner keep their initial values'
    assert torch.equal(refine.decoder.conv4.weight, base.decoder.conv4.weight)
    assert start_from_base(refine, refine.state_dict(), 'refine.pth') == 'refine.pth: all 382 keys loaded'
    with pytest.raises(ValueError, match='1 keys left over'):
        start_from_base(refine, base.state_dict() | {'extra': torch.zeros(1)}, 'base.pth')
    state = refine.state_dict()
    del state['refiner.bn1.weight']
    with pytest.raises(ValueError, match='a part of a refiner'):
        start_from_base(refine, state, 'cut.pth')
