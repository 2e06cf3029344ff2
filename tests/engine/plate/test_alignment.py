"""The plate on a camera that moved: motions found, refused, smoothed."""

import cv2
import numpy as np
import pytest

from engine.plate.alignment import (
    STILL,
    Aligner,
    Corners,
    check_motion,
    estimate,
    find_corners,
    frame_corners,
    match_corners,
    move,
    warp_plate,
)

SIZE = 480, 320


@pytest.fixture(scope='module')
def scene():
    """A room of boxes and noise, rich in corners."""
    draws = np.random.default_rng(0)
    picture = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    for _ in range(120):
        x, y, w, h = draws.integers(0, 440), draws.integers(0, 290), draws.integers(8, 70), draws.integers(8, 70)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), draws.integers(0, 255, 3).tolist(), -1)
    return cv2.GaussianBlur(picture, (0, 0), 0.8)


def motion(angle=0., dx=0., dy=0., scale=1.):
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), angle, scale)
    matrix[:2, 2] += dx, dy
    return matrix


def filmed(scene, matrix, person=True):
    """What the moved camera sees, with somebody in a fifth of it."""
    frame = cv2.warpPerspective(scene, matrix, SIZE, borderMode=cv2.BORDER_REFLECT)
    if person:
        draws = np.random.default_rng(1)
        frame[80:320, 180:300] = cv2.GaussianBlur(draws.integers(0, 255, (240, 120, 3), np.uint8), (0, 0), 3)
    return frame


@pytest.mark.parametrize('matrix', [motion(), motion(dx=7.3, dy=-4.6), motion(angle=1.5), motion(scale=1.03),
                                    motion(angle=-1, dx=5, dy=3, scale=0.98)])
def test_a_small_motion_is_found_to_a_quarter_of_a_pixel(scene, matrix):
    found = estimate(find_corners(scene), find_corners(filmed(scene, matrix)), SIZE)
    assert found.applied and found.reason == '' and found.inliers >= 12
    errors = np.linalg.norm(move(found.matrix, frame_corners(SIZE)) - move(matrix, frame_corners(SIZE)), axis=1)
    assert errors.max() < 0.25 and errors.mean() < 0.15


def test_large_pictures_are_compared_small_and_answered_in_their_own_pixels(scene):
    large = cv2.resize(scene, (1920, 1280), interpolation=cv2.INTER_CUBIC)
    matrix = np.eye(3)
    matrix[:2, 2] = 21, -13
    frame = cv2.warpPerspective(large, matrix, (1920, 1280), borderMode=cv2.BORDER_REFLECT)
    found = estimate(find_corners(large), find_corners(frame), (1920, 1280))
    assert np.abs(move(found.matrix, frame_corners((1920, 1280))) - frame_corners((1920, 1280))
                  - [21, -13]).max() < 0.5


@pytest.mark.parametrize('matrix, reason', [
    (motion(dx=60), 'moves a corner of the picture by 60 pixels'), (motion(scale=0.8), 'scales the picture to 64%'),
    (motion(angle=8), 'moves a corner'), (np.diag([1., -1, 1]), 'scales the picture|folds'),
    (np.array([[1, 0, 0], [0, 1, 0], [-1 / 200, 0, 1]]), 'folds')])
def test_what_is_no_small_motion_is_not_applied(matrix, reason):
    import re
    assert re.search(reason, check_motion(matrix, SIZE))


def test_too_few_corners_degenerate_ones_and_another_scene_are_identity_with_a_reason(scene):
    flat = np.full_like(scene, 90)
    assert len(find_corners(flat).points) == 0
    found = estimate(find_corners(flat), find_corners(scene), SIZE)
    assert not found.applied and np.array_equal(found.matrix, np.eye(3)) and 'only 0 corners' in found.reason
    corners = find_corners(scene)
    line = Corners(np.repeat(corners.points[:1], len(corners.points), 0), corners.descriptors)
    assert not estimate(corners, line, SIZE).applied
    other = cv2.resize(np.random.default_rng(5).integers(0, 255, (80, 120, 3), np.uint8), SIZE,
                       interpolation=cv2.INTER_CUBIC)
    found = estimate(corners, find_corners(other), SIZE)
    assert not found.applied and found.reason


def test_matches_are_by_hamming_distance_and_unambiguous():
    a = np.zeros((2, 32), np.uint8)
    a[1] = 255
    near = a.copy()
    near[0, 0], near[1, 0] = 1, 254
    points = np.zeros((2, 2))
    assert match_corners(Corners(points, a), Corners(points, near)).tolist() == [[0, 0], [1, 1]]
    twins = np.zeros((2, 32), np.uint8)      # equally far: no match
    assert len(match_corners(Corners(points, a[:1].repeat(2, 0)), Corners(points, twins))) == 0


def test_aligner_caches_the_plate_and_leaves_it_alone_when_the_camera_stands_still(scene, monkeypatch):
    calls = []
    monkeypatch.setattr('engine.plate.alignment.find_corners', lambda x: calls.append(x) or find_corners(x))
    aligner = Aligner(scene)
    assert aligner.align(filmed(scene, motion())) is scene
    assert aligner.align(filmed(scene, motion(dx=STILL / 2))) is scene
    assert len(calls) == 3                   # the plate once


def test_aligned_plate_fits_and_the_frame_fills_what_the_plate_does_not_show(scene):
    frame = filmed(scene, motion(dx=6, dy=4), person=False)
    plate = Aligner(scene).align(frame)
    inner = np.abs(plate[8:-8, 8:-8].astype(int) - frame[8:-8, 8:-8]).mean()
    unaligned = np.abs(scene[8:-8, 8:-8].astype(int) - frame[8:-8, 8:-8]).mean()
    assert inner < 0.35 * unaligned
    assert np.array_equal(plate[:3, :], frame[:3, :]) and np.array_equal(plate[:, :5], frame[:, :5])


def test_motion_is_smoothed_and_kept_over_frames_that_tell_nothing(scene):
    aligner = Aligner(scene)
    aligner.align(filmed(scene, motion(dx=4)))
    first = aligner._moved.copy()
    aligner.align(filmed(scene, motion(dx=9)))
    assert 0.5 < (aligner._moved - first)[:, 0].mean() < 1.8        # a fifth of the way
    before = aligner._moved.copy()
    aligner.align(np.full_like(scene, 128))
    assert not aligner.last.applied and np.array_equal(aligner._moved, before)
    aligner.reset()
    assert aligner.align(np.full_like(scene, 128)) is scene


def test_deep_frames_and_warp_keep_their_type(scene):
    deep = scene.astype(np.uint16) * 257
    assert Aligner(deep).align(cv2.warpPerspective(deep, motion(dx=5), SIZE)).dtype == np.uint16
    moved = warp_plate(deep, deep, motion(dx=5))
    assert moved.dtype == np.uint16 and np.array_equal(moved[:, :5], deep[:, :5])
