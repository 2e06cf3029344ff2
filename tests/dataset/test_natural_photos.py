"""Crops of natural photos: masks follow the picture, what is unknown stays so, the same draw gives the same batch."""

import cv2
import numpy as np
import pytest
import torch

from dataset.natural_photos import NaturalConfig, NaturalPhotos, held_out_names


def natural_folder(root, count, side=96):
    """Photos whose person is a red rectangle with an unknown rim; the last third shows nobody, but an unknown thing."""
    for name in ('photos', 'masks'):
        (root / name).mkdir(parents=True)
    names = [f'{number:03d}' for number in range(count)]
    for number, name in enumerate(names):
        photo, mask = np.full((side, side + 16, 3), 60, np.uint8), np.zeros((side, side + 16), np.uint8)
        mask[10:70, 30:70] = 128
        if number < count * 2 // 3:
            mask[14:66, 34:66] = 255
            photo[14:66, 34:66] = (0, 0, 250)                    # BGR
        cv2.imwrite(str(root / f'photos/{name}.png'), photo)
        cv2.imwrite(str(root / f'masks/{name}.png'), mask)
    (root / 'persons.txt').write_text('\n'.join(names[:count * 2 // 3]))
    (root / 'empty.txt').write_text('\n'.join(names[count * 2 // 3:]))
    return root


@pytest.fixture
def folder(tmp_path):
    return natural_folder(tmp_path / 'natural', 6)


def test_masks_follow_the_picture(folder):
    photos = NaturalPhotos(folder, NaturalConfig(size=64, tone=0), seed=3)
    assert (len(photos), len(photos.people), len(photos.empty)) == (6, 4, 2)
    for index in range(6):
        src, seg, known = photos.batch(index, 4)
        assert src.shape == (4, 1, 3, 64, 64) and seg.shape == known.shape == (4, 1, 1, 64, 64)
        assert set(known.unique().tolist()) <= {0., 1.}
        red = (src[:, :, :1] > 0.9) & (src[:, :, 1:2] < 0.1)
        sure = known > 0
        assert (red[sure] == (seg[sure] > 0.5)).float().mean() > 0.995


def test_outside_the_photo_nothing_is_known_and_things_of_empty_photos_are_nobody(folder):
    wide = NaturalPhotos(folder, NaturalConfig(size=64, smallest=1.25, largest=1.25, stretch=0, tone=0))
    known = torch.cat([wide.batch(index, 4)[2] for index in range(4)])
    assert (known[:, 0, 0, 0] == 0).all()                        # the crop is higher than the photo
    empty = NaturalPhotos(folder, NaturalConfig(size=64, with_people=0, smallest=0.9, largest=0.9, stretch=0))
    _, seg, known = empty.batch(0, 4)
    assert seg.max() == 0 and known.mean() > 0.97


def test_batches_depend_on_seed_and_index_alone(folder):
    one, other = (NaturalPhotos(folder, NaturalConfig(size=32), seed=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.batch(7, 3), other.batch(7, 3)))
    assert not torch.equal(one.batch(8, 3)[0], one.batch(7, 3)[0])
    assert not torch.equal(NaturalPhotos(folder, NaturalConfig(size=32), seed=6).batch(7, 3)[0], one.batch(7, 3)[0])


def test_every_twentieth_of_each_list_is_held_out(tmp_path):
    folder = natural_folder(tmp_path / 'many', 66, 32)
    assert held_out_names(folder) == {'000', '020', '040', '044', '064'}
    kept = NaturalPhotos(folder, chosen=lambda root, name: name not in held_out_names(root))
    assert len(kept) == 61


def test_layout_is_named(folder, tmp_path):
    (folder / 'masks/002.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'002.png has no mask: expected masks/002.png'):
        NaturalPhotos(folder)
    with pytest.raises(FileNotFoundError, match='expected photos/NAME.jpg and masks/NAME.png'):
        (tmp_path / 'nothing/photos').mkdir(parents=True)
        (tmp_path / 'nothing/masks').mkdir()
        NaturalPhotos(tmp_path / 'nothing')
