"""Merging whole networks, merged checkpoints, and ImageNet weights by path or download."""

import copy
import time

import pytest
import torch
from encoder_goldens import train_statistics
from torch import nn
from whole_encoders import WholeMobileOne, WholeVSSM

from model import VARIANTS, MattingNetwork, reparameterize_model
from model.checkpoint_keys import infer_network
from model.reparameterize import is_merged
from model.state_dicts import read_state
from model.vssm_encoder import VSSMEncoder
from model.weights import load_network, save_network

MERGEABLE = ['mobileone', 'unireplknet_large_kernel', 'unireplknet_a']


@torch.no_grad()
@pytest.mark.parametrize('variant', MERGEABLE)
def test_merged_network_equals_the_trained_one_and_leaves_it_alone(variant):
    torch.manual_seed(0)
    network = train_statistics(MattingNetwork(variant)).train()
    before = copy.deepcopy(network.state_dict())
    merged = reparameterize_model(network)
    assert network.training and not merged.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    src = torch.rand(1, 2, 3, 45, 67)
    for output, reference in zip(merged(src, downsample_ratio=0.6), network.eval()(src, downsample_ratio=0.6)):
        torch.testing.assert_close(output, reference, atol=1e-4, rtol=1e-3)
    assert 'merged' in merged.describe() and 'merged' not in network.describe()
    again = reparameterize_model(merged).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in merged.state_dict().items())


def test_nothing_to_merge():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1))
    copied = reparameterize_model(model)
    assert copied is not model and not copied.training and not is_merged(copied)
    assert copied.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@torch.no_grad()
def test_merged_checkpoints_are_recognised_and_load(tmp_path, suffix):
    torch.manual_seed(0)
    merged = reparameterize_model(MattingNetwork('unireplknet_large_kernel', 'fast_guided_filter'))
    save_network(merged, tmp_path / f'net{suffix}')
    loaded = load_network(tmp_path / f'net{suffix}')
    assert is_merged(loaded) and not loaded.training
    assert (loaded.variant, loaded.refiner_name) == ('unireplknet_large_kernel', 'fast_guided_filter')
    src = torch.rand(1, 3, 32, 48)
    assert torch.equal(loaded(src)[1], merged(src)[1])
    if suffix == '.safetensors':
        assert read_state(tmp_path / f'net{suffix}')[1]['form'] == 'merged'


@pytest.mark.parametrize('variant', sorted(VARIANTS))
def test_every_form_is_recognised_in_reasonable_time(variant):
    with torch.device('meta'):
        network = MattingNetwork(variant)
    merged = reparameterize_model(network)
    for form in (network, merged):
        start = time.process_time()
        found = infer_network(form.state_dict())
        assert found == (variant, 'deep_guided_filter', is_merged(form))
        assert time.process_time() - start < 5  # about half a second where nothing else runs


# --- ImageNet weights --------------------------------------------------------------------------------------------

def classifier_state(encoder: nn.Module, head: dict[str, tuple[int, ...]], drop: tuple[str, ...] = ()):
    """What a publisher's classifier file looks like: the encoder, a head, none of the dense outputs' norms."""
    state = {name: torch.randn(tensor.shape).to(tensor.dtype) for name, tensor in encoder.state_dict().items()
             if not drop or not name.startswith(drop)}
    return state | {name: torch.zeros(shape) for name, shape in head.items()}


def publisher_files():
    from model.mobilenet import mobilenetv3_large
    from model.resnet import ResNetEncoder
    from model.unireplknet import UniRepLKNet
    norms = ('norm0.', 'norm1.', 'norm2.', 'norm3.')
    return {
        'mobilenetv3': lambda: classifier_state(mobilenetv3_large(), {'classifier.0.weight': (1280, 960)}),
        'resnet50': lambda: classifier_state(ResNetEncoder(), {'fc.weight': (1000, 2048), 'fc.bias': (1000,)}),
        'mobileone': lambda: classifier_state(WholeMobileOne('s0'), {'linear.weight': (1000, 1024)}),
        'mamba': lambda: classifier_state(WholeVSSM(), {'classifier.head.bias': (1000,),
                                                       'classifier.norm.bias': (768,)}, ('outnorm',)),
        'unireplknet': lambda: classifier_state(UniRepLKNet('a', 2), {'head.weight': (1000, 320),
                                                                     'norm.weight': (320,)}, norms),
        'unireplknet_a': lambda: classifier_state(UniRepLKNet('a', 2), {'head.weight': (1000, 320)}, norms),
    }


@pytest.mark.parametrize('variant', publisher_files())
def test_publishers_files_load_from_a_path(tmp_path, variant):
    torch.manual_seed(0)
    state = publisher_files()[variant]()
    torch.save({'model': state, 'epoch': 3}, tmp_path / 'imagenet.pth')
    network = MattingNetwork(variant, pretrained_backbone=str(tmp_path / 'imagenet.pth'))
    backbone = getattr(network.backbone, 'unirep', network.backbone)
    loaded = {name: tensor for name, tensor in backbone.state_dict().items() if name in state}
    assert len(loaded) > 100
    for name, tensor in loaded.items():
        assert torch.equal(tensor, state[name]), name
    del state[next(name for name in loaded if name.endswith('weight'))]
    torch.save(state, tmp_path / 'incomplete.pth')
    with pytest.raises(ValueError, match='is not of this encoder or size: 1 keys missing'):
        MattingNetwork(variant, pretrained_backbone=tmp_path / 'incomplete.pth')


def test_older_vmamba_names_and_convolutions_for_matrices(tmp_path):
    torch.manual_seed(0)
    source = VSSMEncoder().state_dict()
    old = {}
    for name, tensor in source.items():
        for new, before in [('patch_embed.0.', 'patch_embed.proj.'), ('patch_embed.2.', 'patch_embed.norm.'),
                            ('.op.', '.self_attention.')]:
            name = name.replace(new, before)
        if '.blocks.' in name:
            name = name.replace('.norm.', '.ln_1.')
        old[name] = tensor[..., None, None] if name.endswith(('fc1.weight', 'in_proj.weight')) else tensor
    torch.save(old | {'head.weight': torch.zeros(1000, 768), 'norm.weight': torch.zeros(768)}, tmp_path / 'old.pth')
    loaded = VSSMEncoder(pretrained=tmp_path / 'old.pth').state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in source.items())


def test_checkpoint_of_another_size_names_the_first_tensors(tmp_path):
    torch.save(WholeMobileOne('s1').state_dict(), tmp_path / 's1.pth')
    with pytest.raises(ValueError, match=r'is not of this encoder or size: .*keys missing \(.*stage1.0.rbr_conv.1.*'
                                         r'keys of another shape \(stage0.rbr_conv.0.conv.weight \[64, 3, 3, 3\] '
                                         r'instead of \[48, 3, 3, 3\]'):
        MattingNetwork('mobileone', pretrained_backbone=tmp_path / 's1.pth')
    with pytest.raises(FileNotFoundError, match='no such file; pass True to download https://docs-assets.developer.a'):
        MattingNetwork('mobileone', pretrained_backbone=str(tmp_path / 'none.pth'))


@pytest.mark.parametrize('variant, url', [
    ('mobileone_s1', 'https://docs-assets.developer.apple.com/ml-research/datasets/mobileone/'
                     'mobileone_s1_unfused.pth.tar'),
    ('mamba', 'https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/vssm1_tiny_0230s_ckpt_epoch_264.pth'),
    ('unireplknet', 'https://huggingface.co/DingXiaoH/UniRepLKNet/resolve/main/unireplknet_a_in1k_224_acc77.03.pth'),
    ('mobilenetv3', 'https://download.pytorch.org/models/mobilenet_v3_large-8738ca79.pth'),
    ('resnet50', 'https://download.pytorch.org/models/resnet50-0676ba61.pth')])
def test_true_downloads_from_the_publisher(monkeypatch, tmp_path, variant, url):
    asked = []

    def download(address, target, progress):
        asked.append(address)
        raise OSError('no route to host')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    with pytest.raises(RuntimeError, match='cannot download ImageNet weights: no route to host; check the network'):
        MattingNetwork(variant, pretrained_backbone=True)
    assert asked == [url]
