"""Frames by their times are those that a reader gives in order."""

import numpy as np
import pytest

from dataset.clips import folder_clips
from dataset.files import Damage
from tests.clips import write_clip
from video.random_access import frame_times, frames_at
from video.reader import VideoReader


@pytest.mark.parametrize('degrees', [0, 90, 180])
def test_training_sees_what_inference_sees(tmp_path, degrees):
    """swscale's defaults would be 1 to 2 of 255 darker, and leave clips of phones on their side."""
    path = write_clip(tmp_path / 'a.mp4', 12, (64, 32), options={'g': '5', 'crf': '8'},
                      prepare=lambda stream: stream.set_display_rotation(degrees) if degrees else None)
    expected = list(VideoReader(path))
    assert frame_times(path) == [frame.pts for frame in expected]
    clip, = folder_clips(tmp_path)
    for indices in ([0, 1], [7, 8, 3], [11]):
        frames = clip.read(indices, None, Damage())
        for index, (pixels,) in zip(indices, frames):
            np.testing.assert_array_equal(pixels, expected[index].pixels)
    assert clip.read([2], 16, Damage())[0][0].shape == ((16, 32, 3), (32, 16, 3))[degrees == 90][:3]


def test_frames_behind_the_end_are_missing_from_the_answer(tmp_path):
    path = write_clip(tmp_path / 'a.mp4', 4)
    times = frame_times(path)
    assert list(frames_at(path, [times[3], times[3] + 7])) == [times[3]]


def test_what_is_not_a_video(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    for call in (lambda: frame_times(tmp_path / 'a.mp4'), lambda: frames_at(tmp_path / 'a.mp4', [0])):
        with pytest.raises(ValueError, match='is not a video that FFmpeg can read'):
            call()
    with pytest.raises(ValueError, match='has no alpha channel'):
        frame_times(write_clip(tmp_path / 'b.mp4', 2), alpha=True)
