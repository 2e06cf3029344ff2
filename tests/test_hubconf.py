"""The doors of torch.hub, opened the way users open them."""

import sys
from pathlib import Path

import pytest
import torch

import hubconf
from model import VARIANTS, MattingNetwork
from model import weights as model_weights
from model.weights import save_network

ROOT = str(Path(__file__).resolve().parents[1])
DOORS = {name: door for name, door in vars(hubconf).items() if callable(door) and not name.startswith('_')}
PLATES = sorted(name for name in DOORS if name.startswith('background_'))
NETWORKS = sorted(DOORS.keys() - {'converter', 'instance', *PLATES})


def load(name: str, **arguments):
    return torch.hub.load(ROOT, name, source='local', trust_repo=True, **arguments)


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of random weights and the network it was saved from."""
    network = MattingNetwork('mobilenetv3', 'fast_guided_filter')
    save_network(network, tmp_path / 'random.safetensors')
    return tmp_path / 'random.safetensors', network


def variant(name: str) -> str:
    return {'default': 'efficientnet_lite0'}.get(name, name.removesuffix('_rvm'))


def test_every_door_is_a_network_or_the_converter():
    assert set(NETWORKS) == {'default', 'efficientnet_lite0', 'mobilenetv3', 'resnet50', 'mobileone_rvm', 'mamba_rvm',
                             'unireplknet_rvm'}
    assert {variant(name) for name in NETWORKS} <= set(VARIANTS) and 'converter' in DOORS


@pytest.mark.parametrize('name', NETWORKS)
def test_without_weights(name):
    model = load(name, pretrained=False, progress=False)
    assert isinstance(model, MattingNetwork) and model.variant == variant(name) and model.training
    assert DOORS[name].__name__ == name and f'the {model.variant} encoder' in DOORS[name].__doc__


def test_the_door_of_the_instance_network(tmp_path):
    from model.instance.checkpoint import save_instance_network
    network = load('instance', pretrained=False, channels=(8, 8, 8, 8, 8), slots=2, video=False)
    assert network.interface.inputs == ('src', 'msk') and network.interface.people == 2 and network.training
    save_instance_network(network, tmp_path / 'net.safetensors')
    again = load('instance', pretrained=str(tmp_path / 'net.safetensors'))
    pha, = again(torch.rand(1, 3, 32, 32), torch.ones(1, 2, 32, 32))
    assert pha.shape == (1, 2, 32, 32) and not again.training
    ours = load('instance', pretrained=True)
    assert ours.interface.people == 4 and ours.inference_size == 213


@pytest.mark.parametrize('name', PLATES)
def test_doors_of_networks_with_a_plate(name):
    from model.families import FAMILIES
    assert set(PLATES) == set(FAMILIES['background'].variants)
    with torch.device('meta'):
        model = DOORS[name](pretrained=False, refine_mode='full')
    assert model.interface.inputs == ('src', 'bgr') and model.refine_mode == 'full' and DOORS[name].__name__ == name
    if name != 'background_efficientnet_lite0':
        with pytest.raises(ValueError, match=f'or False for {name}: it has no weights'):
            DOORS[name]()


def test_weights_with_a_plate_from_a_file_with_settings(tmp_path):
    from model.background import MattingRefine
    save_network(MattingRefine('mobilenetv2'), tmp_path / 'plate.pth')
    model = load('background_mobilenetv2', pretrained=str(tmp_path / 'plate.pth'), backbone_scale=0.125)
    assert model.backbone_scale == 0.125 and not model.training
    with pytest.raises(ValueError, match='settings are backbone_scale, .*, got scale'):
        load('background_mobilenetv2', pretrained=str(tmp_path / 'plate.pth'), scale=1)


def test_weights_from_a_file(saved):
    path, network = saved
    model = load('mobilenetv3', pretrained=str(path))
    assert not model.training and model.refiner_name == 'fast_guided_filter'
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), network.state_dict().values(),
                                                 strict=True))


def test_true_means_our_default_weights(monkeypatch, tmp_path):
    network = MattingNetwork('efficientnet_lite0')
    save_network(network, tmp_path / 'own.safetensors')
    monkeypatch.setitem(model_weights.OWN, 'default', tmp_path / 'own.safetensors')
    for name in ('default', 'efficientnet_lite0'):
        assert torch.equal(load(name).project_mat.conv.weight, network.project_mat.conv.weight)
    monkeypatch.setitem(model_weights.OWN, 'default', tmp_path / 'none.safetensors')
    with pytest.raises(FileNotFoundError, match='this clone lacks none.safetensors.* rvm_mobilenetv3'):
        load('default')
    with pytest.raises(ValueError, match="pretrained must be 'rvm_mobilenetv3' .*GPL-3.0.* for mobilenetv3"):
        load('mobilenetv3')


def test_weights_that_do_not_exist(saved):
    with pytest.raises(ValueError, match=r"pretrained must be 'rvm_resnet50' .*GPL-3.0.* for resnet50"):
        load('resnet50')
    with pytest.raises(ValueError, match='is a mobilenetv3 network, asked for resnet50'):
        load('resnet50', pretrained=str(saved[0]))


def test_published_weights_by_name(monkeypatch, saved):
    asked = []

    def download_once(url, file_name, title, progress, check):
        asked.append((file_name, progress))
        return saved[0]
    monkeypatch.setattr(model_weights, 'download_once', download_once)
    load('mobilenetv3', pretrained='rvm_mobilenetv3', progress=False)
    assert asked == [('rvm_mobilenetv3.pth', False)]


def test_converter():
    from inference import convert_video
    assert load('converter') is convert_video


def test_converter_without_its_packages(monkeypatch):
    for name in [name for name in sys.modules if name.split('.')[0] in ('inference', 'converter', 'engine', 'video')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(RuntimeError, match='converter needs the package av.*pip install av'):
        load('converter')


def test_real_weights(shared):
    model = load('mobilenetv3', pretrained=str(shared / 'weights' / 'rvm_mobilenetv3_fgf_dequantised.pth'))
    fgr, pha, *rec = model(torch.zeros(1, 3, 64, 64))
    assert pha.shape == (1, 1, 64, 64) and len(rec) == 4


PROGRAM = """
import sys
import files, model, video                       # the program's own
import torch
network = torch.hub.load(sys.argv[1], 'mobilenetv3', source='local', trust_repo=True, pretrained=False)
print(type(network).__name__, model.MINE, files.MINE)
convert_video = torch.hub.load(sys.argv[1], 'converter', source='local', trust_repo=True)
report = convert_video(network.eval(), sys.argv[2], output_alpha='alpha.mkv', progress=False)
print(report.frames, model.MINE, video.MINE)
"""


def test_beside_modules_of_the_same_names(tmp_path):
    import subprocess

    from tests.clips import write_clip
    for name in ('model', 'files', 'video'):
        (tmp_path / f'{name}.py').write_text("MINE = 'mine'\n")
    (tmp_path / 'program.py').write_text(PROGRAM)
    clip = write_clip(tmp_path / 'clip.mp4', 2)
    done = subprocess.run([sys.executable, '-W', 'ignore', 'program.py', ROOT, str(clip)], cwd=tmp_path,
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'MattingNetwork mine mine\n2 mine mine\n'
