import pytest
import torch

from model import MattingNetwork
from training.clips import ClipNetwork, channels_last, resize_height, seeded

from .toys import ToyNetwork


def run(network, frames, src, **arguments):
    outputs = ClipNetwork(network, frames)(src, **arguments)
    sum(output.square().sum() for output in outputs).backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    return outputs, gradients


@pytest.mark.parametrize('arguments', [{}, {'downsample_ratio': 0.5}, {'heads': 1, 'segmentation_pass': True}])
def test_pieces_give_the_same_outputs_and_gradients(arguments):
    network = MattingNetwork('mobilenetv3').double().eval()
    src = torch.rand(1, 3, 3, 32, 32, dtype=torch.double)
    outputs, gradients = run(network, 0, src, **arguments)
    pieces, piece_gradients = run(network, 2, src, **arguments)
    assert gradients.keys() == piece_gradients.keys()
    tolerance = {'rtol': 1e-3, 'atol': 1e-4} if 'downsample_ratio' in arguments else {}   # the refiner is float32
    for x, y in zip(outputs, pieces):
        torch.testing.assert_close(x, y, **tolerance)
    for name in gradients:
        torch.testing.assert_close(gradients[name], piece_gradients[name], **tolerance,
                                   msg=lambda m, name=name: f'{name}: {m}')


def test_running_statistics_count_each_piece_once():
    network, src = ToyNetwork().train(), torch.rand(1, 4, 3, 8, 8)
    plain = ToyNetwork().train()
    for piece in src.split(2, dim=1):
        plain(piece)
    run(network, 2, src)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert network.backbone[1].momentum == 0.1


def test_resized_clips_are_even():
    clips = resize_height(torch.rand(2, 3, 3, 37, 41), torch.rand(2, 3, 1, 37, 41), share=0.5)
    assert [list(clip.shape) for clip in clips] == [[2, 3, 3, 20, 40], [2, 3, 1, 20, 40]]


def test_channels_last_keeps_values():
    clip = torch.rand(2, 3, 3, 4, 5)
    laid_out = channels_last(clip)
    assert torch.equal(clip, laid_out)
    assert laid_out.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_draws_belong_to_their_place():
    def draw(*key):
        return seeded(*key).random(), torch.rand(1).item()
    assert draw(0, 1, 'lr') == draw(0, 1, 'lr')
    assert len({draw(0, 1, 'lr'), draw(0, 2, 'lr'), draw(0, 1, 'hr'), draw(1, 1, 'lr')}) == 4
