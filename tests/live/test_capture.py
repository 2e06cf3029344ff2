"""Only the newest frame is kept, each is given once, and the end is told."""

import threading
import time

import numpy as np

from live.cameras import CameraError
from live.capture import Capture
from tests.live.fakes import ScriptedCamera
from video.frame import StreamInfo

INFO = StreamInfo(4, 4, 25, 1)


def test_late_frames_are_dropped():
    three_given, taken = threading.Event(), threading.Event()

    def pictures():
        for value in (1, 2, 3):
            yield np.full((4, 4, 3), value, np.uint8)
        three_given.set()
        taken.wait(20)
        yield np.full((4, 4, 3), 4, np.uint8)
    capture = Capture(ScriptedCamera(pictures(), INFO))
    capture.start()
    assert three_given.wait(20)
    newest = capture.take(20)
    assert newest.frame.index == 2 and newest.frame.pixels[0, 0, 0] == 3 and capture.dropped == 2
    assert newest.time <= time.perf_counter()
    assert capture.take(0.01) is None and not capture.ended           # each frame once
    taken.set()
    assert capture.take(20).frame.index == 3
    assert capture.take(20) is None and capture.ended and capture.error is None and capture.dropped == 2
    capture.close()
    assert capture.camera.closed


def test_an_error_is_kept_for_the_one_who_takes():
    def pictures():
        yield np.zeros((4, 4, 3), np.uint8)
        raise CameraError('unplugged')
    capture = Capture(ScriptedCamera(pictures(), INFO))
    capture.start()
    while not capture.ended:
        time.sleep(0.001)
    assert capture.take(1).frame.index == 0             # the last picture is still worth showing
    assert capture.take(1) is None and str(capture.error) == 'unplugged'


def test_a_camera_that_hangs_does_not_hold_the_program(monkeypatch):
    released = threading.Event()

    def pictures():
        released.wait(30)
        yield np.zeros((4, 4, 3), np.uint8)
    capture = Capture(ScriptedCamera(pictures(), INFO))
    capture.start()
    started = time.perf_counter()
    capture.close()
    assert time.perf_counter() - started < 10 and not capture.camera.closed
    released.set()
