"""Which conversions take the plane path, and what is said of those that do not."""

import sys
from dataclasses import replace
from fractions import Fraction

import pytest

from video.frame import ColorTags, StreamInfo, Target
from video.planes.rule import why_not_planes

INFO = StreamInfo(64, 48, Fraction(25), Fraction(1, 25), pixel_format='yuv420p')
TARGET = Target('yuv420p', 64, 48, ColorTags(1), True)
GOOD = {'info': INFO, 'wanted': [('composition', TARGET), ('alpha', TARGET)], 'small_size': (32, 24),
        'is_resized': False}


@pytest.fixture(autouse=True)
def numba_or_not(monkeypatch):
    monkeypatch.setattr('video.planes.rule.has_numba', lambda: True)


def test_taken():
    assert why_not_planes(**GOOD) == ''
    assert why_not_planes(**GOOD | {'info': replace(INFO, pixel_format='yuvj420p', is_turned=True)}) == ''
    assert why_not_planes(**GOOD | {'wanted': [('rgba', replace(TARGET, pixel_format='yuva420p'))]}) == ''


@pytest.mark.parametrize('change, reason', [
    ({'info': replace(INFO, pixel_format='yuv420p10le')}, 'yuv420p10le, not 8-bit 4:2:0'),
    ({'info': replace(INFO, pixel_format='', is_video=False)}, 'no video, not 8-bit'),
    ({'info': replace(INFO, color=ColorTags(8))}, 'colour matrix 8'),
    ({'info': replace(INFO, width=31)}, 'shorter than 32'),
    ({'info': replace(INFO, width=65, is_turned=True)}, 'rotated and has an odd side'),
    ({'is_resized': True}, 'resized first'),
    ({'wanted': [('alpha', None)]}, 'output alpha is no video'),
    ({'wanted': [('alpha', replace(TARGET, pixel_format='yuv444p10le'))]}, 'alpha is yuv444p10le, not'),
    ({'wanted': [('err', TARGET)]}, 'err is not made of the small picture'),
    ({'small_size': None}, 'the network sees the full frame'),
])
def test_not_taken(change, reason):
    assert reason in why_not_planes(**GOOD | change)


def test_without_numba(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, 'numba', None)
    assert 'pip install -r requirements/speed.txt' in why_not_planes(**GOOD)
