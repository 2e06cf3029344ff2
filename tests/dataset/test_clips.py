"""Clips by index: pictures and videos, with alpha or without."""

import av
import numpy as np
import pytest

from dataset import data_paths, matting_dataset, synthetic
from dataset.clips import VideoClip, folder_clips, paired_clips, rgba_clips
from dataset.files import Damage

from .conftest import damage

S, T = 32, 4


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
