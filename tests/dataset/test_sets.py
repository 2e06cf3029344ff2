"""Every layout through the generated tree, equal items whoever reads them, and damaged data."""

import re
import shutil

import av
import numpy as np
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
    synthetic,
)
from dataset.clips import VideoClip, folder_clips, paired_clips, rgba_clips
from dataset.files import Damage
from dataset.paths import LAYOUTS
from dataset.segmentation import CocoPersons, PairedMasks
from dataset.youtubevis import YouTubeVIS, decode_runs

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


def test_video_and_pictures_with_alpha_are_the_same(paths):
    clips, moving = rgba_clips(paths['rgba']['train']['rgba'])
    assert moving and [clip.name for clip in clips] == ['0000', '0001', 'figure.mov'] and len(clips[2]) == 6
    frames = [5, 0, 3, 3]
    folder, video = (clip.read(frames, None, Damage()) for clip in (clips[0], clips[2]))
    for (fgr, pha), (video_fgr, video_pha) in zip(folder, video):
        assert (fgr == video_fgr).all() and (pha == video_pha).all() and pha.shape == (64, 96)


def test_valid_frames_are_those_of_the_files(paths):
    clips, _ = paired_clips(paths['videomatte']['valid']['fgr'], paths['videomatte']['valid']['pha'])
    (_, first), (_, second) = clips[0].read([0, 5], None, Damage())
    assert np.abs(first.astype(int) - synthetic.figure(100, 0, 96, 64)[1]).mean() < 2
    assert np.abs(second.astype(int) - synthetic.figure(100, 5, 96, 64)[1]).mean() < 2


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

def damage(path):
    path.write_bytes(path.read_bytes()[:100])


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


def test_a_video_cut_off_is_replaced_by_the_next_clip(branch, caplog):
    root = branch('rgba', 'background_videos')
    paths = data_paths(root)
    write_video(root / 'background_videos/train/cut.mkv', codec='ffv1', pix_fmt='bgr0')
    dataset = matting_dataset('rgba', 'train', paths, S, T)
    for path in (root / 'rgba/train/figure.mov', root / 'background_videos/train/cut.mkv'):
        damage(path)
    fgr, pha, _ = dataset[len(dataset) - 1]
    assert fgr.shape == (T, 3, S, S) and pha.max() > 0.9 and 'figure.mov' in caplog.text
    for index in range(len(dataset)):
        dataset[index]
    dataset.backgrounds.clips = dataset.backgrounds.clips[-1:]
    with pytest.raises(RuntimeError, match='none of the 1 background clips can be read'):
        dataset[0]


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


def write_video(path, frames=30, codec='libx264', pix_fmt='yuv420p'):
    """Frame t is grey of value 8 t; key frames far apart."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25, options={'g': '12', 'bf': '2'} if codec == 'libx264' else {})
        stream.width, stream.height, stream.pix_fmt = 32, 24, pix_fmt
        for t in range(frames):
            pixels = np.full((24, 32, 4), 8 * t, np.uint8)
            pixels[:, :16, 3] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, 'rgba').reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    return path


def test_video_frames_by_index(tmp_path):
    write_video(tmp_path / 'grey.mp4')
    clip, = folder_clips(tmp_path)
    assert isinstance(clip, VideoClip) and len(clip) == 30
    for frames in ([0, 1, 2], [25, 5, 15], [29], [13, 13, 0], list(range(29, -1, -1))):
        values = [frame.mean() / 8 for frame, in clip.read(frames, 16, Damage())]
        assert np.abs(np.array(values) - frames).max() < 0.6
    assert clip.read([0], 12, Damage())[0][0].shape == (12, 16, 3)


@pytest.mark.parametrize('codec, pix_fmt, name', [('libvpx-vp9', 'yuva420p', 'a.webm'), ('ffv1', 'bgra', 'a.mkv'),
                                                  ('prores_ks', 'yuva444p10le', 'a.mov')])
def test_videos_with_alpha(tmp_path, codec, pix_fmt, name):
    write_video(tmp_path / name, 5, codec, pix_fmt)
    (clip,), moving = rgba_clips(tmp_path)
    _, pha = clip.read([4], None, Damage())[0]
    assert moving and pha[:, :14].min() > 245 and abs(pha[:, 18:].mean() - 32) < 6


def test_videos_that_cannot_be_used(tmp_path, caplog):
    write_video(tmp_path / 'a.mp4')
    with pytest.raises(ValueError, match=r'a.mp4 has no alpha channel \(pixel format yuv420p\)'):
        rgba_clips(tmp_path)
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    with pytest.raises(ValueError, match='a.mp4 is not a video that FFmpeg can read'):
        folder_clips(tmp_path)
