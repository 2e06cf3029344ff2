"""People in videos and pictures, as masks."""


import numpy as np
import pytest

from dataset import data_paths, matting_dataset, segmentation_image_dataset, segmentation_video_dataset, synthetic
from dataset.segmentation import CocoPersons
from dataset.youtubevis import YouTubeVIS, decode_runs

from .conftest import damage

S, T = 32, 4


def test_segmentation_video(paths):
    dataset = segmentation_video_dataset(paths, S, T)
    img, seg = dataset[7]
    assert len(dataset) == 12 and img.shape == (T, 3, S, S) and seg.shape == (T, 1, S, S)
    assert set(seg.unique().tolist()) == {0, 1} and img.is_contiguous()
    _, mask = YouTubeVIS(**paths['youtubevis']['train'], size=S, seq_length=T).read(1, 3)
    assert (mask == (synthetic.figure(1, 3, 96, 64)[1] > 127) * 255).all()


def test_segmentation_images(paths, branch):
    dataset = segmentation_image_dataset(paths, S)
    assert len(dataset) == 4  # two of COCO with a person, two of SPD
    for index in range(4):
        img, seg = dataset[index]
        assert img.shape == (3, S, S) and seg.shape == (1, S, S) and set(seg.unique().tolist()) == {0, 1}
    assert len(segmentation_image_dataset(data_paths(branch('spd')), S)) == 2


def test_coco_mask_takes_in_the_backpack(paths):
    _, mask = CocoPersons(**paths['coco_panoptic']['train']).read(1)
    assert (mask == (synthetic.figure(1, 0, 96, 64)[1] > 127) * 255).all()


def test_run_lengths_by_hand():
    assert decode_runs(np.array([1, 2, 3]), 3, 2).tolist() == [[False, False], [True, False], [True, False]]
    for seed in range(20):
        mask = np.random.default_rng(seed).random((5, 7)) > 0.5
        assert (decode_runs(np.array(synthetic.encode_runs(mask)), 5, 7) == mask).all()


def test_photos_and_masks_beside_the_project(shared, tmp_path):
    """Real photos through a YAML file: any two folders whose names agree are a set."""
    people, file = shared / 'data' / 'people', tmp_path / 'paths.yaml'
    if not people.is_dir():
        pytest.skip(f'needs {people}')
    file.write_text(f'root: {shared}\n'
                    f'imagematte: {{train: {{fgr: {people}/photos, pha: {people}/masks}}}}\n'
                    f'background_images: {{train: {{dir: {shared}/data/backgrounds}}}}\n')
    dataset = matting_dataset('imagematte', 'train', data_paths(file=file), 64, 3)
    assert len(dataset) == len(list((people / 'masks').glob('*.png'))) and not dataset.moving
    for index in (0, 400):
        fgr, pha, bgr = dataset[index]
        assert 0.02 < pha.mean() < 0.8 and fgr.std() > 0.05 and bgr.std() > 0.02


# ------------------------------------------------------------------------------------------------------- determinism


def test_damaged_segmentation_pictures(branch, caplog):
    root = branch('spd', 'youtubevis')
    damage(root / 'spd/img/0000.png')
    dataset = segmentation_image_dataset(data_paths(root), S)
    assert dataset[0][1].max() == 1 and 'img/0000.png' in caplog.text
    damage(root / 'youtubevis/train/JPEGImages/0000/00002.jpg')
    assert segmentation_video_dataset(data_paths(root), S, 6)[0][0].shape == (6, 3, S, S)
    assert '00002.jpg' in caplog.text
    damage(root / 'spd/img/0001.png')
    with pytest.raises(RuntimeError, match='no picture with a mask can be read'):
        segmentation_image_dataset(data_paths(root), S)[0]
