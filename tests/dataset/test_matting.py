"""Every layout through the generated tree, equal items whoever reads them, and damaged data."""

import re
import shutil

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dataset import (
    MATTING_SETS,
    data_paths,
    matting_dataset,
    segmentation_image_dataset,
    segmentation_video_dataset,
)
from dataset.paths import LAYOUTS
from dataset.segmentation import PairedMasks

from .conftest import damage

S, T = 32, 4


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize('name, split', [(name, split) for name in MATTING_SETS for split in LAYOUTS[name]])
def test_matting_items(paths, name, split):
    dataset = matting_dataset(name, split, paths, S, T)
    assert dataset.has_foreground == (name not in ('p3m', 'ppm100'))
    assert len(dataset) >= 2
    fgr, pha, bgr = dataset[len(dataset) - 1]
    for clip, C in ((fgr, 3), (pha, 1), (bgr, 3)):
        assert clip.shape == (T, C, S, S) and clip.dtype == torch.float32
        assert clip.min() >= 0 and clip.max() <= 1
    assert pha.max() > 0.9
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_lengths(paths):
    assert len(matting_dataset('videomatte', 'train', paths, S, 6)) == 2       # two clips of six frames
    assert len(matting_dataset('videomatte', 'train', paths, S, 4)) == 4       # starts 0 and 4 of each
    assert len(matting_dataset('imagematte', 'train', paths, S, 4)) == 6       # 4 pictures and 2 clips behind 2 photos
    assert len(matting_dataset('imgbra', 'train', paths, S, 4)) == 2           # its own 2 backgrounds
    assert len(matting_dataset('rgba', 'train', paths, S, 6)) == 3             # two folders and a video


@pytest.mark.parametrize('build', [lambda p: matting_dataset('videomatte', 'train', p, S, T, seed=3),
                                   lambda p: matting_dataset('imagematte', 'train', p, S, T, seed=3),
                                   lambda p: segmentation_video_dataset(p, S, T, seed=3),
                                   lambda p: segmentation_image_dataset(p, S, seed=3)])
def test_items_depend_on_seed_epoch_and_index_alone(paths, build):
    first, other = build(paths), build(paths)
    items = [first[index] for index in range(len(first))]
    other.set_epoch(1)
    assert not all(equal(other[index], items[index]) for index in range(len(items)))
    other.set_epoch(0)
    for index in reversed(range(len(items))):
        assert equal(other[index], items[index])


def test_validation_ignores_the_epoch(paths):
    dataset = matting_dataset('imagematte', 'valid', paths, S, T)
    before = dataset[0]
    dataset.set_epoch(5)
    assert equal(dataset[0], before)


@pytest.mark.parametrize('context', ['fork', 'spawn'])
def test_workers_give_the_same_items_and_see_the_epoch(paths, context):
    dataset = matting_dataset('videomatte', 'train', paths, 8, 2, seed=1)
    workers = 2 if context == 'fork' else 1
    loader = DataLoader(dataset, num_workers=workers, persistent_workers=True, multiprocessing_context=context)
    for epoch in range(2):
        dataset.set_epoch(epoch)
        for index, batch in enumerate(loader):
            assert equal([x[0] for x in batch], dataset[index])


# ---------------------------------------------------------------------------------------------------------- bad data

def test_missing_sets_name_the_layout_and_what_was_found(branch):
    paths = data_paths(branch('videomatte', 'imagematte'))
    with pytest.raises(FileNotFoundError, match=r'am2k \(train\).*Expected fgr/<clip>.*Found in .*imagematte, video'):
        matting_dataset('am2k', 'train', paths, S, T)
    with pytest.raises(FileNotFoundError, match=r'no backgrounds \(train\): expected pictures.*background_images'):
        matting_dataset('videomatte', 'train', paths, S, T)
    with pytest.raises(FileNotFoundError, match=r'youtubevis \(train\).*JPEGImages/<video>'):
        segmentation_video_dataset(paths, S, T)
    with pytest.raises(FileNotFoundError, match=r'coco_panoptic \(train\).*panoptic_train2017/\*.png'):
        segmentation_image_dataset(paths, S)


def test_wrong_arguments(paths):
    with pytest.raises(ValueError, match="unknown matting set 'videomat'; known: videomatte"):
        matting_dataset('videomat', 'train', paths, S, T)
    with pytest.raises(ValueError, match="split must be 'train' or 'valid', got 'test'"):
        matting_dataset('videomatte', 'test', paths, S, T)
    with pytest.raises(ValueError, match='seq_length must be at least 1, got 0'):
        matting_dataset('videomatte', 'train', paths, S, 0)


def test_foreground_without_alpha(branch):
    root = branch('videomatte', 'spd', 'background_images')
    (root / 'videomatte/train/pha/0001/0003.jpg').unlink()
    with pytest.raises(ValueError, match=r'1 pictures have no partner.*fgr/0001/0003.jpg: complete or remove'):
        matting_dataset('videomatte', 'train', data_paths(root), S, T)
    shutil.rmtree(root / 'videomatte/train/pha/0001')
    with pytest.raises(ValueError, match='6 pictures have no partner'):
        matting_dataset('videomatte', 'train', data_paths(root), S, T)
    (root / 'spd/img/0001.png').rename(root / 'spd/img/0009.png')
    with pytest.raises(ValueError, match=r"1 pictures in .* without mask, 1 masks .*'0009.png', '0001.png'"):
        PairedMasks(root / 'spd/img', root / 'spd/seg')


def test_empty_folders(branch):
    root = branch('videomatte', 'background_images')
    for role in ('fgr', 'pha'):
        shutil.rmtree(root / 'videomatte/train' / role)
        (root / 'videomatte/train' / role).mkdir()
    with pytest.raises(FileNotFoundError, match='no pictures in .*fgr: expected fgr/<clip>/<frame>.jpg'):
        matting_dataset('videomatte', 'train', data_paths(root), S, T)
    (root / 'rgba/train').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='nothing with alpha in'):
        matting_dataset('rgba', 'train', data_paths(root), S, T)


def test_corrupt_and_unlike_frames_are_skipped_and_named(branch, caplog):
    root = branch('videomatte', 'background_images')
    folder = root / 'videomatte/valid'
    damage(folder / 'fgr/0100/0001.jpg')
    Image.new('L', (50, 64)).save(folder / 'pha/0100/0002.jpg')
    dataset = matting_dataset('videomatte', 'valid', data_paths(root), S, T)
    clip = dataset.clips[0]
    frames = clip.read([0, 1, 2, 3], None, dataset.damage)
    assert [(pha == clip.read_one(3)[1]).all() for _, pha in frames] == [False, True, True, True]
    assert re.search('0001.jpg: .*', caplog.text) and '0002.jpg: is 50x64 but 0002.jpg is 96x64' in caplog.text
    assert dataset[0][1].max() > 0.9
    dataset.damage.limit = 0
    dataset.damage.paths.clear()
    with pytest.raises(RuntimeError, match='more than 0 unreadable frames, run `python -m dataset.check`'):
        dataset[0]


def test_a_worker_reports_damage_instead_of_restarting(branch):
    root = branch('imagematte', 'background_images')
    for path in (root / 'imagematte/train/fgr').iterdir():
        damage(path)
    dataset = matting_dataset('imagematte', 'train', data_paths(root), S, T)
    with pytest.raises(RuntimeError, match='none of the 2 clips or photos can be read'):
        list(DataLoader(dataset, num_workers=1))
