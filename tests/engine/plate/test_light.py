"""Exposure and white balance of the plate."""

import cv2
import numpy as np
import pytest

from engine.plate.light import LIMITS, apply_gains, gains, match_light


@pytest.fixture(scope='module')
def plate():
    draws = np.random.default_rng(0)
    return cv2.resize(draws.integers(40, 180, (30, 40, 3), np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)


def lit(plate, factors):
    return np.rint((plate * np.float32(factors)).clip(0, 255)).astype(np.uint8)


def test_gain_per_channel_is_found_around_a_person(plate):
    frame = lit(plate, (1.15, 0.9, 1.05))
    frame[60:, 100:220] = (250, 20, 20)                              # somebody, a third of the picture
    assert gains(plate, frame) == pytest.approx((1.15, 0.9, 1.05), abs=0.02)
    matched = match_light(plate, frame).astype(int)
    assert np.abs(matched[:50] - frame[:50]).mean() < 1.5


def test_person_that_fills_most_of_the_picture_needs_the_matte(plate):
    frame = lit(plate, (1.2, 1.2, 1.2))
    frame[40:, 20:] = (90, 60, 50)
    pha = np.zeros((120, 160), np.float32)
    pha[20:, 10:] = 1
    assert gains(plate, frame, pha) == pytest.approx((1.2, 1.2, 1.2), abs=0.02)
    assert abs(gains(plate, frame)[0] - 1.2) > 0.1


def test_nothing_to_compare_changes_nothing(plate):
    assert gains(np.zeros_like(plate), plate).tolist() == [1, 1, 1]
    assert gains(plate, plate, np.ones((240, 320), np.float32)).tolist() == [1, 1, 1]
    assert match_light(plate, plate) is plate


def test_gains_are_bounded_and_deep_plates_stay_deep(plate):
    assert gains(plate, (plate * 0.3).astype(np.uint8))[0] in (pytest.approx(LIMITS[0]), 1)
    deep = plate.astype(np.uint16) * 257
    brighter = apply_gains(deep, np.float32([1.1, 1, 1]))
    assert brighter.dtype == np.uint16
    assert np.abs(brighter[..., 0] - deep[..., 0] * 1.1).max() <= 0.51
