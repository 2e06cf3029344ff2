"""Cameras and networks whose timing a test decides."""

import threading
import time

import torch

from engine.matter import Matter
from live.cameras import FileCamera
from live.capture import Capture
from tests.clips import BrightnessNetwork
from video.frame import Frame, StreamInfo


class PatientCamera(FileCamera):
    """Waits until each frame was taken: nothing is dropped, however slow the machine."""

    capture: Capture

    def frames(self, stop):
        for frame in self._reader:
            while self.capture._newest is not None and not stop.is_set():
                time.sleep(0.001)
            yield frame


def patient_capture(path) -> Capture:
    camera = PatientCamera(path)
    capture = camera.capture = Capture(camera)
    return capture


class ScriptedCamera:
    """Gives what a generator of pixels gives, which may wait for events, raise, or end."""

    name, ends, notes = 'scripted', True, []

    def __init__(self, pictures, info: StreamInfo):
        self._pictures, self.info, self.closed = pictures, info, False

    def frames(self, stop):
        for index, pixels in enumerate(self._pictures):
            yield Frame(pixels, index, index)

    def close(self):
        self.closed = True


class GatedMatter(Matter):
    """Says when it begins with a frame and goes on when it is told to."""

    def __init__(self):
        super().__init__(BrightnessNetwork())
        self.entered, self.go = threading.Event(), threading.Event()

    def predict(self, frames):
        self.entered.set()
        assert self.go.wait(20)
        return super().predict(frames)


class DescribedNetwork(BrightnessNetwork):
    """As commands want it."""

    def describe(self) -> str:
        return 'brightness'


class DyingNetwork(DescribedNetwork):
    """Out of order after some frames."""

    def __init__(self, frames: int):
        super().__init__()
        self.register_buffer('left', torch.tensor(frames))

    def forward(self, *args, **kwargs):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError('the accelerator is gone')
        return super().forward(*args, **kwargs)
