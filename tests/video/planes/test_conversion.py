"""A conversion from file to file along the plane path, against the same conversion in pixels."""

import numpy as np
import pytest
import torch

from converter import conversion
from converter.convert import convert_video
from engine.matter import Matter
from engine.prediction import SmallPrediction
from model import MattingNetwork
from tests.clips import write_clip
from video.reader import VideoReader

pytest.importorskip('numba', reason='needs the optional extra: pip install -r requirements/speed.txt')

from video.planes.source import plane_frames


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return MattingNetwork('mobilenetv3', 'fast_guided_filter').eval()


def test_from_file_to_file(network, tmp_path, monkeypatch):
    clip = write_clip(tmp_path / 'a.mp4', 3, (128, 96))
    results = {}
    for path in ('planes', 'pixels'):
        if path == 'pixels':
            monkeypatch.setattr(conversion, 'why_not_planes', lambda *arguments: 'asked for')
        report = convert_video(network, clip, downsample_ratio=0.5, output_composition=tmp_path / f'{path}_com.mp4',
                               output_alpha=tmp_path / f'{path}_pha.mp4', crf=1, progress=False)
        assert report.why_not_planes == ('' if path == 'planes' else 'asked for') and report.frames == 3
        results[path] = [np.stack([frame.pixels for frame in VideoReader(tmp_path / f'{path}_{kind}.mp4')])
                         for kind in ('com', 'pha')]
    for ours, readable in zip(*results.values()):
        assert abs(ours.astype(float) - readable).mean() < 1


def test_a_network_without_a_small_picture_answers_for_planes_too(network, tmp_path):
    clip = write_clip(tmp_path / 'a.mp4', 1, (64, 48))
    planes, pixels = (next(frames).pixels for frames in (plane_frames(VideoReader(clip)), VideoReader(clip).frames()))
    deferred, = Matter(network, 1.0).predict([planes])
    direct, = Matter(network, 1.0).predict([pixels])
    assert isinstance(deferred, SmallPrediction) and deferred.coefficients.shape == (8, 48, 64)
    assert abs(deferred.small_alpha() - direct.small_alpha()).mean() < 0.01
