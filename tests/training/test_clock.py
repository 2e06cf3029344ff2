"""Where a run stands, by epochs and by the clock."""

import pytest

from training.clock import Budget, Epochs
from training.sampler import Stream

from .toys import ToyClips


def test_epochs_end_with_the_leading_stream():
    stream = Stream(ToyClips(5), 2, 0)
    clock, taken = Epochs(stream, 3, 5, accumulate=2, save_interval=7), []
    assert (clock.length, clock.part, clock.progress, stream.epoch) == (2, 3, 0, 3)
    while not clock.finished:
        while not clock.pauses:
            taken.append(len(stream.take(2)))
            clock.tick(1.)
        clock.go_on()
    assert taken == [2, 1, 2, 1] and clock.progress == 1       # 3 batches an epoch, at most 2 an iteration
    assert [clock.saves(step) for step in (6, 7)] == [False, True]


def test_an_epoch_that_was_left_in_the_middle_is_gone_on_with():
    stream = Stream(ToyClips(5), 1, 0)
    clock = Epochs(stream, 0, 2, steps=4)
    stream.take(3)
    clock.epoch_step = 3
    again = Stream(ToyClips(5), 1, 0)
    other = Epochs(again, 0, 2, steps=4)
    again.load_state_dict(stream.state_dict())
    other.load_state_dict(clock.state_dict())
    assert (other.length, other.pauses, len(again)) == (4, False, 2)
    other.tick(1.)
    assert other.pauses and not other.finished


def test_a_budget_pauses_and_ends_by_the_clock():
    clock = Budget(2., (0.25, 0.75), save_minutes=0.5)
    pauses, parts = [], []
    while not clock.finished:
        if clock.pauses:
            pauses.append(clock.elapsed)
            clock.go_on()
            continue
        parts.append((clock.part, clock.age))
        clock.tick(20.)
    assert pauses == [40., 80., 120.] and parts == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert clock.progress == 1 and not clock.saves(500)
    again = Budget(3., (0.25, 0.75))
    again.load_state_dict(clock.state_dict())
    assert again.progress == pytest.approx(2 / 3) and not again.pauses and again.age == 4
