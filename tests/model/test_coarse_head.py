"""model/coarse_head.py: the same features as the whole network, without its last steps."""

import pytest
import torch

from model import MattingNetwork
from model.coarse_head import add_coarse_head, coarse_pass, pool_quarter, without_coarse_head


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return add_coarse_head(MattingNetwork()).eval()


def test_reads_the_third_step_of_the_decoder(network):
    src, seen = torch.rand(2, 3, 3, 64, 96), []
    handle = network.decoder.decode2.register_forward_hook(lambda module, given, out: seen.append(out[0]))
    with torch.no_grad():
        network(src)
        fgr, pha, seg, *_ = coarse_pass(network, src)
        expected = network.coarse(seen[0]).unflatten(0, (2, 3))
    handle.remove()
    assert fgr.shape == (2, 3, 3, 16, 24) and pha.shape == seg.shape == (2, 3, 1, 16, 24)
    torch.testing.assert_close(torch.cat([fgr - pool_quarter(src), pha, seg], 2), expected)


def test_is_trained_but_not_part_of_a_checkpoint(network):
    src = torch.rand(1, 1, 3, 32, 32)
    sum(out.square().sum() for out in coarse_pass(network, src)).backward()
    touched = {name.split('.')[0] for name, p in network.named_parameters() if p.grad is not None}
    assert touched == {'backbone', 'aspp', 'decoder', 'coarse'}
    state = without_coarse_head(network.state_dict())
    MattingNetwork().load_state_dict(state, strict=True)


def test_another_decoder_is_refused():
    with pytest.raises(ValueError, match='unireplknet_large_kernel: supervision at stride 4 needs the published'):
        add_coarse_head(MattingNetwork('unireplknet_large_kernel'))
