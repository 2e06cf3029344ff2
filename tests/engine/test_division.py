"""Dividing one matte between people."""

import numpy as np

from engine.division import divide, in_front, shares

H, W = 120, 200


def squares() -> np.ndarray:
    masks = np.zeros((2, H, W), bool)
    masks[0, 20:100, 20:100] = True
    masks[1, 20:100, 100:180] = True
    return masks


def test_each_gets_their_own():
    pha = np.ones((H, W), np.float32)
    own = divide(pha, squares())
    assert own[0, 60, 60] > 0.999 and own[1, 60, 60] < 1e-3
    assert own[1, 60, 140] > 0.999 and own[0, 60, 140] < 1e-3
    np.testing.assert_allclose(own[:, 60, 99:101].sum(0), 1, atol=1e-5)        # nothing is lost at the border


def test_soft_edges_stay():
    """Hair outside of a mask keeps its alpha, and goes to the nearest person."""
    pha = np.zeros((H, W), np.float32)
    pha[20:100, 20:100] = 1
    pha[14:20, 30:90] = 0.4
    own = divide(pha, squares()[:1])
    np.testing.assert_allclose(own[0, 16:20, 40:80], 0.4, atol=1e-5)


def test_who_is_far_from_every_mask_is_nobody():
    pha = np.ones((H, W), np.float32)
    own = divide(pha, squares()[:1])
    assert own[0, 60, 170] == 0


def test_the_first_is_in_front():
    masks = np.zeros((2, H, W), bool)
    masks[0, 40:80, 60:120] = True
    masks[1, 20:100, 20:180] = True
    own = divide(np.ones((H, W), np.float32), masks)
    assert own[0, 60, 90] > 0.999 and own[1, 60, 90] < 1e-3 and own[1, 60, 30] > 0.999
    own = divide(np.ones((H, W), np.float32), masks[::-1])
    assert own[0, 60, 90] > 0.999 and own[1].max() < 0.51
    assert in_front(masks).sum(0).max() == 1


def test_sum_is_never_more_than_the_matte():
    rng = np.random.default_rng(0)
    pha = rng.random((H, W), np.float32)
    masks = rng.random((12, H, W)) > 0.7                    # more people than any network has slots for
    own = divide(pha, masks)
    assert own.min() >= 0 and (own.sum(0) <= pha + 1e-5).all()


def test_nobody_there():
    own = divide(np.ones((H, W), np.float32), np.zeros((2, H, W), bool))
    assert own.max() == 0


def test_large_frames_are_measured_small():
    masks = squares().repeat(12, 1).repeat(12, 2)                               # 2400x1440
    own = shares(masks)
    assert own.shape == masks.shape and own[0, 720, 720] > 0.999
    assert shares(masks, (200, 120)).shape == (2, 120, 200)
