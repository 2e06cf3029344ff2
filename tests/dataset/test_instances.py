"""Sets with an alpha of each person, and training clips from them."""

import numpy as np
import pytest
import torch

from dataset import check, data_paths, synthetic
from dataset.instances import people_set, picture_set
from dataset.mask_damage import MaskDamageConfig
from dataset.paths import require
from dataset.people_clips import ClipConfig, PeopleClips

CLEAN = {'flip': 0, 'gamma': 0, 'noise': 0, 'compressed': 0, 'affine': 0, 'reverse': 0}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return synthetic.write_tree(tmp_path_factory.mktemp('tree'), 1, 4)


@pytest.mark.parametrize('name,split,frames', [('i_him50k', 'train', 1), ('him2k', 'natural', 1), ('him2k', 'comp', 1),
                                               ('v_him2k5', 'train', 4), ('v_him60', 'hard', 4)])
def test_layouts(root, name, split, frames):
    clip, = people_set(**require(data_paths(root), name, split))
    assert len(clip) == frames and clip.people == ['00', '01']
    src, pha, msk = clip.read(range(frames))
    assert src.shape == (frames, 64, 96, 3) and pha.shape == msk.shape == (frames, 2, 64, 96)
    np.testing.assert_array_equal(msk > 127, pha > 127)


def test_check_looks_at_them(root, capsys):
    assert check.main(['--data-root', str(root), '--sets', 'v_him60', '--finetune']) == 0
    out = capsys.readouterr().out
    assert 'v_him60 (medium): 1 clips, 4 frames, 2.00 people each' in out and '4 frames have masks' in out


def test_a_person_who_leaves(root, tmp_path):
    clip, = people_set(**require(data_paths(root), 'v_him2k5', 'train'))
    del clip.alphas[2]['01']
    pha = clip.read([1, 2])[1]
    assert pha[0, 1].any() and not pha[1, 1].any()


def test_missing_pictures_are_said(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'alphas/a').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='holds no alphas: expected <name>/00.png'):
        picture_set(tmp_path / 'images', tmp_path / 'alphas')
    synthetic._save(tmp_path / 'alphas/a/00.png', np.zeros((8, 8), np.uint8))
    with pytest.raises(FileNotFoundError, match=r'expected a.jpg'):
        picture_set(tmp_path / 'images', tmp_path / 'alphas')


def test_training_clips(root):
    clips = people_set(**require(data_paths(root), 'v_him2k5', 'train'))
    dataset = PeopleClips(clips, ClipConfig(48, 2, short=64), slots=4)
    src, pha, msk = dataset[0]
    assert src.shape == (2, 3, 48, 48) and pha.shape == msk.shape == (2, 4, 48, 48)
    assert set(msk.unique().tolist()) <= {0, 1}
    again = dataset[0]
    assert all(torch.equal(a, b) for a, b in zip((src, pha, msk), again))
    dataset.set_epoch(1)
    assert not torch.equal(dataset[0][0], src)


def test_masks_follow_the_picture(root):
    """With no damage, the mask is where the alpha of the transformed picture is: in every transform."""
    clips = people_set(**require(data_paths(root), 'him2k', 'comp'))
    calm = MaskDamageConfig(0.5, 0.5, 1, 0, 0, 0, 0, 0, 0)
    for seed in range(5):
        dataset = PeopleClips(clips, ClipConfig(48, 1, short=64, affine=1, flip=0.5), 2, seed, calm)
        _, pha, msk = dataset[0]
        assert ((pha > 0.5) != (msk > 0)).float().mean() < 1e-3
