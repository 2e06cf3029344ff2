"""The table of what a matte for each person costs."""

import pytest

from benchmark import people
from benchmark.people import cpu_seconds, crowd, growth, lengths, main


def test_everybody_has_a_mask_and_a_colour_of_his_own():
    for pixels, masks in crowd(4, (96, 64), 3):
        assert pixels.shape == (64, 96, 3) and masks.shape == (4, 64, 96)
        assert masks.sum((1, 2)).min() > 100 and masks.sum(0).max() == 1
        assert len({tuple(pixels[mask][0]) for mask in masks}) == 4


def test_time_is_told_as_a_ratio_to_one_person(monkeypatch):
    monkeypatch.setattr(people, 'PEOPLE', (1, 2, 4))
    monkeypatch.setattr(people, 'cpu_seconds', lambda method, count, size, frames: 2 + 0.5 * count)
    assert list(growth({'split': None}, (32, 32), 4)) == ['| split | 2.500 s | 1.20 | 1.60 |']


def test_seconds_are_of_a_frame(monkeypatch):
    clock = iter((10., 16.))
    monkeypatch.setattr(people.time, 'process_time', lambda: next(clock))
    seen = []
    assert cpu_seconds(lambda frames: seen.extend(frames), 1, (32, 32), 3) == 2 and len(seen) == 3


def test_each_length_is_read_to_its_end(monkeypatch):
    monkeypatch.setattr(people, 'LENGTHS', (2, 5))
    seen = []
    line, = lengths({'method': lambda frames: seen.append(len(list(frames)))}, (32, 32))
    assert seen == [2, 5] and line.count('MB') == 2


@pytest.mark.slow
def test_command(monkeypatch, capsys):
    monkeypatch.setattr(people, 'PEOPLE', (1, 2))
    monkeypatch.setattr(people, 'LENGTHS', (1, 2))
    assert main(['--size', '64', '48', '--frames', '1']) == 0
    out = capsys.readouterr().out
    assert out.count('| split |') == out.count('| network |') == 2
    assert main(['--size', '8', '48']) == 2
    assert '--frames must be at least 1 and --size at least 16, got 1 and [8, 48]' in capsys.readouterr().err
