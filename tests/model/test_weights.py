"""Checkpoints by name and path: what loads, what is refused, and what the message says."""

import hashlib
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model import MattingNetwork, weights
from model.downloads import download_once
from model.weights import load_network, read_state, resolve_checkpoint, save_network


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return MattingNetwork().eval()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_round_trip(tmp_path, network, suffix):
    path = tmp_path / f'net{suffix}'
    save_network(network, path)
    loaded = load_network(path)
    assert not loaded.training and [p.name for p in tmp_path.iterdir()] == [path.name]
    state = loaded.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(state[name], tensor), name


def test_the_size_that_weights_are_for_stays_with_them(tmp_path):
    network = MattingNetwork()
    assert network.inference_size == 512
    network.inference_size = 384
    save_network(network, tmp_path / 'net.safetensors')
    assert load_network(tmp_path / 'net.safetensors').inference_size == 384
    for wrong in ('0', '-5', 'wide'):
        save_file(network.state_dict(), tmp_path / 'wrong.safetensors', {'format': 'pt', 'inference_size': wrong})
        with pytest.raises(ValueError, match=f"inference_size must be 32 to 8192 pixels, got '{wrong}'"):
            load_network(tmp_path / 'wrong.safetensors')


@pytest.mark.parametrize('wrapper', ['state_dict', 'model'])
def test_wrapped_state_dict(tmp_path, network, wrapper):
    torch.save({wrapper: network.state_dict(), 'epoch': 3}, tmp_path / 'net.pth')
    assert load_network(tmp_path / 'net.pth').variant == 'mobilenetv3'


def test_variant_and_refiner_are_read_from_the_file(tmp_path):
    save_network(MattingNetwork('resnet50', 'fast_guided_filter'), tmp_path / 'net.pth')
    loaded = load_network(tmp_path / 'net.pth')
    assert (loaded.variant, loaded.refiner_name) == ('resnet50', 'fast_guided_filter')
    with pytest.raises(ValueError, match='is a resnet50 network, asked for mobilenetv3'):
        load_network(tmp_path / 'net.pth', variant='mobilenetv3')
    with pytest.raises(ValueError, match='no weights for the deep_guided_filter'):
        load_network(tmp_path / 'net.pth', refiner='deep_guided_filter')


def test_fast_refiner_may_replace_a_trained_one_and_says_so(tmp_path, network, capsys):
    save_network(network, tmp_path / 'net.pth')
    assert load_network(tmp_path / 'net.pth', refiner='fast_guided_filter').refiner_name == 'fast_guided_filter'
    assert 'refiner.box_filter.weight' in capsys.readouterr().out


def test_left_over_and_missing_keys_are_listed(tmp_path, network):
    state = network.state_dict()
    state['extra.weight'] = torch.zeros(1)
    del state['project_mat.conv.bias']
    state['aspp.aspp1.0.weight'] = torch.zeros(2, 960, 1, 1)
    torch.save(state, tmp_path / 'net.pth')
    with pytest.raises(ValueError, match=r'1 keys missing \(project_mat.conv.bias\); 1 keys left over \(extra.weight\)'
                                         r'; 1 keys of another shape \(aspp.aspp1.0.weight \[2, 960, 1, 1\] instead'):
        load_network(tmp_path / 'net.pth')


class Evil:
    def __reduce__(self):
        return os.mkdir, ('pwned',)


def test_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'weight': Evil()}, 'evil.pth')
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps({'weight': Evil()}))
    for name in ('evil.pth', 'plain.pth'):
        with pytest.raises(ValueError, match='holds Python objects other than tensors'):
            load_network(name)
    assert not (tmp_path / 'pwned').exists()


@pytest.mark.parametrize('bytes_kept', [31, 51, 400, 2000])
def test_old_checkpoints_cut_off(tmp_path, bytes_kept):
    """Found by tests/fuzz: the unpickler of PyTorch raises struct.error."""
    torch.save({'weight': torch.zeros(500)}, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    (tmp_path / 'a.pth').write_bytes((tmp_path / 'a.pth').read_bytes()[:bytes_kept])
    with pytest.raises(ValueError, match='a.pth is damaged or not a PyTorch file'):
        read_state(tmp_path / 'a.pth')


def test_a_zip_with_a_damaged_directory(tmp_path):
    torch.save({'weight': torch.zeros(500)}, tmp_path / 'a.pth')
    data = (tmp_path / 'a.pth').read_bytes()
    at = data.rindex(b'PK\1\2')
    (tmp_path / 'a.pth').write_bytes(data[:at] + b'XX' + data[at + 2:])
    with pytest.raises(ValueError, match='a.pth is damaged or not a PyTorch file'):
        read_state(tmp_path / 'a.pth')


def test_files_that_are_no_checkpoints(tmp_path, network):
    (tmp_path / 'text.pth').write_text('hello')
    (tmp_path / 'text.safetensors').write_text('hello')
    (tmp_path / 'empty.pth').write_bytes(b'')
    save_network(network, tmp_path / 'whole.pth')
    (tmp_path / 'cut.pth').write_bytes((tmp_path / 'whole.pth').read_bytes()[:100_000])
    torch.save(torch.zeros(3), tmp_path / 'tensor.pth')
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / 'script.pth')
    for name in ('text.pth', 'text.safetensors', 'empty.pth', 'cut.pth'):
        with pytest.raises(ValueError, match=f'{name} (is damaged or not a|holds Python objects)'):
            read_state(tmp_path / name)
    with pytest.raises(ValueError, match='not a state dict'):
        read_state(tmp_path / 'tensor.pth')
    with pytest.raises(ValueError, match='TorchScript archive'):
        read_state(tmp_path / 'script.pth')


def test_unknown_names_list_the_known_ones(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match='no such file, and not one of the known names .default, .*rvm_'):
        resolve_checkpoint('rvm_mobilenet')
    monkeypatch.setitem(weights.OWN, 'default', tmp_path / 'none.safetensors')
    with pytest.raises(FileNotFoundError, match='this clone lacks none.safetensors'):
        resolve_checkpoint('default')


def test_published_weights_are_downloaded_once_and_verified(monkeypatch, tmp_path, network):
    source, calls = tmp_path / 'source.pth', []
    save_network(network, source)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))

    def download(url, target, progress):
        calls.append(url)
        with open(target, 'wb') as file:
            file.write(source.read_bytes())
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    for _ in range(2):
        assert load_network('rvm_mobilenetv3').variant == 'mobilenetv3'
    assert calls == [weights.PUBLISHED['rvm_mobilenetv3'].url]
    path = resolve_checkpoint('rvm_mobilenetv3')
    path.write_bytes(path.read_bytes() + b'x')
    with pytest.raises(ValueError, match='has changed since it was downloaded'):
        resolve_checkpoint('rvm_mobilenetv3')


@pytest.mark.parametrize('content, message', [
    (b'<!DOCTYPE html><p>log in</p>', 'is a web page, not weights'), (b'PK', 'holds Python objects'),
    (None, 'is a mobilenetv3 network, expected resnet50')])
def test_a_download_that_is_something_else_is_not_kept(monkeypatch, tmp_path, network, content, message):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))

    def download(url, target, progress):
        if content is None:
            save_network(network, target)
        else:
            Path(target).write_bytes(content)
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    with pytest.raises(ValueError, match=f'{message}.*; the file was removed'):
        resolve_checkpoint('rvm_resnet50')
    assert list((tmp_path / 'checkpoints').iterdir()) == []
    (tmp_path / 'checkpoints/rvm_resnet50.pth').write_bytes(b'put there by hand')
    with pytest.raises(ValueError, match='rvm_resnet50.pth holds .*; delete it, or put the file of https'):
        resolve_checkpoint('rvm_resnet50')
    assert (tmp_path / 'checkpoints/rvm_resnet50.pth').is_file()


def test_a_digest_in_the_name_is_verified(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda url, target, progress: Path(target).write_text('x'))
    name = f'net-{hashlib.sha256(b"x").hexdigest()[:8]}.pth'
    assert download_once(f'https://example.org/{name}', name, 'weights').name == name
    with pytest.raises(ValueError, match='is not weights as published .*, its name says 12345678.; the file was remov'):
        download_once('https://example.org/net-12345678.pth', 'net-12345678.pth', 'weights')


def test_failed_download_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))

    def download(url, target, progress):
        raise OSError('no route to host')
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    with pytest.raises(RuntimeError, match=r'cannot download rvm_resnet50 .*no route to host; check the network'):
        resolve_checkpoint('rvm_resnet50')


def test_reference_weights_load_strictly(shared):
    loaded = load_network(shared / 'weights' / 'rvm_mobilenetv3_fgf_dequantised.pth')
    assert (loaded.variant, loaded.refiner_name) == ('mobilenetv3', 'fast_guided_filter')


def test_huggingface_round_trip(tmp_path):
    pytest.importorskip('huggingface_hub')
    from model.huggingface import HubMattingNetwork
    network = HubMattingNetwork('mobilenetv3', refiner='fast_guided_filter')
    network.save_pretrained(tmp_path)
    assert 'license: other\n' in (tmp_path / 'README.md').read_text()       # that of the weights, whosever they are
    loaded = HubMattingNetwork.from_pretrained(tmp_path)
    assert loaded.refiner_name == 'fast_guided_filter'
    state = loaded.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(state[name], tensor), name


def test_missing_huggingface_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    monkeypatch.delitem(sys.modules, 'model.huggingface', raising=False)
    with pytest.raises(RuntimeError, match='pip install -r requirements/hub.txt'):
        import model.huggingface  # noqa: F401


@pytest.mark.parametrize('wrap', [
    lambda state: {f'module.{name}': value for name, value in state.items()},
    lambda state: {f'_orig_mod.{name}': value for name, value in state.items()},
    lambda state: {f'_orig_mod.module.{name}': value for name, value in state.items()},
    lambda state: {'model_state_dict': state, 'epoch': 3},
    lambda state: {'state_dict': {f'model.{name}': value for name, value in state.items()}, 'epoch': 2},
], ids=['DataParallel', 'compile', 'both', 'model_state_dict', 'Lightning'])
def test_checkpoints_as_others_save_them(tmp_path, wrap):
    model = MattingNetwork()
    torch.save(wrap(model.state_dict()), tmp_path / 'a.pth')
    loaded = load_network(tmp_path / 'a.pth').state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize('value, message', [(float('nan'), 'values that are not finite'), (float('inf'), 'not finite'),
                                            (1e20, 'absurdly large values')])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_numbers_that_no_network_has(tmp_path, suffix, value, message):
    model = MattingNetwork()
    with torch.no_grad():
        model.project_mat.conv.bias[0] = value
    save_network(model, tmp_path / f'a{suffix}')
    with pytest.raises(ValueError, match=f'{message} .project_mat.conv.bias'):
        load_network(tmp_path / f'a{suffix}')


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / 'a.safetensors'
    save_network(MattingNetwork(), path)
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match='is damaged: its tensors are not those that were saved'):
        load_network(path)


@pytest.mark.parametrize('content, message', [
    ('<!DOCTYPE html><html>', 'a web page, not weights'), ('\n<html>', 'a web page'),
    ('version https://git-lfs.github.com', 'Git LFS')])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_downloads_that_went_wrong(tmp_path, suffix, content, message):
    (tmp_path / f'a{suffix}').write_text(content)
    with pytest.raises(ValueError, match=message):
        load_network(tmp_path / f'a{suffix}')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_weights_without_permission(tmp_path):
    save_network(MattingNetwork(), tmp_path / 'a.pth')
    (tmp_path / 'a.pth').chmod(0)
    with pytest.raises(PermissionError, match='cannot be read: Permission denied'):
        load_network(tmp_path / 'a.pth')


def test_a_note_commands_no_terminal(tmp_path, capsys):
    save_network(MattingNetwork(), tmp_path / 'a.safetensors', note='\x1b]0;owned\x07 good')
    load_network(tmp_path / 'a.safetensors')
    assert capsys.readouterr().err == 'a.safetensors: \\x1b]0;owned\\x07 good\n'
