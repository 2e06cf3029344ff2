"""model/convert_checkpoint.py: the network stays the same."""

import pytest
import torch

from model import MattingNetwork
from model.convert_checkpoint import main
from model.reparameterize import is_merged
from model.weights import load_network, save_network


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('source') / 'net.pth'
    save_network(MattingNetwork(), path)
    return path


@torch.no_grad()
def answer(path):
    fgr, pha, *_ = load_network(path)(torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64))
    return torch.cat([fgr, pha], 1)


def test_half_is_half_the_size_and_nearly_the_same(source, tmp_path, capsys):
    target = tmp_path / 'half.safetensors'
    assert main([str(source), str(target), '--half', '--note', 'a preview,\nnot more']) == 0
    assert target.stat().st_size < 0.53 * source.stat().st_size
    capsys.readouterr()
    difference = (answer(target) - answer(source)).abs().max()
    assert 0 < difference < 0.01
    assert 'half.safetensors: a preview, not more' in capsys.readouterr().err
    assert next(load_network(target).parameters()).dtype == torch.float32


def test_merged(tmp_path):
    source, target = tmp_path / 'train.pth', tmp_path / 'merged.safetensors'
    torch.manual_seed(0)
    save_network(MattingNetwork('mobileone'), source)
    assert main([str(source), str(target), '--merge', '--inference-size', '384']) == 0
    assert load_network(target).inference_size == 384
    assert is_merged(load_network(target))
    torch.testing.assert_close(answer(target), answer(source), atol=1e-4, rtol=0)


@pytest.mark.parametrize('count', [2, 3])
def test_average(source, tmp_path, capsys, count):
    torch.manual_seed(1)
    others = [str(tmp_path / f'{name}.pth') for name in ('other', 'third')[:count - 1]]
    for path in others:
        save_network(MattingNetwork(), path)
    assert main([str(source), str(tmp_path / 'mean.pth'), '--average', *others]) == 0
    states, mean = ([load_network(path).state_dict() for path in (source, *others)],
                    load_network(tmp_path / 'mean.pth').state_dict())
    first, second = states[:2]
    assert not torch.equal(first['backbone.features.0.0.weight'], second['backbone.features.0.0.weight'])
    for name, value in mean.items():
        expected = torch.stack([s[name] for s in states]).mean(0) if value.is_floating_point() else first[name]
        torch.testing.assert_close(value, expected, msg=name)
    assert (answer(tmp_path / 'mean.pth') - answer(source)).abs().max() > 0
    save_network(MattingNetwork('mobileone'), tmp_path / 'mobileone.pth')
    capsys.readouterr()
    assert main([str(source), str(tmp_path / 'no.pth'), '--average', str(tmp_path / 'mobileone.pth')]) == 2
    assert 'different networks' in capsys.readouterr().err and not (tmp_path / 'no.pth').exists()


@pytest.mark.parametrize('target, more, message', [
    ('net.onnx', [], 'checkpoint name must end in .safetensors or .pth'),
    ('net.pth', ['--note', 'x'], 'only .safetensors files carry a note'),
    ('net.pth', ['--inference-size', '384'], '--inference-size must be 32 to 8192 and the target a .safetensors file'),
    ('there.pth', [], 'exists: name a new file'),
])
def test_bad_input(source, tmp_path, capsys, target, more, message):
    (tmp_path / 'there.pth').write_text('')
    assert main([str(source), str(tmp_path / target), *more]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ['there.pth']


def test_values_beyond_half_precision_are_refused(tmp_path, capsys):
    network = MattingNetwork()
    network.project_mat.conv.bias.data[0] = 1e6
    save_network(network, tmp_path / 'net.pth')
    assert main([str(tmp_path / 'net.pth'), str(tmp_path / 'half.pth'), '--half']) == 2
    assert '1 tensors hold values beyond 65504 (project_mat.conv.bias)' in capsys.readouterr().err


def test_the_source_survives_a_target_whose_old_temporary_name_it_has(tmp_path):
    source = tmp_path / 'm.partial.safetensors'
    save_network(MattingNetwork(), source)
    before = source.read_bytes()
    assert main([str(source), str(tmp_path / 'm.safetensors')]) == 0
    assert source.read_bytes() == before and load_network(tmp_path / 'm.safetensors').variant == 'mobilenetv3'
