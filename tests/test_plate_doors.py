"""The published commands for networks with a background plate run as they are documented."""

import sys

import cv2
import numpy as np
import pytest
import torch

from converter.plate_doors import images, video
from export.plate_doors import door
from live.command import main as webcam
from model.background import MattingRefine
from model.weights import save_network
from tests.clips import write_clip
from tests.export.networks import clip as sample
from video.reader import VideoReader


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = MattingRefine('mobilenetv2').eval()
    torch.nn.init.normal_(network.decoder.conv4.weight[:5], std=0.1)
    torch.nn.init.constant_(network.decoder.conv4.bias[:5], 0.4)
    path = tmp_path_factory.mktemp('weights') / 'net.pth'
    save_network(network, path)
    return str(path)


@pytest.fixture
def folders(tmp_path):
    draws = np.random.default_rng(0)
    for name in ('src/a.JPG', 'src/deep/b.png', 'bgr/a.png', 'bgr/deep/b.jpeg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        suffix = '.png' if name.endswith('png') else '.jpg'
        data = cv2.imencode(suffix, draws.integers(0, 255, (48, 64, 3), np.uint8))[1]
        (tmp_path / name).write_bytes(data.tobytes())
    return tmp_path


def test_images(folders, checkpoint):
    flags = ['--src', str(folders / 'src'), '--bgr', str(folders / 'bgr'), '--model-path', checkpoint, '--model-type',
             'mattingrefine', '--model-backbone', 'mobilenetv2', '--output', str(folders / 'out'), '--device', 'cpu']
    assert images([*flags, '--output-types', 'com', 'pha', 'ref']) == 0
    names = {str(path.relative_to(folders / 'out')) for path in (folders / 'out').rglob('*.png')}
    assert names == {f'{kind}/{name}.png' for kind in ('com', 'pha', 'ref') for name in ('a', 'deep/b')}
    assert cv2.imread(str(folders / 'out/com/deep/b.png'), cv2.IMREAD_UNCHANGED).shape == (48, 64, 4)
    assert images([*flags, '--output-types', 'pha']) == 1                     # asks for -y
    assert images([*flags, '--output-types', 'pha', '-y']) == 0


def test_images_without_their_plate_and_with_another_backbone(folders, checkpoint, capsys):
    flags = ['--images-src', str(folders / 'src'), '--images-bgr', str(folders / 'bgr'), '--output-dir',
             str(folders / 'out'), '--model-checkpoint', checkpoint]
    assert images([*flags, '--model-backbone', 'resnet50']) == 2
    assert 'has backbone mobilenetv2, --model-backbone says resnet50' in capsys.readouterr().err
    (folders / 'bgr/a.png').unlink()
    assert images(flags) == 2
    assert 'must have one picture or video called a' in capsys.readouterr().err


def test_video(folders, checkpoint):
    clip = write_clip(folders / 'in.mp4', 3, (64, 48))
    out = folders / 'out'
    assert video(['--video-src', str(clip), '--video-bgr', str(folders / 'bgr/a.png'), '--model-checkpoint', checkpoint,
                  '--output-dir', str(out), '--output-types', 'com', 'err', '--video-resize', '32', '24']) == 0
    assert [frame.pixels.shape for frame in VideoReader(out / 'err.mp4')] == [(24, 32, 3)] * 3
    assert video(['--video-src', str(clip), '--video-bgr', str(folders / 'bgr/a.png'), '--model-checkpoint', checkpoint,
                  '--output-dir', str(out), '--output-types', 'pha', '--output-format', 'image_sequences']) == 0
    assert len(list((out / 'pha').glob('*.png'))) == 3


@pytest.mark.slow
@pytest.mark.parametrize('name', ['torchscript', 'onnx'])
def test_exports(name, checkpoint, tmp_path, capsys):
    if name == 'onnx':
        pytest.importorskip('onnxruntime')
    flags = ['--model-checkpoint', checkpoint, '--output', str(tmp_path / f'net.{name}'), '--model-backbone-scale',
             '0.25']
    assert door(name, lambda count: sample(count, (96, 64)), flags) == 0
    assert (tmp_path / f'net.{name}').is_file() and 'max difference' in capsys.readouterr().out
    assert door(name, lambda count: sample(count, (96, 64)), [*flags[:-1], '1.7', '--overwrite']) == 2
    assert '--model-backbone-scale must be in (0, 1], got 1.7' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('script', ['inference_images.py', 'inference_video.py', 'export_onnx.py',
                                    'export_torchscript.py', 'train_base.py', 'train_refine.py'])
def test_every_command_has_help(script):
    import subprocess
    from pathlib import Path
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, str(root / script), '--help'], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and '--model-backbone' in done.stdout


def test_the_webcam_takes_the_published_flags(checkpoint, folders, capsys):
    clip = write_clip(folders / 'camera.mp4', 4, (64, 48))
    cv2.imwrite(str(folders / 'room.png'), np.full((48, 64, 3), 90, np.uint8))
    common = ['--camera', str(clip), '--no-window', '--hide-fps', '--background-plate', str(folders / 'room.png'),
              '--model-checkpoint', checkpoint, '--device', 'cpu']
    assert webcam([*common, '--model-type', 'mattingrefine', '--model-backbone', 'mobilenetv2',
                   '--model-backbone-scale', '0.5', '--model-refine-mode', 'full', '-o',
                   str(folders / 'out.mp4')]) == 0
    assert 'inside the network 32x24' in capsys.readouterr().out and list(VideoReader(folders / 'out.mp4'))
    assert webcam([*common, '--model-backbone', 'resnet50']) == 2
    assert 'has backbone' in capsys.readouterr().err
