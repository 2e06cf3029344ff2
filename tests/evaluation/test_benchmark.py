"""The benchmark end to end on tiny sets: numbers, report, resuming, states, and what can go wrong."""

import base64
import json
import math
import re

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from evaluation import benchmark, compare_videos, networks
from evaluation.benchmark import main
from evaluation.evaluate import main as evaluate_main
from evaluation.predict import auto_ratio, predict_clip, to_bytes
from evaluation.tree import Clip, find_clips
from model import MattingNetwork
from model.weights import save_network
from video.reader import VideoReader

pytest.importorskip('matplotlib')
pytest.importorskip('xlsxwriter')


class Fake(nn.Module):
    """Alpha is the source's red channel plus 0.1 per earlier frame of the clip; notes how it was called."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, src, r1, r2, r3, r4, ratio):
        self.calls.append((0 if r1 is None else int(r1), ratio))
        seen = torch.zeros(()) if r1 is None else r1
        return [src, (src[..., :1, :, :] + .1 * seen).clamp(0, 1), seen + 1, None, None, None]


@pytest.fixture
def fake(monkeypatch):
    model = Fake()
    monkeypatch.setattr(benchmark, 'load_model', lambda *args: model)
    monkeypatch.setattr(networks, 'load_model', lambda *args: model)
    return model


def run(true, out, *more) -> int:
    return main(['--checkpoint', 'fake', '--test-dir', str(true), '--out-dir', str(out), '--device', 'cpu',
                 '--num-workers', '2', *more])


def report(out) -> dict:
    return json.loads((out / 'report.json').read_text())


def test_end_to_end_with_a_network(trees, tmp_path):
    """A random network: the report's numbers are those that evaluate_lr finds in the saved predictions."""
    checkpoint, out = tmp_path / 'random.safetensors', tmp_path / 'out'
    save_network(MattingNetwork(), checkpoint)
    assert main(['--checkpoint', str(checkpoint), '--test-dir', str(trees[1]), '--out-dir', str(out), '--device', 'cpu',
                 '--downsample-ratio', 'auto', '0.5']) == 0
    content = report(out)
    names = [entry['name'] for entry in content['entries']]
    assert [re.sub('-.{6}-', '-', name) for name in names] == ['random-auto', 'random-ratio0.5']
    for entry in content['entries']:
        assert entry['fps'] > 0 and (entry['peak_mb'] or 1) > 0 and set(entry['runs']) == {'plain/0000', 'shifted/0000'}
        folder = out / 'predictions' / entry['name']
        assert evaluate_main('rvm_lr', ['--pred-dir', str(folder), '--true-dir', str(trees[1])]) == 0
        again = json.loads((folder / f'{folder.name}.json').read_text())['summary']
        for name, value in again['rvm_lr'].items():
            assert value == pytest.approx(entry['summary']['rvm_lr'][name], rel=1e-6), name
    page = (out / 'report.html').read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 5 and 'http' not in page and page.count('<img') == 5                  # opens offline
    for picture in pictures:
        image = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape[0] > 100 and image.std() > 5
    assert f'{content["entries"][0]["summary"]["strict"]["pha_sad"]:.4g}' in page


def test_states_are_carried_and_fresh_for_each_clip(trees, tmp_path, fake):
    assert run(trees[1], tmp_path / 'out') == 0
    assert [seen for seen, _ in fake.calls] == [0, 1, 2, 3, 0, 1, 2]
    assert {ratio for _, ratio in fake.calls} == {1}
    clip = find_clips(trees[1])[0]
    saved = cv2.imread(str(tmp_path / 'out/predictions/fake-auto/plain/0000/pha/0002.png'), 0)
    red = cv2.imread(str(clip.frames('com')['0002']))[..., 2]
    np.testing.assert_array_equal(saved, np.rint(np.minimum(red / 255. + .2, 1) * 255))


def test_finished_clips_are_not_run_again(trees, tmp_path, fake):
    assert run(trees[1], tmp_path / 'out') == 0
    first, calls = report(tmp_path / 'out'), len(fake.calls)
    assert run(trees[1], tmp_path / 'out') == 0
    assert len(fake.calls) == calls and report(tmp_path / 'out') == first
    source = trees[1] / 'shifted/0000/com/0001.png'
    cv2.imwrite(str(source), 255 - cv2.imread(str(source)))                          # only this clip is stale
    assert run(trees[1], tmp_path / 'out') == 0
    assert len(fake.calls) == calls + 3 and report(tmp_path / 'out') != first


def test_steady_is_an_entry_of_its_own_that_flickers_less(trees, tmp_path, monkeypatch):
    class Flickering(Fake):
        def forward(self, src, r1, r2, r3, r4, ratio):
            seen = 0 if r1 is None else int(r1)
            return [src, torch.full_like(src[:, :1], 0.4 + 0.2 * (seen % 2)), torch.tensor(seen + 1), None, None, None]

    monkeypatch.setattr(benchmark, 'load_model', lambda *args: Flickering())
    source = next((trees[1] / 'shifted/0000/com').iterdir())
    for frame in source.parent.iterdir():
        if frame != source:
            frame.write_bytes(source.read_bytes())                                   # a picture that stands still
    run(trees[1], tmp_path / 'out', '--steady')
    alphas = {entry.name: [cv2.imread(str(path), 0)[0, 0] for path in sorted((entry / 'shifted/0000/pha').iterdir())]
              for entry in (tmp_path / 'out/predictions').iterdir() if entry.is_dir()}
    assert sorted(alphas) == ['fake-auto', 'fake-auto-steady']
    assert np.ptp(alphas['fake-auto']) == 51 and np.ptp(alphas['fake-auto-steady']) < 15


def test_limit_draws_with_the_seed(trees, tmp_path, fake):
    assert run(trees[1], tmp_path / 'out', '--limit', '1') == 0
    clips = [Clip('s', f'{i:04d}', tmp_path) for i in range(30)]
    chosen = benchmark.choose_clips(clips, 5, seed=1)
    assert chosen == benchmark.choose_clips(clips, 5, seed=1) != benchmark.choose_clips(clips, 5, seed=2)
    assert chosen == sorted(chosen, key=lambda clip: clip.name)
    assert len(report(tmp_path / 'out')['entries'][0]['clips']) == 1
    assert run(trees[1], tmp_path / 'out', '--limit', '0') == 2


def test_nan_prediction_costs_one_clip(trees, tmp_path, monkeypatch, capsys):
    class Broken(Fake):
        def __call__(self, src, *rest):
            fgr, pha, *rec = super().__call__(src, *rest)
            return [fgr, pha * math.nan if len(self.calls) == 3 else pha, *rec]

    monkeypatch.setattr(benchmark, 'load_model', lambda *args: Broken())
    assert run(trees[1], tmp_path / 'out') == 2
    assert 'plain/0000: frame 0002: the network answered values that are not finite' in capsys.readouterr().err
    plain, shifted = report(tmp_path / 'out')['entries'][0]['clips']
    assert plain['values'] == {} and shifted['problems'] == [] and shifted['values']['strict']['pha_mad'][0] > 0
    assert not list((tmp_path / 'out/predictions/fake-auto/plain').iterdir())                  # half a clip is none
    assert 'not finite' in (tmp_path / 'out/report.html').read_text()


def test_report_when_everything_fails(trees, tmp_path, fake):
    for clip in find_clips(trees[1]):
        for path in clip.frames('com').values():
            path.write_bytes(b'no image')
    assert run(trees[1], tmp_path / 'out') == 2
    page = (tmp_path / 'out/report.html').read_text()
    assert page.count('damaged, or not an image') == 2
    assert report(tmp_path / 'out')['entries'][0]['summary'] == {}


def test_missing_truth_and_sources(trees, tmp_path, fake, capsys):
    true = trees[1]
    for path in (true / 'plain/0000/com').iterdir():
        path.unlink()
    for path in (true / 'shifted/0000/pha').iterdir():
        path.unlink()
    assert run(true, tmp_path / 'out') == 2
    err = capsys.readouterr().err
    assert 'plain/0000: no source frames: expected' in err and 'shifted/0000: no pha frames in the truth' in err


@pytest.mark.parametrize('checkpoint, message', [
    ('net.onnx', "checkpoint 'net.onnx': no such file"),
    ('nowhere.pth', 'no such file, and not one of the known names'),
])
def test_bad_checkpoint(trees, tmp_path, capsys, checkpoint, message):
    assert main(['--checkpoint', checkpoint, '--test-dir', str(trees[1]), '--out-dir', str(tmp_path / 'out')]) == 2
    assert message in capsys.readouterr().err


def test_bad_arguments(trees, tmp_path, capsys):
    assert run(tmp_path / 'nowhere', tmp_path / 'out') == 2
    assert 'no such folder; expected <set>/<clip>' in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        run(trees[1], tmp_path / 'out', '--downsample-ratio', '1.5')
    assert stop.value.code == 2 and 'auto or in (0, 1], got 1.5' in capsys.readouterr().err


def test_frame_size_must_not_change(trees, tmp_path):
    clip = find_clips(trees[1])[0]
    cv2.imwrite(str(clip.folder / 'com/0002.png'), np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(ValueError, match='0002.png is 32x24, the first frame 64x48'):
        predict_clip(Fake(), clip, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_ratio_and_bytes():
    assert auto_ratio(512, 288) == 1 and auto_ratio(1920, 1080) == 512 / 1920 and auto_ratio(60, 100) == 1
    assert to_bytes(torch.tensor([[[0., .9999, .5]]])).tolist() == [[0, 255, 128]]                # rounded
    assert to_bytes(torch.zeros(3, 4, 5)).shape == (4, 5, 3)


@pytest.mark.parametrize('truth', [True, False])
def test_compare_videos(trees, tmp_path, fake, truth):
    clip = find_clips(trees[1])[0]
    out = tmp_path / 'compare.mp4'
    more = ['--true-dir', str(clip.folder / 'pha')] if truth else []
    assert compare_videos.main(['--checkpoint', 'a.pth', '--checkpoint', 'b.pth', '--input-source',
                                str(clip.folder / 'com'), '--output', str(out), '--height', '48', '--device', 'cpu',
                                *more]) == 0
    frames = [frame.pixels for frame in VideoReader(out)]
    assert len(frames) == 4 and frames[0].shape == (96, 256, 3)
    source = cv2.imread(str(clip.folder / 'com/0000.png'))[..., ::-1]
    assert abs(frames[0][30:47, :64].astype(int) - source[30:47]).mean() < 12                # below the label
    # both rows are the same network, so without a truth the differences are black
    assert (frames[0][66:, 194:].mean() > 10) == truth


@pytest.mark.parametrize('more, message', [
    (['--input-source', 'nowhere.mp4'], 'nowhere.mp4: no such file'),
    (['--label', 'a', '--label', 'b'], '1 checkpoints need as many labels, got 2'),
    (['--height', '33'], '--height must be even'),
    (['--output', 'x.avi'], "--output must end in .mp4, got 'x.avi'"),
])
def test_compare_videos_bad_input(trees, tmp_path, fake, capsys, more, message):
    arguments = ['--checkpoint', 'a', '--input-source', str(trees[1] / 'plain/0000/com'), '--output',
                 str(tmp_path / 'x.mp4'), '--device', 'cpu', *more]
    assert compare_videos.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob('*.mp4'))
