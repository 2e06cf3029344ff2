"""The live loop: newest frame, network, background, every output, keys; over and over."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction

import numpy as np
import torch

from cli.command import EXPECTED_ERRORS, one_line
from engine.matter import Matter
from engine.plate import PlateCue
from engine.plate.cue import as_type
from video.images import resize_pixels
from video.render import Renderer

from .backgrounds import BackgroundCycle
from .cameras import CameraError
from .capture import Capture, Captured
from .meter import Meter
from .overlay import draw_overlay
from .plate_taker import PlateTaker
from .recording import Recording
from .virtual_camera import VirtualCamera
from .window import Window

SILENCE = 5.0      # [s] without a frame: the camera is gone, even where its driver says nothing
PATIENCE = 0.02    # [s] how soon keys are noticed while no frame comes
WARM_UP = 2        # calls of the network before the camera starts: the first ones are slow everywhere
STOPPING = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name)]
KEYS = 'b background, a alpha, r reset, o overlay, q quit'
PLATE_KEYS = f'b takes the plate, n{KEYS[1:]}'      # of a network with a background plate


@dataclass
class LiveReport:
    """What happened in a session."""

    camera: str
    frames: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    latency_ms_median: float = 0.0
    latency_ms_95: float = 0.0
    latency_ms_max: float = 0.0
    dropped: int = 0
    error: str = ''
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """The line printed at the end."""
        return (f'{self.frames} frames in {self.seconds:.1f} s, {self.fps:.2f} fps; latency median '
                f'{self.latency_ms_median:.0f} ms, 95 % below {self.latency_ms_95:.0f} ms, largest '
                f'{self.latency_ms_max:.0f} ms; {self.dropped} late frames of the camera dropped')

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


class LiveSession:
    """One session, from the first frame to the last.

    Args:
        capture: not yet started.
        matter: network with its states.
        backgrounds: of the composition.
        recording, window, virtual_camera: outputs; None leaves one out.
        input_resize: (W, H) [px] of every frame before anything else.
        overlay: show numbers in the window at first.
        mirror: show the window, and nothing else, like a mirror.
        max_frames, duration: end after so many shown frames, or seconds.
        plates: for a network with a background plate; until there is one, the window shows the camera's picture and
            the virtual camera, behind which others are, a black one.
    """

    def __init__(self, capture: Capture, matter: Matter, backgrounds: BackgroundCycle,
                 recording: Recording | None = None, window: Window | None = None,
                 virtual_camera: VirtualCamera | None = None, input_resize: tuple[int, int] | None = None,
                 overlay: bool = True, mirror: bool = False, max_frames: int | None = None,
                 duration: float | None = None, plates: PlateTaker | None = None):
        self.plates = plates
        self.capture, self.matter, self.backgrounds = capture, matter, backgrounds
        self.recording, self.window, self.virtual_camera = recording, window, virtual_camera
        self.input_resize, self.overlay, self.mirror = input_resize, overlay, mirror
        self.max_frames, self.duration = max_frames, duration
        self.show_alpha, self.meter = False, Meter()
        self.info = capture.camera.info
        self._first_pts, self._quit = None, threading.Event()

    def warm_up(self) -> None:
        """Run everything on black frames before `run`, so that the first real one does not wait for it.

        Raises:
            ValueError: a ratio or network that does not suit the camera's size.
        """
        black = resize_pixels(np.zeros((self.info.height, self.info.width, 3), np.uint8), self.input_resize)
        plate = self.matter.plate
        if self.plates is not None and plate is None:
            self.matter.plate = PlateCue(black)
        for _ in range(WARM_UP):
            self._render(black, Fraction(0))
        self.matter.plate = plate
        self.matter.reset()

    def run(self) -> LiveReport:
        """Until the camera ends, a limit is reached, somebody quits, or a signal comes. The recording is finished then,
        also after an error, which the report tells."""
        report = LiveReport(self.capture.camera.name, notes=list(self.capture.camera.notes))
        self.capture.start()
        try:
            with _signals_set(self._quit):
                self._loop()
        except EXPECTED_ERRORS as error:
            report.error = one_line(error)
        except KeyboardInterrupt:
            if self.recording is not None:
                self.recording.abort()
            raise
        except Exception:
            self._finish_recording(report)      # a bug must not cost anybody an hour of recording
            raise
        finally:
            for part in (self.capture, self.window, self.virtual_camera):
                if part is not None:
                    part.close()
        self._finish_recording(report)
        for name, value in self.meter.summary().items():
            setattr(report, name, value)
        report.dropped = self.capture.dropped
        report.notes += self.matter.notes
        return report

    def _finish_recording(self, report: LiveReport) -> None:
        if self.recording is None:
            return
        try:
            report.notes += self.recording.close()
        except EXPECTED_ERRORS as error:
            report.error = report.error or one_line(error)
        except KeyboardInterrupt:
            self.recording.abort()
            raise

    def _loop(self) -> None:
        started = heard = time.perf_counter()
        while not self._quit.is_set():
            captured = self.capture.take(PATIENCE)
            now = time.perf_counter()
            if captured is not None:
                heard = now
                self._show(captured)
            elif self.capture.error is not None:
                raise self.capture.error
            elif self.capture.ended:
                return
            elif now - heard > SILENCE and not self.capture.camera.ends:
                raise CameraError(f'{self.capture.camera.name} has given no picture for {SILENCE:g} s')
            self._obey_keys()
            if self.max_frames is not None and len(self.meter.latencies) >= self.max_frames:
                return
            if self.duration is not None and time.perf_counter() - started >= self.duration:
                return

    def _show(self, captured: Captured) -> None:
        """One frame through everything."""
        frame = captured.frame
        self._first_pts = frame.pts if self._first_pts is None else self._first_pts
        elapsed = (frame.pts - self._first_pts) * self.info.time_base
        pixels = resize_pixels(frame.pixels, self.input_resize)
        if self.plates is not None and (taken := self.plates.offer(pixels)) is not None:
            self.matter.plate = PlateCue(taken)
            self.matter.reset()
        rendered = None if self.waits_for_plate else self._render(pixels, elapsed)
        picture = as_type(pixels, np.uint8) if rendered is None else rendered[
            'alpha' if self.show_alpha else 'composition', 8]
        if picture.shape[2] == 1:
            picture = np.repeat(picture, 3, axis=2)
        if self.virtual_camera is not None:
            self.virtual_camera.show(np.zeros_like(picture) if rendered is None else picture)
        if self.window is not None:
            picture = np.ascontiguousarray(picture[:, ::-1]) if self.mirror else picture
            lines = [*(self._lines(frame.pixels.shape) if self.overlay else []), *self.plate_lines()]
            self.window.show(draw_overlay(picture, lines) if lines else picture)
        self.meter.add(captured.time, time.perf_counter())
        if self.recording is not None and rendered is not None:
            self.recording.write(rendered, frame.pts)

    @property
    def waits_for_plate(self) -> bool:
        """There is none yet, or a new one is being taken: nothing can be cut out, nothing is recorded."""
        return self.plates is not None and (self.plates.busy or self.matter.plate is None)

    def plate_lines(self) -> list[str]:
        """Always in the window: nobody may overlook that a plate is in use, or missing."""
        if self.plates is None:
            return []
        if self.plates.busy:
            return [line for line in (self.plates.line(), self.plates.note) if line]
        if self.matter.plate is None:
            return ['no background plate yet: press b, then leave the picture']
        warnings = [note for note in self.matter.notes if note.startswith('WARNING')]
        return ['background plate in use, b takes a new one', *warnings]

    def _render(self, pixels: np.ndarray, elapsed: Fraction) -> dict[tuple[str, int], np.ndarray]:
        wanted = [('alpha' if self.show_alpha else 'composition', 8)]
        wanted += self.recording.wanted if self.recording is not None else []
        with torch.inference_mode():
            return Renderer(wanted, self.backgrounds)(self.matter.predict([pixels])[0], pixels, elapsed)

    def _lines(self, shape: tuple[int, ...]) -> list[str]:
        H, W = shape[:2]
        W, H = self.input_resize or (W, H)
        inner = self.matter.internal_size(W, H)
        return [f'{self.meter.fps():.1f} fps   latency {self.meter.latency() * 1000:.0f} ms   '
                f'dropped {self.capture.dropped}',
                f'{W}x{H}, in the network {inner[0]}x{inner[1]}, {self.matter.device} '
                f'{str(self.matter.dtype).removeprefix("torch.")}',
                'alpha' if self.show_alpha else f'background {self.backgrounds.name}',
                KEYS if self.plates is None else PLATE_KEYS]

    def _obey_keys(self) -> None:
        if self.window is None:
            return
        for key in self.window.pressed_keys():
            self.press(key)
        if self.window.closed:
            self._quit.set()

    def press(self, key: str) -> None:
        """What a hot key does; other keys do nothing."""
        if key == 'b' and self.plates is not None:
            self.plates.begin()
        elif key in ('b', 'n'):
            self.backgrounds.next()
        elif key == 'a':
            self.show_alpha = not self.show_alpha
        elif key == 'r':
            self.matter.reset()
        elif key == 'o':
            self.overlay = not self.overlay
        elif key in ('q', 'escape'):
            self._quit.set()


@contextmanager
def _signals_set(event: threading.Event) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or end of the terminal sets `event`; a second one interrupts whatever still runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number, frame):
        if event.is_set():
            raise KeyboardInterrupt
        event.set()
    before = {number: signal.signal(number, ask) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
