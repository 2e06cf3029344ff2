"""A matte for each person, from files to files."""

import json
import re

import av
import cv2
import numpy as np
import pytest
import torch

from converter.command import main
from converter.convert import convert_video
from engine.instance import InstanceMatter
from engine.people import person_colour
from model import MattingNetwork
from model.instance.checkpoint import save_instance_network
from model.instance.network import InstanceForm
from model.weights import save_network
from tests.clips import BrightnessNetwork, write_clip
from video.reader import VideoReader

W, H, T = 96, 64, 6
NETWORK = BrightnessNetwork(0.)


def disc(index: int, person: int) -> np.ndarray:
    y, x = np.mgrid[:H, :W]
    centre = 24 + 2 * index if person == 0 else 72 - index
    return np.hypot(x - centre, y - 32) < 14


def two_discs(index: int, width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    picture = np.stack([20 + x / 4, 20 + y / 4, 30 + 0 * x], -1)
    for person in range(2):
        picture[disc(index, person)] = (240, 230, 220)
    return picture.astype(np.uint8)


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / 'in.mkv', T, (W, H), codec='ffv1', pix_fmt='bgr0', make=two_discs, audio='aac')


def write_masks(folder, frames=range(T), people=('anna', 'ben')) -> str:
    for n, person in enumerate(people):
        (folder / person).mkdir(parents=True)
        for t in frames:
            cv2.imwrite(str(folder / person / f'{t:05}.png'), disc(t, n).astype(np.uint8) * 255)
    return str(folder)


def alphas(path) -> np.ndarray:
    return np.stack([frame.pixels[..., 0] for frame in VideoReader(path)]) / 255.


def convert(clip, masks, tmp_path, **settings):
    settings = {'output_alpha': tmp_path / 'person_{person}.mkv',
                'instance_engine': None if 'instance_weights' in settings else 'split'} | settings
    return convert_video(NETWORK, clip, downsample_ratio=1., progress=False, masks=masks, **settings)


def test_one_matte_for_each_person(clip, tmp_path):
    report = convert(clip, write_masks(tmp_path / 'masks'), tmp_path,
                     output_composition=tmp_path / 'cut_{person}.mov')
    assert report.frames == T and len(report.outputs) == 4
    for n, person in enumerate(('anna', 'ben')):
        pha = alphas(tmp_path / f'person_{person}.mkv')
        for t in range(T):
            assert pha[t][disc(t, n)].mean() > 0.97 and pha[t][disc(t, 1 - n)].max() < 0.02
        with av.open(str(tmp_path / f'cut_{person}.mov')) as container:
            assert container.streams.audio and 'yuva' in container.streams.video[0].format.name


@pytest.mark.parametrize('frames', [(0,), (0, 5), (3,)])
def test_masks_of_some_frames_are_carried_on(clip, tmp_path, frames):
    report = convert(clip, write_masks(tmp_path / 'masks', frames), tmp_path)
    for n, person in enumerate(('anna', 'ben')):
        pha = alphas(tmp_path / f'person_{person}.mkv')
        for t in range(T):
            assert pha[t][disc(t, n)].mean() > 0.9 and pha[t][disc(t, 1 - n)].mean() < 0.1, (person, t)
    assert [note for note in report.notes if note.startswith('masks of anna: frame') and 'sure' in note]


def test_everybody_together_and_who_is_who(clip, tmp_path):
    masks = write_masks(tmp_path / 'masks', people=('anna',))      # the other disc is nobody's
    convert(clip, masks, tmp_path, output_alpha=tmp_path / 'all.mkv', output_labels=tmp_path / 'labels.mkv',
            combine=True)
    pha = alphas(tmp_path / 'all.mkv')
    assert pha[0][disc(0, 0)].mean() > 0.97 and pha[0][disc(0, 1)].max() < 0.02
    labels = next(iter(VideoReader(tmp_path / 'labels.mkv'))).pixels / 255.
    expected = 0.4 * np.array([240, 230, 220]) / 255 + 0.6 * np.array(person_colour(0))
    np.testing.assert_allclose(labels[32, 24], expected, atol=0.02)
    np.testing.assert_allclose(labels[32, 72], np.array([240, 230, 220]) / 255, atol=0.02)


def test_folder_of_images_and_masks_by_name(tmp_path):
    (tmp_path / 'frames').mkdir()
    (tmp_path / 'masks').mkdir()
    for t, name in enumerate(('a.png', 'b.png')):
        cv2.imwrite(str(tmp_path / 'frames' / name), two_discs(t, W, H)[..., ::-1])
        cv2.imwrite(str(tmp_path / 'masks' / name), (disc(t, 0) + 2 * disc(t, 1)).astype(np.uint8))
    convert(tmp_path / 'frames', tmp_path / 'masks', tmp_path, output_alpha=tmp_path / 'out_{person}')
    pha = cv2.imread(str(tmp_path / 'out_2' / '0001.png'), 0)
    assert pha[disc(1, 1)].mean() > 247 and pha[disc(1, 0)].max() < 5


def tiny(path):
    torch.manual_seed(0)
    save_instance_network(InstanceForm((8, 8, 8, 8, 8), slots=2).build(), path)
    return path


def test_network_without_weights_is_our_own(clip, tmp_path):
    masks = write_masks(tmp_path / 'masks')
    convert(clip, masks, tmp_path, instance_engine='network')
    for n, person in enumerate(('anna', 'ben')):
        pha = alphas(tmp_path / f'person_{person}.mkv')
        assert pha[0][disc(0, n)].mean() > 0.5 > 5 * pha[0][disc(0, 1 - n)].mean()


def test_masks_alone_take_the_mean_of_matte_and_network_divided_by_the_network(clip, tmp_path):
    masks = write_masks(tmp_path / 'masks')
    for engine in ('split', 'network', 'both', None):
        convert(clip, masks, tmp_path, instance_engine=engine, output_alpha=tmp_path / f'{engine}_{{person}}.mkv')
    found = {(engine, person): alphas(tmp_path / f'{engine}_{person}.mkv')
             for engine in ('split', 'network', 'both', None) for person in ('anna', 'ben')}
    for person, other in (('anna', 'ben'), ('ben', 'anna')):
        np.testing.assert_array_equal(found[None, person], found['both', person])
        split, network, both = (found[engine, person] for engine in ('split', 'network', 'both'))
        own = both + found['both', other] > 0.3                 # where anybody is
        matte = split + found['split', other]
        everybody = network + found['network', other]
        expected = (matte + everybody) / 2 * np.where(everybody > 0.5, network / np.maximum(everybody, 1e-3), 0)
        sure = own & (everybody > 0.55) & (matte > 0.97)        # alpha files have 256 values
        assert sure.mean() > 0.05
        np.testing.assert_allclose(both[sure], expected[sure], atol=0.02)


def test_an_instance_network_as_checkpoint_says_where_it_belongs(clip, tmp_path, capsys):
    weights = tiny(tmp_path / 'net.safetensors')
    assert main([str(clip), '-o', str(tmp_path / 'out.mkv'), '--checkpoint', str(weights), '--device', 'cpu']) == 2
    error = capsys.readouterr().err
    assert 'instance_weights (--instance-weights)' in error and error.count('\n') == 1


@pytest.mark.parametrize('chunk', [1, 4])
def test_the_instance_network_in_its_place(clip, tmp_path, chunk):
    masks = write_masks(tmp_path / 'masks')
    report = convert(clip, masks, tmp_path, instance_weights=tiny(tmp_path / 'net.safetensors'), seq_chunk=chunk)
    assert report.frames == T
    matter = InstanceMatter(tmp_path / 'net.safetensors', 'cpu')
    frames = [(frame.pixels, np.stack([disc(t, n) for n in range(2)])) for t, frame in enumerate(VideoReader(clip))]
    for n, person in enumerate(('anna', 'ben')):
        expected = torch.stack([prediction.shares[n] for prediction in matter.run(frames)]).numpy()
        np.testing.assert_allclose(alphas(tmp_path / f'person_{person}.mkv'), expected, atol=0.003)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'net.safetensors'
    save_network(MattingNetwork(), path)
    return str(path)


def test_command(clip, tmp_path, checkpoint, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_masks(tmp_path / 'masks', (0,))
    assert main(['in.mkv', '--masks', 'masks', '-o', 'person_{person}.mov', '--output-labels', 'who.mp4',
                 '--checkpoint', checkpoint, '--report', 'report.json', '--disable-progress']) == 0
    assert {'person_anna.mov', 'person_ben.mov', 'who.mp4'} <= {path.name for path in tmp_path.iterdir()}
    report, = json.loads((tmp_path / 'report.json').read_text())
    assert any('masks of ben: frames 1 to 5 filled by motion from 0, sure' in note for note in report['notes'])
    assert 'filled by motion' in capsys.readouterr().out


def bad_masks(tmp_path):
    write_masks(tmp_path / 'masks')
    write_masks(tmp_path / 'long', range(8))
    (tmp_path / 'nobody').mkdir()


@pytest.mark.parametrize('arguments,message', [
    (['--masks', 'nowhere', '-o', 'p_{person}.mov'], 'masks nowhere: no such file or folder; expected a folder for'),
    (['--masks', 'nobody', '-o', 'p_{person}.mov'], 'masks nobody holds no pictures'),
    (['--masks', 'long', '-o', 'p_{person}.mov'], '00006.png belongs to no frame: the clip has 6 frames'),
    (['--masks', 'masks', '-o', 'all.mov'], r'is one file for 2 people \(anna, ben\): write {person} in its name'),
    (['--masks', 'masks', '--output-labels', 'l_{person}.mp4'], 'shows everybody: leave {person} out'),
    (['--combine', '-o', 'all.mov'], '--combine needs --masks'),
    (['--output-labels', 'l.mp4'], '--output-labels needs --masks'),
    (['--masks', 'masks', '--skip-existing', '-o', 'p_{person}.mov'], '--skip-existing cannot be combined'),
    (['--masks', 'masks', '--instance-weights', 'in.mkv', '-o', 'p_{person}.mov'], 'checkpoint in.mkv '),
])
def test_bad_input_is_one_line(clip, tmp_path, monkeypatch, capsys, checkpoint, arguments, message):
    monkeypatch.chdir(tmp_path)
    bad_masks(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    code = main(['in.mkv', *arguments, '--checkpoint', checkpoint, '--disable-progress'])
    error = capsys.readouterr().err
    assert code == 2 and error.startswith('error: ') and error.count('\n') == 1 and re.search(message, error), error
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_error_leaves_no_output_of_anybody(clip, tmp_path):
    masks = write_masks(tmp_path / 'masks')
    (tmp_path / 'masks/ben/00003.png').write_bytes(b'damaged')
    with pytest.raises(RuntimeError, match=r'frame 3.*00003.png is not a picture'):
        convert(clip, masks, tmp_path)
    assert not list(tmp_path.glob('person_*'))
