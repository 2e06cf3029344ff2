"""What the fields of the Gradio page mean; Gradio itself is not needed here."""

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from demo.page_job import Engine, Fields, choose_background, hex_colour, list_checkpoints, run_job
from inference import convert_video
from model import MattingNetwork
from model.weights import load_network, save_network
from tests.clips import picture, write_clip
from video.pipeline import StageError
from video.reader import VideoReader

ENGINE = Engine(torch.device('cpu'), torch.float32)


@pytest.fixture
def fields(tmp_path):
    torch.manual_seed(0)
    save_network(MattingNetwork(), tmp_path / 'net.safetensors')
    clip = write_clip(tmp_path / 'in.mp4', 5, (96, 64), audio='aac')
    (tmp_path / 'results').mkdir()
    return Fields(str(clip), str(tmp_path / 'net.safetensors'))


def test_the_files_are_the_converters(fields, tmp_path):
    calls = []
    fields = replace(fields, background='colour', colour='#102030', size='own ratio', ratio=0.5,
                     transparent_file='FFV1 (.mkv), lossless')
    result = run_job(fields, ENGINE, tmp_path / 'results', lambda *call: calls.append(call))
    assert [path.name for path in (result.composition, result.alpha, result.transparent)] == [
        'in_composition.mp4', 'in_alpha.mp4', 'in_transparent.mkv']
    assert calls == [(done, 5) for done in range(1, 6)]
    assert '5 frames' in result.text and 'inside the network 48x32 (ratio 0.5)' in result.text
    convert_video(load_network(fields.checkpoint), fields.video, downsample_ratio=0.5, progress=False,
                  output_rgba=tmp_path / 'rgba.mkv', output_composition=tmp_path / 'com.mp4', background=(16, 32, 48))
    for ours, expected, limit in ((result.transparent, 'rgba.mkv', 0), (result.composition, 'com.mp4', 1)):
        ours, expected = ([frame.pixels for frame in VideoReader(path)] for path in (ours, tmp_path / expected))
        assert len(ours) == len(expected) == 5
        assert abs(np.int32(ours) - np.int32(expected)).mean() <= limit       # libx264 does not repeat itself exactly
    assert av.open(str(result.composition)).streams.audio and not av.open(str(result.alpha)).streams.audio


def test_presets_choose_the_size_inside(fields, tmp_path):
    clip = write_clip(tmp_path / 'large.mp4', 1, (1024, 576))
    for size, inner in (('portrait', '512x288'), ('full-body', '768x432')):
        assert f'inside the network {inner}' in run_job(replace(fields, video=str(clip), size=size), ENGINE,
                                                        tmp_path / 'results').text


def test_transparent_means_a_board(fields, tmp_path):
    board = cv2.imread(str(choose_background(fields, tmp_path)))
    assert board.shape == (1080, 1920, 3)
    assert tuple(board[[0, 0, 16, 16], [0, 16, 0, 16], 0]) == (153, 204, 204, 153)


def test_backgrounds(fields, tmp_path):
    cv2.imwrite(str(tmp_path / 'wall.png'), picture(0, 32, 24))
    image = str(tmp_path / 'wall.png')
    assert choose_background(replace(fields, background='image', image=image), tmp_path) == Path(image)
    assert choose_background(replace(fields, background='blur', blur=4.5), tmp_path) == 'blur:4.5'
    with pytest.raises(ValueError, match='no background image: upload one'):
        choose_background(replace(fields, background='image'), tmp_path)


@pytest.mark.parametrize('text, expected', [('#2b6cb0', '#2b6cb0'), ('rgb(43, 108, 176)', '#2b6cb0'),
                                            ('rgba(43.4, 107.6, 176, 1)', '#2b6cb0'),
                                            ('rgba(300, 0, 0, 0.5)', '#ff0000')])
def test_colours_of_the_picker(text, expected):
    assert hex_colour(text) == expected


@pytest.mark.parametrize('text', ['blue-ish', 'rgb(1, 2)', 'rgb()', ''])
def test_bad_colours(text):
    with pytest.raises(ValueError, match='background colour must be #rrggbb or rgb'):
        hex_colour(text)


def test_what_cannot_be_run(fields, tmp_path):
    with pytest.raises(ValueError, match='no video: upload one'):
        run_job(replace(fields, video=None), ENGINE, tmp_path / 'results')
    with pytest.raises(FileNotFoundError, match='no such file, and not one of the known names'):
        run_job(replace(fields, checkpoint='nothing'), ENGINE, tmp_path / 'results')
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(ValueError, match='not a video that FFmpeg can read'):
        run_job(replace(fields, video=str(tmp_path / 'text.mp4')), ENGINE, tmp_path / 'results')


def test_stopping_leaves_no_result(fields, tmp_path):
    def stop(done, total):
        if done == 2:
            raise RuntimeError('stopped')
    with pytest.raises(StageError, match='stopped'):
        run_job(fields, ENGINE, tmp_path / 'results', stop)
    assert [path.name for path in (tmp_path / 'results').iterdir()] == ['checks.png']


def test_checkpoints_to_choose_from(tmp_path):
    for name in ('b.pth', 'a.safetensors', 'notes.txt'):
        (tmp_path / name).write_text('')
    offered = list_checkpoints(str(tmp_path / 'b.pth'), tmp_path)
    assert offered[0] == ('b.pth', str(tmp_path / 'b.pth'))
    values = [value for _, value in offered]
    assert len(values) == len(set(values)) and str(tmp_path / 'a.safetensors') in values
    assert {'default', 'rvm_mobilenetv3', 'rvm_resnet50'} <= set(values)
    assert not any('notes' in value for value in values)
    assert 'GPL-3.0' in dict((value, label) for label, value in offered)['rvm_mobilenetv3']
    assert list_checkpoints('default')[0] == ('default (ours)', 'default')
    with pytest.raises(FileNotFoundError, match='--weights .*: no such folder'):
        list_checkpoints('default', tmp_path / 'nothing')
