"""Stages run at the same time, in order, within bounds, and stop together."""

import threading
import time
from dataclasses import dataclass

import pytest

from video.pipeline import Pipeline, StageError


@dataclass
class Item:
    index: int
    value: int = 0


def run(count=20, chunk=1, compute=None, finish=None, capacity=4):
    done = []
    pipeline = Pipeline(capacity, chunk)
    stages = {'add': finish or (lambda item: Item(item.index, item.index + 1)),
              'collect': lambda item: done.append((item.index, item.value))}
    pipeline.run((Item(i) for i in range(count)), compute or (lambda items: items), stages)
    return done, pipeline


@pytest.mark.parametrize('count, chunk', [(0, 1), (1, 4), (20, 1), (20, 7), (21, 7)])
def test_order_and_count(count, chunk):
    sizes = []

    def compute(items):
        sizes.append(len(items))
        return items
    done, pipeline = run(count, chunk, compute)
    assert done == [(i, i + 1) for i in range(count)]
    assert sum(sizes) == count and all(size == chunk for size in sizes[:-1])
    assert set(pipeline.busy) == {'decode', 'network', 'add', 'collect'}


def test_stages_overlap():
    second_computed, first_may_leave = threading.Event(), []

    def compute(items):
        if items[0].index == 1:
            second_computed.set()
        return items

    def finish(item):
        if item.index == 0:                                # leaves only while the second is in the stage before
            first_may_leave.append(second_computed.wait(60))
        return item
    done, _ = run(2, compute=compute, finish=finish)
    assert first_may_leave == [True] and [index for index, _ in done] == [0, 1]


def test_memory_is_bounded():
    ahead = []

    def source():
        for i in range(100):
            ahead.append(i)
            yield Item(i)
    seen = []

    def compute(items):
        time.sleep(0.002)
        seen.append(len(ahead) - items[0].index)
        return items
    Pipeline(capacity=4).run(source(), compute, {'x': lambda item: None})
    assert max(seen) <= 7


def failing_at(index, error=ValueError):
    def stage(item):
        if item.index == index:
            raise error('boom')
        return item
    return stage


@pytest.mark.parametrize('stage', ['decode', 'network', 'add'])
def test_failure_stops_everything_and_names_the_frame(stage):
    def source():
        for i in range(1000):
            yield failing_at(7)(Item(i)) if stage == 'decode' else Item(i)
    compute = (lambda items: [failing_at(7)(item) for item in items]) if stage == 'network' else lambda items: items
    before = threading.active_count()
    with pytest.raises(StageError, match=rf'frame 7 \({stage}\): boom') as caught:
        Pipeline().run(source(), compute, {'add': failing_at(7) if stage == 'add' else lambda item: item})
    assert isinstance(caught.value.__cause__, ValueError)
    assert threading.active_count() == before


def test_interrupt_stops_the_threads():
    def compute(items):
        if items[0].index == 5:
            raise KeyboardInterrupt
        return items
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(1000, compute=compute)
    assert threading.active_count() == before
