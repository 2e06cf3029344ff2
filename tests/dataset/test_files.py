"""Natural order, the index cache, and pictures of every kind."""

import json
import os
import time

import numpy as np
import pytest
from PIL import Image

from dataset import files
from dataset.files import Damage, UnreadableFrame, list_clips, list_pictures, read_picture, shrunk_size
from files import natural_sorted


def picture(path, w=8, h=6, value=100, **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (w, h), (value,) * 3).save(path, **save)
    return path


def settle(*folders):
    """Let folders look old enough to be remembered."""
    for folder in folders:
        os.utime(folder, (time.time() - 60,) * 2)


def test_natural_order():
    assert natural_sorted(['f10.png', 'f2.png', 'F1.png', '10.png', '9.png']) == \
        ['9.png', '10.png', 'F1.png', 'f2.png', 'f10.png']


def test_listing_is_cached_until_a_folder_changes(tmp_path, monkeypatch):
    picture(tmp_path / 'a/1.png'), picture(tmp_path / 'a/10.png'), picture(tmp_path / 'a/2.png')
    (tmp_path / 'a/notes.txt').write_text('no picture')
    (tmp_path / 'a/.hidden.png').write_text('')
    settle(tmp_path / 'a', tmp_path)
    assert list_clips(tmp_path) == {'a': ['1.png', '2.png', '10.png']}
    with monkeypatch.context() as patch:
        patch.setattr(files, 'is_picture', lambda name: pytest.fail('listed again'))
        assert list_clips(tmp_path) == {'a': ['1.png', '2.png', '10.png']}
    picture(tmp_path / 'a/3.png')
    assert list_clips(tmp_path) == {'a': ['1.png', '2.png', '3.png', '10.png']}
    picture(tmp_path / 'a/4.png')  # at once: the folder was not settled, so nothing was remembered
    assert '4.png' in list_clips(tmp_path)['a']
    assert list_pictures(tmp_path) == [f'a/{name}' for name in ('1.png', '2.png', '3.png', '4.png', '10.png')]


@pytest.mark.parametrize('content', ['{', '[]', '{"name": 1}', json.dumps({'name': 'x', 'guards': None, 'index': []})])
def test_damaged_cache_is_rebuilt(tmp_path, content):
    picture(tmp_path / 'a/1.png')
    settle(tmp_path / 'a', tmp_path)
    list_clips(tmp_path)
    file, = files.cache_folder().glob(f'{tmp_path.name}-*.json')
    file.write_text(content)
    assert list_clips(tmp_path) == {'a': ['1.png']}


def test_unwritable_cache_costs_no_run(tmp_path, monkeypatch, caplog):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('MATTING_CACHE', str(tmp_path / 'file' / 'below'))
    picture(tmp_path / 'a/1.png')
    settle(tmp_path / 'a', tmp_path)
    assert list_clips(tmp_path) == {'a': ['1.png']}
    assert 'is not cached' in caplog.text


@pytest.mark.parametrize('size, shorter, expected', [((100, 50), 50, (100, 50)), ((100, 50), 25, (50, 25)),
                                                     ((101, 50), 25, (50, 25)), ((50, 101), 20, (20, 40)),
                                                     ((10, 10), 99, (10, 10)), ((10, 20), None, (10, 20))])
def test_shrunk_size(size, shorter, expected):
    assert shrunk_size(size, shorter) == expected


def test_read_picture_modes(tmp_path):
    ramp = np.linspace(0, 255, 16).astype(np.uint8)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / 'grey.png')
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / 'deep.png')
    Image.fromarray(np.dstack([ramp] * 3 + [255 - ramp])).save(tmp_path / 'alpha.png')
    assert (read_picture(tmp_path / 'grey.png', 'RGB') == ramp[..., None]).all()
    assert (read_picture(tmp_path / 'deep.png', 'L') == ramp).all()
    assert (read_picture(tmp_path / 'alpha.png', 'RGBA')[..., 3] == 255 - ramp).all()
    with pytest.raises(UnreadableFrame, match='grey.png: has no alpha channel'):
        read_picture(tmp_path / 'grey.png', 'RGBA')


def test_read_picture_turns_and_shrinks(tmp_path):
    exif = Image.Exif()
    exif[files.ORIENTATION] = 6
    path = picture(tmp_path / 'turned.jpg', 400, 100, exif=exif)
    assert read_picture(path, 'RGB').shape == (400, 100, 3)
    assert read_picture(path, 'RGB', 10).shape == (40, 10, 3)
    assert read_picture(picture(tmp_path / 'wide.jpg', 401, 100), 'L', 10).shape == (10, 40)


@pytest.mark.parametrize('damage', [lambda data: data[:len(data) // 2], lambda data: b'', lambda data: b'no picture'])
@pytest.mark.parametrize('suffix', ['jpg', 'png'])
def test_damaged_pictures_are_named(tmp_path, damage, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    path = tmp_path / f'frame.{suffix}'
    Image.fromarray(noise).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableFrame, match=f'frame.{suffix}: '):
        read_picture(path, 'RGB', 10)


def test_limit_on_damage(tmp_path, caplog):
    damage = Damage(limit=2)
    for name in ('a', 'b', 'a', 'b'):
        damage.report(UnreadableFrame(tmp_path / name, 'cut off'))
    assert caplog.text.count('skipped unreadable frame') == 2 and str(tmp_path / 'b') in caplog.text
    with pytest.raises(RuntimeError, match='more than 2 unreadable frames.*a: cut off'):
        damage.report(UnreadableFrame(tmp_path / 'c', 'cut off'))


def test_a_folder_that_was_missing_is_looked_at_again(tmp_path):
    folder = tmp_path / 'later'
    assert list_pictures(folder) == []
    folder.mkdir()
    picture(folder / '1.png')
    assert list_pictures(folder) == ['1.png']
