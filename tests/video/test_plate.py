"""Plates from pictures, videos and the clip itself; what is refused, in one line."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from tests.clips import write_clip
from video.frame import Frame
from video.plate import PlateError, check_plate, first_frames, median, median_of, plate_for, read_plate


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'room.png'), pixels[..., ::-1])
    return tmp_path / 'room.png', pixels


def test_a_picture_is_read_as_it_is(picture):
    assert np.array_equal(read_plate(picture[0]), picture[1])
    assert read_plate(picture[1]) is picture[1]


def frames(count, moving=lambda t: None):
    for t in range(count):
        pixels = np.full((8, 40, 3), 100, np.uint8)
        moving(pixels, t)
        yield Frame(pixels, t, t)


def test_median_forgets_who_walks_through():
    def walk(pixels, t):
        pixels[:, t:t + 8] = 250
    assert (median_of(frames(33, walk)) == 100).all()


def test_median_takes_frames_of_the_whole_clip_and_not_all_of_them():
    seen = []

    def count(pixels, t):
        pixels[:] = t
    pixels = median_of((seen.append(f.index) or f for f in frames(100, count)), count=8)
    assert len(seen) == 100
    assert abs(int(pixels[0, 0, 0]) - 50) < 16


def test_median_in_bands_is_the_median(monkeypatch):
    monkeypatch.setattr('video.plate.BAND', 500)
    stack = [np.random.default_rng(i).integers(0, 65535, (20, 30, 3), np.uint16) for i in range(5)]
    assert np.array_equal(median(stack), np.median(np.stack(stack), axis=0).astype(np.uint16))


def test_the_first_seconds_of_the_clip(tmp_path):
    path = tmp_path / 'clip.mp4'
    write_clip(path, 20, rate=10, make=lambda t, width, height: np.full((height, width, 3), 40 + 8 * t, np.uint8))
    assert len(list(first_frames(path, 1.0))) == 10
    plate = read_plate('first:1.0', path)
    assert abs(int(plate.mean()) - (40 + 8 * 4.5)) < 10
    assert abs(int(read_plate(path).mean()) - (40 + 8 * 9.5)) < 20      # a video: all of it


def test_a_folder_of_plates_is_paired_by_name(tmp_path, picture):
    (tmp_path / 'plates').mkdir()
    for name in ('a.png', 'b.JPG', 'c.png', 'c.mp4', 'notes.txt'):
        (tmp_path / 'plates' / name).write_bytes(picture[0].read_bytes())
    assert plate_for(tmp_path / 'plates', tmp_path / 'b.mp4').name == 'b.JPG'
    assert np.array_equal(read_plate(tmp_path / 'plates', tmp_path / 'a.mov'), picture[1])
    for clip, found in (('d.mp4', 'has none'), ('c.mp4', 'has c.mp4, c.png')):
        with pytest.raises(PlateError, match=found):
            plate_for(tmp_path / 'plates', tmp_path / clip)


@pytest.mark.parametrize('plate, message', [
    ('nowhere.jpg', 'background plate nowhere.jpg: no such file; give a picture'),
    ('first:', 'seconds above 0, such as first:1.0, got first:'), ('first:-1', 'got first:-1'),
    ('first:nan', 'got first:nan')])
def test_what_is_no_plate(plate, message):
    with pytest.raises((PlateError, FileNotFoundError), match=message):
        check_plate(plate)


def test_unreadable_plates_and_folders(tmp_path):
    (tmp_path / 'broken.jpg').write_text('no picture')
    (tmp_path / 'broken.mp4').write_text('no video')
    for name, message in (('broken.jpg', 'not an image'), ('broken.mp4', 'not a video'),
                          ('', 'is a folder: give one picture')):
        with pytest.raises(ValueError, match=message) as error:
            read_plate(tmp_path / name)
        assert '\n' not in str(error.value)
    with pytest.raises(PlateError, match='needs a clip'):
        read_plate('first:1')
    with pytest.raises(PlateError, match=r'must be \(H, W, 3\)'):
        read_plate(np.zeros((4, 4), np.uint8))


def test_a_video_that_changes_its_size():
    with pytest.raises(PlateError, match='the size of the video changes'):
        median_of(Frame(np.zeros((4, 4 + t, 3), np.uint8), t, Fraction(t)) for t in range(2))
