"""dataset/pack_photos.py: what the composer sees is the same, within the noise of compression."""

import cv2
import numpy as np
import pytest
import torch

from dataset.pack_photos import cut_out, main
from dataset.photo_bank import PhotoBank, load_backgrounds
from dataset.synthetic import figure, scenery


@pytest.fixture
def folders(tmp_path):
    for name in ('mattes/fgr', 'mattes/pha', 'pictures'):
        (tmp_path / name).mkdir(parents=True)
    for number in range(3):
        fgr, pha = figure(number, 0, 300, 900)
        cv2.imwrite(str(tmp_path / f'mattes/fgr/{number}.png'), fgr[..., ::-1])
        cv2.imwrite(str(tmp_path / f'mattes/pha/{number}.png'), pha)
    for number in range(4):
        cv2.imwrite(str(tmp_path / f'pictures/{number}.png'), scenery(number, 0, 700, 600)[..., ::-1])
    return tmp_path


def run(folders, *more):
    return main([str(folders / 'mattes'), str(folders / 'pictures'), str(folders / 'packed'), *more])


def test_the_bank_is_the_same(folders, capsys):
    assert run(folders, '--background-skip-every', '2') == 0
    whole = PhotoBank.from_folders(folders / 'mattes/fgr', folders / 'mattes/pha')
    packed = PhotoBank.from_folders(folders / 'packed/fgr', folders / 'packed/pha')
    assert torch.equal(whole.cut, packed.cut)
    torch.testing.assert_close(whole.boxes, packed.boxes, atol=3, rtol=0)
    difference = (whole.levels[1].float() - packed.levels[1].float()).abs()[:, :, :, 40:-40]
    assert difference.mean() < 3
    scenes = load_backgrounds(folders / 'packed/backgrounds', 64)
    expected = load_backgrounds(folders / 'pictures', 64)[1::2]
    assert len(scenes) == 2 and (scenes.float() - expected.float()).abs().mean() < 3
    assert 'MB' in capsys.readouterr().out


def test_more_backgrounds_are_all_taken_and_keep_their_weight(folders, capsys):
    (folders / 'more').mkdir()
    for name in ('owl_x4', 'room'):
        cv2.imwrite(str(folders / f'more/{name}.png'), scenery(7, 0, 700, 600)[..., ::-1])
    assert run(folders, '--background-skip-every', '2', '--more-backgrounds', str(folders / 'more')) == 0
    names = sorted(path.name for path in (folders / 'packed/backgrounds').iterdir())
    assert names == ['a-0000.webp', 'a-0001.webp', 'b-0000_x4.webp', 'b-0001.webp']
    assert len(load_backgrounds(folders / 'packed/backgrounds', 64)) == 2 + 4 + 1

@pytest.mark.parametrize('flag', ['--more-backgrounds', '--objects'])
def test_folders_without_pictures_are_named(folders, flag, capsys):
    assert run(folders, flag, str(folders / 'nowhere')) == 2
    assert f'error: no pictures in {folders / "nowhere"}' in capsys.readouterr().err
    assert not list(folders.glob('packed*'))


def test_alpha_is_packed_exactly(folders):
    assert run(folders) == 0
    fgr, pha = (cv2.imread(str(folders / f'mattes/{kind}/1.png'), cv2.IMREAD_UNCHANGED) for kind in ('fgr', 'pha'))
    packed = cv2.imread(str(folders / 'packed/pha/1.webp'))
    assert np.array_equal(packed[..., 0], cut_out(fgr, pha)[1])


def test_empty_mattes_are_named_and_left_out(folders, capsys):
    cv2.imwrite(str(folders / 'mattes/pha/1.png'), np.zeros((900, 300), np.uint8))
    assert run(folders) == 0
    assert 'left out: 1.png: alpha shows nothing' in capsys.readouterr().err
    assert sorted(path.name for path in (folders / 'packed/pha').iterdir()) == ['0.webp', '2.webp']


@pytest.mark.parametrize('wrong, message', [
    (['--quality', '0'], '--quality must be in 1..100, got 0'),
    (['--background-skip-every', '1'], '--background-skip-every must be 0 or at least 2, got 1'),
])
def test_bad_input(folders, wrong, message, capsys):
    assert run(folders, *wrong) == 2
    assert message in capsys.readouterr().err and not list(folders.glob('packed*'))


def test_nothing_is_overwritten_and_nothing_half_is_left(folders, capsys):
    (folders / 'mattes/fgr/2.png').unlink()
    assert run(folders) == 2
    assert 'has no foreground for 2.png' in capsys.readouterr().err and not list(folders.glob('packed*'))
    (folders / 'packed').mkdir()
    assert run(folders) == 2
    assert 'exists: name a new folder' in capsys.readouterr().err


def test_objects_keep_their_colours_at_the_rim(folders, capsys):
    things = folders / 'things/food'
    things.mkdir(parents=True)
    orange = np.zeros((90, 120, 4), np.uint8)                    # black where nothing is, as programs write it
    orange[20:70, 30:90] = (0, 128, 255, 255)
    cv2.imwrite(str(things / 'orange.png'), orange)
    cv2.imwrite(str(things / 'nothing.png'), np.zeros((9, 9, 4), np.uint8))
    assert run(folders, '--objects', str(folders / 'things')) == 0
    assert 'nothing.png: alpha shows nothing' in capsys.readouterr().err
    packed = PhotoBank.from_folders(folders / 'packed/objects', canvas=(64, 64))
    assert len(packed) == 1
    rim = (packed.levels[0][0, 3] > 20)
    colours = packed.levels[0][0, :3].float()[:, rim]
    assert (colours.amin(1) - torch.tensor([255., 128., 0.])).abs().max() < 30    # no dark fringe
