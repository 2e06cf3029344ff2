"""What documentation/architecture.md says of new things: a row in the named table is all that the rest needs.

Output kinds: tests/video/test_kinds.py.
"""

import sys
from fractions import Fraction
from types import ModuleType

import pytest
import torch
from torch import nn

from export.command import build_parser as export_parser
from export.formats import FORMATS, Format
from export.options import ExportOptions
from metrics import METRICS, measure_clip
from metrics.meter import FrameMeter
from metrics.table import Clip, Metric
from model import ENCODERS, VARIANTS, MattingNetwork
from model.encoder_registry import EncoderSpec, Variant
from model.families import FAMILIES, Family, build_network, recognise
from model.interface import Interface
from model.weights import load_network
from tests.clips import picture
from video.formats import CONTAINERS, Container
from video.frame import StreamInfo
from video.reader import VideoReader
from video.writer import VideoFileWriter


class Pooled(nn.Module):
    """The smallest encoder: four poolings of a convolution."""

    normalize = False

    def __init__(self, pretrained=False):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        T = x.size(1) if x.dim() == 5 else 0
        x = self.stem(x.flatten(0, 1) if T else x)
        features = []
        for _ in range(4):
            x = nn.functional.avg_pool2d(x, 2, ceil_mode=True)
            features.append(x.unflatten(0, (-1, T)) if T else x)
        return features


def test_a_row_makes_an_encoder_a_variant_that_files_and_commands_know(monkeypatch, tmp_path):
    monkeypatch.setitem(ENCODERS, 'pooled', EncoderSpec(Pooled, (4, 4, 4, 4)))
    monkeypatch.setitem(VARIANTS, 'pooled', Variant('pooled', 4, (4, 4, 4, 4)))
    network = MattingNetwork('pooled').eval()
    fgr, pha, *rec = network(torch.rand(1, 2, 3, 64, 64), *network.interface.first_states(), downsample_ratio=0.5)
    assert pha.shape == (1, 2, 1, 64, 64) and len(rec) == 4
    torch.save(network.state_dict(), tmp_path / 'pooled.pth')
    assert load_network(tmp_path / 'pooled.pth').variant == 'pooled'


def test_a_row_makes_a_family_that_is_recognised(monkeypatch):
    class Threshold(nn.Module):
        interface = Interface()

        def __init__(self):
            super().__init__()
            self.level = nn.Parameter(torch.zeros(3))

    class Form:
        build = staticmethod(Threshold)

    monkeypatch.setitem(FAMILIES, 'threshold', Family(
        Threshold.interface, {'threshold': Threshold}, lambda state: Form() if set(state) == {'level'} else None))
    assert isinstance(build_network('threshold'), Threshold)
    assert isinstance(recognise({'level': torch.zeros(3)}).build(), Threshold)


def test_a_row_makes_a_container(monkeypatch, tmp_path):
    monkeypatch.setitem(CONTAINERS, '.nut', Container('nut', 'ffv1', None, 'flac'))
    with pytest.raises(ValueError, match='.avi'):
        VideoFileWriter(tmp_path / 'out.avi', StreamInfo(32, 16, Fraction(25), Fraction(1, 25)))
    info = StreamInfo(32, 16, Fraction(25), Fraction(1, 25))
    writer = VideoFileWriter(tmp_path / 'out.nut', info)
    for index in range(3):
        writer.write_frame(picture(index, 32, 16), index)
    writer.close()
    frames = [frame.pixels for frame in VideoReader(tmp_path / 'out.nut')]
    assert len(frames) == 3 and (frames[2] == picture(2, 32, 16)).all()


def test_a_row_makes_a_metric(monkeypatch):
    def worst(clip, protocol):
        return (clip.pred_pha - clip.true_pha).abs().flatten(1).amax(1).double()
    monkeypatch.setitem(METRICS, 'pha_worst', Metric(worst))
    pred, true = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    true[1, 0, 0, 0] = 1
    assert measure_clip(Clip(pred, true), ('pha_worst',))['pha_worst'].tolist() == [0, 1]
    meter = FrameMeter(('pha_worst', 'pha_mad'))
    for p, t in zip(pred, true):
        numbers = meter.measure(*((255 * x[0]).byte().numpy() for x in (p, t)))
    assert numbers['strict']['pha_worst'] == 1      # no fast form: the reference takes its place


def test_a_row_makes_an_export_format(monkeypatch, tmp_path):
    module = ModuleType('export_as_text')
    module.TITLE, module.SUFFIXES, module.SHAPES, module.LIMITS = 'text', ('.txt',), ('dynamic',), {'fp32': None}
    monkeypatch.setitem(sys.modules, 'export_as_text', module)
    monkeypatch.setitem(FORMATS, 'text', 'export_as_text')
    assert export_parser().parse_args(['--format', 'text', '--output', 'a.txt']).format == 'text'
    Format.load('text').check(tmp_path / 'a.txt', ExportOptions((64, 48)))
    with pytest.raises(ValueError, match='must end in .txt'):
        Format.load('text').check(tmp_path / 'a.onnx', ExportOptions((64, 48)))
