"""Frame samplers, the random crop, and draws that depend on (seed, epoch, item) alone."""

import random

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from dataset import item_draws, random_crop
from dataset.sampling import train_frames, valid_frames, wrapped


class Scripted(random.Random):
    """Answers with given choices."""

    def __init__(self, speed, shift, reverse):
        super().__init__(0)
        self.answers = speed, shift, reverse

    def choice(self, options):
        assert self.answers[0] in options
        return self.answers[0]

    def randint(self, low, high):
        assert low == 0 and self.answers[1] <= high
        return self.answers[1]

    def random(self):
        return 0.1 if self.answers[2] else 0.9


@pytest.mark.parametrize('speed, shift, reverse, expected', [
    (1, 0, False, [0, 1, 2, 3, 4]), (0.5, 0, False, [0, 0, 1, 1, 2]), (3, 4, False, [4, 7, 10, 13, 16]),
    (5, 1, True, [21, 16, 11, 6, 1]), (0.5, 2, True, [4, 3, 3, 2, 2])])
def test_train_frames(speed, shift, reverse, expected):
    assert train_frames(5, Scripted(speed, shift, reverse)) == expected


def test_train_frames_of_one():
    assert train_frames(1, random.Random(0)) == [0]


@given(st.integers(1, 60), st.integers(0, 10 ** 6))
def test_train_frames_always(length, seed):
    frames = train_frames(length, random.Random(seed))
    steps = {b - a for a, b in zip(frames, frames[1:])}
    assert len(frames) == length and min(frames) >= 0 and max(frames) <= 5 * (length - 1) + length - 1
    assert steps <= {0, 1} or steps <= {0, -1} or len(steps) == 1


def test_every_speed_and_direction_comes():
    draws = random.Random(0)
    seen = {tuple(f - min(frames) for f in frames) for frames in (train_frames(4, draws) for _ in range(300))}
    assert len(seen) == 12


def test_valid_frames_and_wrapping():
    assert valid_frames(3) == [0, 1, 2]
    assert wrapped(4, [0, 1, 2], 6) == [4, 5, 0]


def test_draws_depend_on_seed_epoch_and_item_alone():
    first = item_draws(1, 2, 3).random()
    assert item_draws(1, 2, 3).random() == first
    assert len({item_draws(*key).random() for key in ((1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (12, 3, 1))}) == 5
    assert first == pytest.approx(0.7910137503955594), 'draws changed: runs of before cannot be resumed alike'


def test_random_crop_by_hand():
    class Sizes(random.Random):
        answers = iter([10, 14])

        def randint(self, low, high):
            assert (low, high) == (8, 15)
            return next(self.answers)
    clip, mask = torch.rand(2, 3, 3, 16, 16), torch.rand(2, 1, 1, 16, 16)
    a, b = random_crop(clip, mask, generator=Sizes())
    assert a.shape == (2, 3, 3, 14, 10) and b.shape == (2, 1, 1, 14, 10)
    whole = F.interpolate(clip.flatten(0, 1), (14, 14), mode='bilinear', align_corners=False)
    torch.testing.assert_close(a.flatten(0, 1), whole[..., 2:12])


def test_random_crop_sizes_vary():
    shapes = [random_crop(torch.rand(1, 1, 1, 20, 20), generator=random.Random(i))[0].shape[-2:] for i in range(300)]
    for axis in (0, 1):
        assert {shape[axis] for shape in shapes} == set(range(10, 20))


def test_random_crop_tiny_and_wrong():
    assert random_crop(torch.rand(1, 1, 1, 1, 1), generator=random.Random(0))[0].shape == (1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match=r'needs \(B, T, C, 8, 8\) for every tensor, got \[1, 1, 4, 4\]'):
        random_crop(torch.rand(1, 1, 1, 8, 8), torch.rand(1, 1, 4, 4), generator=random.Random(0))
