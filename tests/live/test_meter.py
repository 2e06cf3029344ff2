"""Numbers worked out by hand."""

import pytest

from live.meter import Meter


def test_live_numbers_look_back_one_second():
    meter = Meter()
    assert meter.fps() == 0 and meter.latency() == 0
    for index in range(31):                              # 10 frames per second for 3 s, at 20 ms and later at 50 ms
        shown = index / 10
        meter.add(shown - (0.02 if index < 15 else 0.05), shown)
    assert meter.fps() == pytest.approx(10)
    assert meter.latency() == pytest.approx(0.05)


def test_summary():
    meter = Meter()
    assert meter.summary() == {'frames': 0, 'seconds': 0.0, 'fps': 0.0}
    for index, latency in enumerate([0.010, 0.020, 0.030, 0.040, 0.100]):
        meter.add(index / 2 - latency, index / 2)
    assert meter.summary() == pytest.approx({
        'frames': 5, 'seconds': 2.0, 'fps': 2.0, 'latency_ms_median': 30, 'latency_ms_95': 88, 'latency_ms_max': 100})
