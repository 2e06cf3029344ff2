"""Masks carried to frames that have none."""

import cv2
import numpy as np
import pytest

from video.masks.filling import GONE, fill, pack, runs, unpack
from video.masks.flow import Carrier, snap, thumbnail, thumbnail_size
from video.masks.track import Entry, MaskTrack

W, H = 160, 120


class Masks:
    """Two discs that pass each other, on a textured wall, and their masks."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.wall, self.skin = (cv2.resize(rng.integers(0, 255, (H // 10, W // 10), np.uint8), (W, H),
                                           interpolation=cv2.INTER_CUBIC) for _ in range(2))

    def read(self, key: int) -> np.ndarray:
        y, x = np.mgrid[:H, :W]
        frame, person = divmod(key, 2)
        centre = (30 + 3 * frame, 35) if person == 0 else (130 - 3 * frame, 85)
        return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 22 ** 2

    def picture(self, frame: int) -> np.ndarray:
        picture = self.wall.copy()
        for person, step in ((0, 3 * frame), (1, -3 * frame)):
            mask = self.read(2 * frame + person)
            picture[mask] = np.roll(self.skin, step, 1)[mask]
        return np.repeat(picture[..., None], 3, 2)

    def matte(self, frame: int) -> np.ndarray:
        return (self.read(2 * frame) | self.read(2 * frame + 1)).astype(np.float32)


def track(source, *frames) -> MaskTrack:
    return MaskTrack(source, ('anna', 'ben'), tuple({f: Entry(2 * f + n, None) for f in own}
                                                    for n, own in enumerate(frames)))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize('snapped', [False, True])
@pytest.mark.parametrize('keys', [(0,), (7,), (0, 7), (4,)])
def test_people_are_followed(snapped, keys):
    source = Masks()
    frames = [(source.picture(f), source.matte(f) if snapped else None) for f in range(8)]
    filled = fill(track(source, keys, keys), frames)
    for frame in range(8):
        for person, mask in enumerate(filled.at(frame, (W, H))):
            assert overlap(mask, source.read(2 * frame + person)) > (0.9 if snapped else 0.6), (frame, person)


def test_masks_that_exist_stay(tmp_path):
    source = Masks()
    given = track(source, range(6), (2,))
    filled = fill(given, [(source.picture(f), None) for f in range(6)])
    for frame in range(6):
        np.testing.assert_array_equal(filled.at(frame, (W, H))[0], source.read(2 * frame))
    assert filled.filled[0] == {} and sorted(filled.filled[1]) == [0, 1, 3, 4, 5]


def test_report_says_which_frames_and_how_sure():
    source = Masks()
    filled = fill(track(source, (0, 5), range(6)), [(source.picture(f), None) for f in range(6)])
    line, = filled.report()
    assert line.startswith('masks of anna: frames 1 to 4 filled by motion from 0 and 5, sure ')
    assert all(0.5 < item.sure <= 1 for item in filled.filled[0].values())


def test_a_lost_person_is_not_sure():
    source = Masks()
    noise = np.random.default_rng(1).integers(0, 255, (6, H, W, 3), np.uint8)
    filled = fill(track(source, (0,), (0,)), [(picture, None) for picture in noise])
    assert filled.filled[0][5].sure < 0.5


def test_the_nearest_mask_is_carried_the_earlier_of_two():
    source = Masks()
    filled = fill(track(source, (1, 5), ()), [(source.picture(f), None) for f in range(8)])
    assert [filled.filled[0][f].key for f in (0, 2, 3, 4, 6, 7)] == [1, 1, 1, 5, 5, 5] and filled.filled[1] == {}


def test_who_is_gone_stays_gone():
    class Gone(Masks):
        def read(self, key):
            return np.zeros((H, W), bool) if key == 6 else super().read(key)
    source = Gone()
    filled = fill(track(source, (0, 3), range(6)), [(Masks().picture(f), None) for f in range(6)])
    assert filled.at(1, (W, H))[0].any() and not filled.at(4, (W, H))[0].any()


LAST = 15


class Leaves(Masks):
    """Anna is there up to frame 8; with `turned` the clip runs backward."""

    def __init__(self, turned: bool):
        super().__init__()
        self.turned = turned

    def read(self, key):
        frame, person = divmod(key, 2)
        frame = LAST - frame if self.turned else frame
        return np.zeros((H, W), bool) if person == 0 and frame > 8 else super().read(2 * frame + person)


@pytest.mark.parametrize('turned', [False, True])
def test_who_comes_or_goes_is_followed_as_long_as_the_matte_sees_him(turned):
    source = Leaves(turned)
    filled = fill(track(source, (0, LAST), range(LAST + 1)),
                  [(source.picture(f), source.matte(f)) for f in range(LAST + 1)])
    for frame in range(1, LAST):
        mask, true = filled.at(frame, (W, H))[0], source.read(2 * frame)
        since = (LAST - frame if turned else frame) - 8
        if since <= 0:
            assert overlap(mask, true) > 0.9, frame
        else:
            assert mask.any() == (since < GONE), frame
    assert {item.key for item in filled.filled[0].values()} == {LAST if turned else 0}


def test_snap_follows_the_matte_and_leaves_the_unseen():
    masks = np.zeros((2, 60, 80), np.float32)
    masks[0, 10:40, 10:30] = 1
    masks[1, 10:40, 50:70] = 1
    matte = np.zeros((60, 80), np.float32)
    matte[10:40, 12:32] = 1
    out = snap(masks, matte)
    np.testing.assert_array_equal(out[0] > 0, (matte > 0) & (np.arange(80) < 32))
    np.testing.assert_array_equal(out[1], masks[1])


def test_carry_of_a_still_picture_is_sure():
    grey = thumbnail(Masks().picture(0))
    mask = Masks().read(0)[None].astype(np.float32)
    moved, sure = Carrier().carry(mask, grey, grey)
    assert overlap(moved[0] > 0.5, mask[0] > 0.5) > 0.99 and sure[0] > 0.99


def test_small_things():
    assert thumbnail_size(1920, 1080) == (480, 270) and thumbnail_size(64, 48) == (64, 48)
    assert runs([1, 2, 3, 7, 9, 10]) == [[1, 2, 3], [7], [9, 10]]
    mask = Masks().read(0)
    np.testing.assert_array_equal(unpack(pack(mask), (W, H)), mask)
