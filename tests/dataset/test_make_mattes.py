"""Mattes from photos and masks: trimap by hand, files, resuming, bad input; one real matte (slow: numba compiles)."""

import cv2
import numpy as np
import pytest

from dataset import make_mattes
from dataset.make_mattes import main, trimap


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ('photos', 'masks'):
        (tmp_path / folder).mkdir()
    for i in range(4):
        mask = np.zeros((60, 60), np.uint8)
        mask[20:, 20:40] = 255
        photo = np.where(mask[..., None] > 0, (40, 60, 200), (200, 180, 30)) + rng.integers(-5, 6, (60, 60, 3))
        cv2.imwrite(str(tmp_path / f'photos/{i}.jpg'), cv2.GaussianBlur(photo.astype(np.uint8), (0, 0), 1.5))
        cv2.imwrite(str(tmp_path / f'masks/{i}.png'), mask)
    return tmp_path


def run(photos, *more) -> int:
    return main([str(photos / 'photos'), str(photos / 'masks'), str(photos / 'out'), '--num-workers', '1', *more])


def names(photos, kind='pha'):
    return sorted(path.name for path in (photos / 'out' / kind).iterdir())


@pytest.fixture
def no_pymatting(monkeypatch):
    """The matte is the mask: everything but the numerics. The pool becomes this process."""
    class Here:
        def __init__(self, workers, context):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def submit(self, function, *args):
            from concurrent.futures import Future
            future = Future()
            try:
                future.set_result(function(*args))
            except ValueError as error:
                future.set_exception(error)
            return future

    monkeypatch.setattr(make_mattes, 'ProcessPoolExecutor', Here)
    monkeypatch.setattr(make_mattes, 'make_matte', lambda photo, mask: (photo, mask))
    monkeypatch.setattr(make_mattes, 'check_installed', lambda: None)


def test_trimap_by_hand():
    mask = np.zeros((60, 60), np.uint8)
    mask[20:, 20:40] = 255                                     # cut by the lower edge
    regions = trimap(mask)
    assert set(np.unique(regions)) == {0, .5, 1}
    row = regions[50]
    assert (row[:13] == 0).all() and (row[13:24] == .5).all() and (row[24:36] == 1).all() and (row[47:] == 0).all()
    assert (regions[24:, 30] == 1).all()                       # no band along the edge of the photo


def test_resume_and_selection(photos, no_pymatting):
    assert run(photos, '--every', '2') == 0
    assert names(photos) == ['0.png', '2.png'] == names(photos, 'fgr')
    before = (photos / 'out/pha/0.png').stat().st_mtime_ns
    assert run(photos) == 0
    assert names(photos) == ['0.png', '1.png', '2.png', '3.png']
    assert (photos / 'out/pha/0.png').stat().st_mtime_ns == before


def test_held_out_photos_are_left_out(photos, no_pymatting):
    assert run(photos, '--skip-every', '2', '--extension', '.jpg') == 0
    assert names(photos, 'fgr') == ['1.jpg', '3.jpg']


def test_one_bad_photo_does_not_stop_the_others(photos, no_pymatting, capsys):
    (photos / 'photos/1.jpg').write_bytes(b'no photo')
    assert run(photos) == 2
    assert 'failed: 1: cannot read' in capsys.readouterr().err
    assert names(photos) == ['0.png', '2.png', '3.png']


@pytest.mark.parametrize('spoil, more, message', [
    (lambda p: (p / 'masks/2.png').unlink(), [], '1 photos have no mask of the same name'),
    (lambda p: [x.unlink() for x in (p / 'photos').iterdir()], [], 'no photos in'),
    (lambda p: None, ['--every', '0'], '--every must be at least 1'),
])
def test_bad_input(photos, no_pymatting, capsys, spoil, more, message):
    spoil(photos)
    assert run(photos, *more) == 2
    assert message in capsys.readouterr().err


def test_missing_package(photos, monkeypatch, capsys):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert run(photos) == 2
    assert 'pip install -r requirements/mattes.txt' in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_matte(photos):
    pytest.importorskip('pymatting')
    assert run(photos, '--every', '4') == 0
    pha, fgr = cv2.imread(str(photos / 'out/pha/0.png'), 0), cv2.imread(str(photos / 'out/fgr/0.png'))
    assert (pha[30:, 26:34] == 255).all() and (pha[:, :12] == 0).all()
    edge = pha[40, 14:28].astype(int)
    assert ((edge > 20) & (edge < 235)).sum() >= 2                          # soft, as the blurred photo is
    assert abs(fgr[40, 20].astype(int) - (40, 60, 200)).max() < 40           # the person's colour, not the mixture


@pytest.mark.slow
def test_impossible_masks():
    pytest.importorskip('pymatting')
    photo = np.zeros((30, 30, 3), np.uint8)
    with pytest.raises(ValueError, match='no sure foreground'):
        make_mattes.make_matte(photo, np.zeros((30, 30), np.uint8))
    with pytest.raises(ValueError, match='photo is 30x30, mask 20x30'):
        make_mattes.make_matte(photo, np.zeros((30, 20), np.uint8))
