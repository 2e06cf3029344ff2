"""convert_video and inference.py with a background plate, from file to file."""

import cv2
import numpy as np
import pytest
import torch

from converter.command import main
from inference import convert_video
from model.background import MattingRefine
from model.weights import save_network
from tests.clips import write_clip
from video.reader import VideoReader

SIZE = 64, 48


class DifferenceNetwork(torch.nn.Module):
    """A plate network without doubts: whatever differs from the plate is foreground."""

    interface = MattingRefine.interface
    inference_size = 512

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(8.))

    def forward(self, src, bgr, downsample_ratio=0.5):
        pha = ((src - bgr).abs().amax(1, keepdim=True) * self.gain - 1).clamp(0, 1)
        small = pha[..., ::4, ::4]
        return pha, src, small, src[..., ::4, ::4], 1 - small, (small > 0).float()


def scene(t, width, height, seed=0):
    draws = np.random.default_rng(seed)
    return cv2.resize(draws.integers(60, 160, (6, 8, 3), np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)


def visitor(t, width, height):
    """Nobody for five frames, then a white box on the right."""
    pixels = scene(t, width, height)
    if t >= 5:
        pixels[16:, 40:56] = 240
    return pixels


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / 'in.mp4', 10, SIZE, rate=10, make=visitor)


@pytest.fixture
def room(tmp_path):
    cv2.imwrite(str(tmp_path / 'room.png'), scene(0, *SIZE)[..., ::-1])
    return tmp_path / 'room.png'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'net.safetensors'
    save_network(MattingRefine('efficientnet_lite0'), path)
    return str(path)


def alphas(path):
    return [frame.pixels[..., 0] / 255 for frame in VideoReader(path)]


@pytest.mark.parametrize('plate', ['room.png', 'empty.mp4', 'first:0.5', 'plates', 'array'])
def test_every_kind_of_plate(plate, clip, room, tmp_path):
    write_clip(tmp_path / 'empty.mp4', 6, SIZE, make=scene)
    (tmp_path / 'plates').mkdir()
    (tmp_path / 'plates' / 'in.png').write_bytes(room.read_bytes())
    given = {'array': scene(0, *SIZE), 'first:0.5': 'first:0.5'}.get(plate, tmp_path / plate)
    report = convert_video(DifferenceNetwork(), clip, output_alpha=tmp_path / 'pha.mkv', progress=False,
                           background_plate=given, plate_alignment=False)
    pha = alphas(tmp_path / 'pha.mkv')
    assert report.frames == 10 and max(a.mean() for a in pha[:5]) < 0.02
    assert min(a[20:44, 43:53].mean() for a in pha[5:]) > 0.95 and max(a[:, :36].mean() for a in pha[5:]) < 0.02


def test_errors_and_refined_patches_are_outputs(clip, room, tmp_path):
    convert_video(DifferenceNetwork(), clip, output_err=tmp_path / 'err.mkv', output_ref=tmp_path / 'ref.mkv',
                  progress=False, background_plate=room, seq_chunk=3)
    assert alphas(tmp_path / 'ref.mkv')[7][24, 48] > 0.95 and alphas(tmp_path / 'err.mkv')[7][24, 48] < 0.05
    with pytest.raises(ValueError, match='output_err needs err, which this network does not answer'):
        from tests.clips import BrightnessNetwork
        convert_video(BrightnessNetwork(), clip, output_err=tmp_path / 'x.mkv', progress=False)


def test_a_plate_of_another_scene_is_a_clear_warning(clip, tmp_path):
    long = write_clip(tmp_path / 'long.mp4', 14, SIZE, make=visitor)
    report = convert_video(DifferenceNetwork(), long, output_alpha=tmp_path / 'pha.mkv', progress=False,
                           background_plate=np.tile(np.uint8([[[0], [255]], [[255], [0]]]), (24, 32, 3)),
                           plate_alignment=False)
    assert any(note.startswith('WARNING: ') and 'does the background plate show the same place' in note
               for note in report.notes)


def test_network_and_plate_must_belong_together(clip, room, tmp_path):
    from tests.clips import BrightnessNetwork
    with pytest.raises(ValueError, match='this network needs a background plate'):
        convert_video(DifferenceNetwork(), clip, output_alpha=tmp_path / 'a.mkv', progress=False)
    with pytest.raises(ValueError, match='a background plate is for networks that take one'):
        convert_video(BrightnessNetwork(), clip, output_alpha=tmp_path / 'a.mkv', progress=False,
                      background_plate=room)
    with pytest.raises(ValueError, match='background_plate'):                # never replaces what it reads
        convert_video(DifferenceNetwork(), clip, output_rgba=room, progress=False, background_plate=room)
    assert not (tmp_path / 'a.mkv').exists()


@pytest.mark.slow
def test_the_command(clip, room, checkpoint, tmp_path, capsys):
    out = tmp_path / 'out.mov'
    assert main([str(clip), '-o', str(out), '--output-ref', str(tmp_path / 'ref.mkv'), '--background-plate', str(room),
                 '--checkpoint', checkpoint, '--disable-progress', '--device', 'cpu']) == 0
    assert out.is_file() and 'efficientnet_lite0 with a plate' in capsys.readouterr().out


@pytest.mark.parametrize('plate, message', [
    ('nowhere.jpg', 'background plate nowhere.jpg: no such file'), ('first:x', 'such as first:1.0, got first:x'),
    ('.', 'is a folder: it must have one picture or video called in')])
def test_bad_plates_are_one_line(clip, checkpoint, plate, message, capsys):
    assert main([str(clip), '-o', 'x.mov', '--background-plate', plate, '--checkpoint', checkpoint,
                 '--disable-progress', '--device', 'cpu']) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_plate_without_checkpoint_means_our_weights(clip, room, monkeypatch, capsys):
    from model import weights
    monkeypatch.setitem(weights.OWN, 'background_default', weights.DEFAULT_WEIGHTS.with_name('absent.safetensors'))
    assert main([str(clip), '-o', 'x.mov', '--background-plate', str(room), '--disable-progress']) == 2
    assert 'checkpoint "background_default": this clone lacks absent.safetensors' in capsys.readouterr().err
