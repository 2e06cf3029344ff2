"""The table of output kinds, and that everything follows it."""

from pathlib import Path

import pytest
import torch

from converter.command import build_parser
from converter.convert import convert_video
from model.interface import Interface
from tests.clips import write_clip
from video.kinds import KINDS, OutputKind, check_answered
from video.reader import VideoReader

ROOT = Path(__file__).resolve().parents[2]


class PlateNetwork(torch.nn.Module):
    """Without states and ratio, with an error beside alpha, which is smaller than the frame."""

    interface = Interface(outputs=('pha', 'fgr', 'err'))

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(1.))

    def forward(self, src):
        pha = src.mean(1, keepdim=True) * self.gain
        return pha, src, pha[..., ::4, ::4]


def test_a_new_row_is_a_new_output(tmp_path, monkeypatch):
    row = OutputKind(1, ('err',), lambda answers, bgr, premultiply: answers['err'], 'errors')
    monkeypatch.setitem(KINDS, 'doubt', row)
    clip = write_clip(tmp_path / 'in.mp4', 3, (64, 48))
    convert_video(PlateNetwork(), clip, output_doubt=tmp_path / 'err.mkv', output_alpha=tmp_path / 'pha.mkv',
                  seq_chunk=2, progress=False)
    err, pha = ([frame.pixels[..., 0].astype(int) for frame in VideoReader(tmp_path / name)]
                for name in ('err.mkv', 'pha.mkv'))
    assert len(err) == 3 and err[0].shape == (48, 64) and abs(err[2] - pha[2]).mean() < 20
    assert '--output-doubt PATH' in build_parser().format_help()


def test_what_a_network_does_not_answer_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='output_foreground needs fgr, which this network does not answer'):
        check_answered(['alpha', 'foreground'], ['pha'])
    with pytest.raises(ValueError, match='outputs are output_composition, .*, got output_doubt'):
        convert_video(PlateNetwork(), write_clip(tmp_path / 'in.mp4', 1), output_doubt=tmp_path / 'x.mkv',
                      progress=False)


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_is_documented(kind):
    assert f'--output-{kind}' in (ROOT / 'documentation' / 'inference.md').read_text()
