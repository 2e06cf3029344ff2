"""No output replaces an input, by whatever name."""

import os
from pathlib import Path

import pytest

from files import WholeFile, WholeFolder, check_apart


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('clip.mp4', 'bb.mp4', 'imgs/0.png', 'imgs/1.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    os.link('clip.mp4', 'hard.mp4')
    os.symlink('clip.mp4', 'soft.mp4')
    os.symlink('imgs', 'pictures')
    return tmp_path


INPUTS = {'input': ['clip.mp4', 'imgs', 'imgs/0.png'], 'background': 'bb.mp4', 'checkpoint': 'default'}


@pytest.mark.parametrize('outputs, message', [
    ({'output': 'clip.mp4'}, 'output clip.mp4 is the input itself'),
    ({'output': './imgs/../clip.mp4'}, 'is the input itself'),
    ({'output': 'hard.mp4'}, 'is the input itself'),
    ({'report': 'soft.mp4'}, 'report soft.mp4 is the input itself'),
    ({'output': 'bb.mp4'}, 'is the background itself'),
    ({'output': 'imgs'}, 'is the input itself'),
    ({'output': 'pictures/0.png'}, 'is the input itself'),
    ({'output': '.'}, 'output . is the folder of the input '),
    ({'output': 'a.mp4', 'alpha': './a.mp4'}, r'two outputs have the name a.mp4 \(output and alpha\)'),
])
def test_refused(place, outputs, message):
    with pytest.raises(ValueError, match=message):
        check_apart(outputs, INPUTS)


def test_allowed(place):
    check_apart({'output': ['a.mp4', 'imgs/new.mp4'], 'alpha': 'new/folder', 'report': None}, INPUTS)
    check_apart({'output': 'default'}, INPUTS)       # the name of weights is no file
    check_apart({'output': 'imgs'}, {'input': 'clip.mp4', 'background': None})


@pytest.mark.parametrize('path, message', [('-', 'standard output cannot be written: name a file'),
                                           ('https://example.org/a.mp4', 'https://example.org/a.mp4 is an address'),
                                           (Path('rtmp://example.org/a'), 'rtmp://example.org/a is an address')])
def test_only_files_are_written(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    for use in (lambda: check_apart({'output': path}, {}), lambda: WholeFile(path), lambda: WholeFolder(path)):
        with pytest.raises(ValueError, match=message):
            use()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_colon_is_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'take2:').mkdir()
    check_apart({'output': 'take2:/a.mp4'}, {})
