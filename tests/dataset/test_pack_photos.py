"""dataset/pack_photos.py: what the composer sees is the same, within the noise of compression."""

import cv2
import numpy as np
import pytest
import torch

from dataset.pack_photos import cut_out, main
from dataset.photo_bank import PhotoBank, load_backgrounds, read_weights
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
    expected = load_backgrounds(folders / 'pictures', 64).pictures[1::2]
    assert len(scenes) == 2 and (scenes.pictures.float() - expected.float()).abs().mean() < 3
    assert 'MB' in capsys.readouterr().out


def test_more_folders_are_all_taken_and_keep_their_weights(folders, capsys):
    (folders / 'more').mkdir()
    for name in ('owl', 'room'):
        cv2.imwrite(str(folders / f'more/{name}.png'), scenery(7, 0, 700, 600)[..., ::-1])
    (folders / 'more/weights.csv').write_text('owl,4\n')
    assert run(folders, '--background-skip-every', '2', '--more-backgrounds', str(folders / 'more'), '0.5',
               '--more-mattes', str(folders / 'mattes'), '3') == 0
    assert read_weights(folders / 'packed/backgrounds') == {'a-0000': 1, 'a-0001': 1, 'b-0000': 2, 'b-0001': 0.5}
    assert sorted(path.name for path in (folders / 'packed/backgrounds').glob('*.webp')) == [
        'a-0000.webp', 'a-0001.webp', 'b-0000.webp', 'b-0001.webp']
    people = PhotoBank.from_folders(folders / 'packed/fgr', folders / 'packed/pha')
    assert people.weights.tolist() == [1, 1, 1, 3, 3, 3]


def test_what_is_held_out_is_not_packed_under_another_name(folders, capsys):
    """As backgrounds 0069.jpg and 0100.jpg of our material, also scaled and compressed anew."""
    twin = cv2.imread(str(folders / 'pictures/2.png'))
    cv2.imwrite(str(folders / 'pictures/2b.jpg'), cv2.resize(twin, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))
    (folders / 'more').mkdir()
    cv2.imwrite(str(folders / 'more/x.jpg'), twin, [cv2.IMWRITE_JPEG_QUALITY, 40])
    cv2.imwrite(str(folders / 'more/y.jpg'), scenery(9, 0, 700, 600)[..., ::-1])
    assert run(folders, '--background-skip-every', '2', '--more-backgrounds', str(folders / 'more'), '1') == 0
    err = capsys.readouterr().err
    assert [line for line in err.splitlines() if 'held out' in line] == [
        f'left out: {name}: the same picture as one that is held out' for name in ('2b.jpg', 'x.jpg')]
    assert len(read_weights(folders / 'packed/backgrounds')) == 2


@pytest.mark.parametrize('flags, message', [
    (['--more-backgrounds', 'nowhere', '1'], 'no pictures in nowhere'), (['--objects', 'nowhere'], 'in nowhere'),
    (['--more-mattes', 'nowhere', '1'], 'no pictures in nowhere'),
    (['--more-mattes', 'mattes', 'often'], "--more-mattes needs a weight larger than 0 after the folder, got 'often'"),
    (['--more-backgrounds', 'mattes', '0'], "--more-backgrounds needs a weight larger than 0 after the folder, got '0"),
])
def test_bad_folders_and_weights_are_named(folders, flags, message, capsys):
    assert run(folders, *flags) == 2
    assert message in capsys.readouterr().err and not list(folders.glob('packed*'))


def test_alpha_is_packed_exactly(folders):
    assert run(folders) == 0
    fgr, pha = (cv2.imread(str(folders / f'mattes/{kind}/1.png'), cv2.IMREAD_UNCHANGED) for kind in ('fgr', 'pha'))
    packed = cv2.imread(str(folders / 'packed/pha/a-1.webp'))
    assert np.array_equal(packed[..., 0], cut_out(fgr, pha)[1])


def test_empty_mattes_are_named_and_left_out(folders, capsys):
    cv2.imwrite(str(folders / 'mattes/pha/1.png'), np.zeros((900, 300), np.uint8))
    assert run(folders) == 0
    assert 'left out: 1.png: alpha shows nothing' in capsys.readouterr().err
    assert sorted(path.name for path in (folders / 'packed/pha').iterdir()) == ['a-0.webp', 'a-2.webp']


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
