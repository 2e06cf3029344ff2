"""The plate beside every frame: size, type, light, and warnings."""

import cv2
import numpy as np
import pytest

from engine.plate.cue import WATCHED, PlateCue, as_type, fit_plate


@pytest.fixture(scope='module')
def room():
    draws = np.random.default_rng(0)
    return cv2.resize(draws.integers(40, 180, (24, 32, 3), np.uint8), (256, 192), interpolation=cv2.INTER_CUBIC)


def test_plates_of_another_size_are_fitted():
    plate = np.zeros((100, 200, 3), np.uint8)
    plate[:, 100:] = 200
    same, note = fit_plate(plate, (200, 100))
    assert same is plate and note == ''
    small, note = fit_plate(plate, (100, 50))
    assert small.shape == (50, 100, 3) and note == 'background plate is 200x100, the frames 100x50: resized'
    cut, note = fit_plate(plate, (50, 50))
    assert cut.shape == (50, 50, 3) and 'its middle was cut' in note
    assert cut[:, :20].max() == 0 and cut[:, 30:].min() == 200


def test_types():
    deep = np.uint16([[[0, 257, 65535]]])
    assert as_type(as_type(deep, np.uint8), np.uint16).tolist() == deep.tolist()


def test_plate_of_the_frames_size_and_type(room):
    cue = PlateCue(room, align=False, light=False)
    assert cue.at(room) is room and cue.notes == []
    deep = np.zeros((96, 128, 3), np.uint16)
    plate = cue.at(deep)
    assert plate.dtype == np.uint16 and plate.shape == deep.shape
    assert cue.notes == ['background plate is 256x192, the frames 128x96: resized']


def test_light_is_followed_calmly(room):
    cue = PlateCue(room, align=False)
    darker, brighter = ((room * factor).round().astype(np.uint8) for factor in (0.9, 1.2))
    assert np.abs(cue.at(darker).astype(int) - darker).mean() < 1
    after = cue.at(brighter)
    assert np.abs(after.astype(int) - room * 0.93).mean() < 2            # a tenth of the way
    cue.reset()
    assert np.abs(cue.at(brighter).astype(int) - brighter).mean() < 1


def test_a_camera_that_moved_is_followed(room):
    frame = cv2.warpAffine(room, np.float32([[1, 0, 5], [0, 1, -3]]), (256, 192), borderMode=cv2.BORDER_REFLECT)
    cue = PlateCue(room, light=False)
    inside = slice(8, -8)
    assert np.abs(cue.at(frame)[inside, inside].astype(int) - frame[inside, inside]).mean() < 2


def test_a_plate_of_another_scene_is_told(room):
    cue = PlateCue(room, align=False, light=False)
    for _ in range(WATCHED):
        cue.watch(np.full((48, 64), 0.9, np.float32))
    assert len(cue.notes) == 1 and cue.notes[0].startswith('WARNING: 90% of the picture is foreground: does the')
    calm = PlateCue(room)
    for _ in range(WATCHED):
        calm.watch(np.full((48, 64), 0.5, np.float32))
    assert calm.notes == []


def test_a_camera_that_cannot_be_followed_is_told_once(room):
    cue = PlateCue(room, light=False)
    for _ in range(WATCHED + 3):
        assert cue.at(np.full_like(room, 100)) is room
    assert len(cue.notes) == 1 and 'used where it stands, because only' in cue.notes[0]
