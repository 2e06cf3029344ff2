"""One clip from input to outputs: wiring of reader, matter, renderer and writers."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from engine.matter import Matter
from engine.prediction import Prediction
from video.background import Background
from video.frame import Frame
from video.images import resize_pixels
from video.inputs import Reader
from video.kinds import check_answered
from video.outputs import EncodingOptions, Output, OutputSet, resized
from video.pipeline import Pipeline
from video.planes.rule import why_not_planes
from video.planes.source import plane_frames
from video.reader import VideoReader
from video.render import Renderer

if TYPE_CHECKING:
    from video.planes.render import PlaneRenderer


@dataclass
class ConversionReport:
    """What happened to one input."""

    input: str
    outputs: list[str]
    status: str = 'done'                      # done, damaged (converted up to the damage), failed, skipped
    frames: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    downsample_ratio: float = 0.0
    internal_size: tuple[int, int] = (0, 0)   # [px] width, height inside the network
    stage_seconds: dict[str, float] = field(default_factory=dict)
    bottleneck: str = ''
    why_not_planes: str = ''                  # why the fast path (`video.planes`) was not taken; '': it was
    notes: list[str] = field(default_factory=list)
    error: str = ''

    def summary(self) -> str:
        """The line printed at the end."""
        share = self.stage_seconds[self.bottleneck] / self.seconds if self.seconds else 0
        return (f'{self.frames} frames in {self.seconds:.1f} s, {self.fps:.2f} fps; slowest stage: {self.bottleneck} '
                f'(busy {min(share, 1):.0%} of the time)')

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


@dataclass
class Rendered:
    """A frame on its way from the renderer to the encoders."""

    index: int
    pts: int
    pictures: dict | list             # as `OutputSet.write` takes them
    duration: int | None = None


class Conversion:
    """Convert one clip.

    Args:
        reader: of the input.
        matter: network with its states; they are reset before the first frame.
        outputs: as planned.
        background: of the composition.
        input_resize: (W, H) [px] for every decoded frame.
        seq_chunk: frames per call of the network.
        progress: show a bar; or a function called with (frames done, frames expected or None), which may raise to stop.
    """

    def __init__(self, reader: Reader, matter: Matter, outputs: list[Output], options: EncodingOptions,
                 background: Background | None = None, premultiply: bool = False,
                 input_resize: tuple[int, int] | None = None, seq_chunk: int = 1,
                 progress: bool | Callable[[int, int | None], None] = True):
        if seq_chunk < 1:
            raise ValueError(f'seq_chunk must be at least 1 frame, got {seq_chunk}')
        self.reader, self.matter, self.planned, self.options = reader, matter, outputs, options
        self.background, self.premultiply = background, premultiply
        self.input_resize, self.seq_chunk, self.progress = input_resize, seq_chunk, progress
        self.why_not_planes = 'several people are drawn'     # where `open_outputs` has no choice
        self.shows_bar = bool(progress) and not callable(progress)
        self.info = resized(reader.info, input_resize)
        matter.check_size(self.info.width, self.info.height)
        shown = matter.interface.shown(dict.fromkeys(matter.interface.outputs))
        check_answered([output.kind for output in outputs], shown)
        self.notes: list[str] = list(getattr(reader, 'notes', []))

    def run(self) -> ConversionReport:
        """Convert; outputs appear when all of them are complete, and not at all after an error or Ctrl-C."""
        started = time.perf_counter()
        self.matter.reset()
        if self.background is not None:
            self.background.restart()
        source = self.reader.path if isinstance(self.reader, VideoReader) else None
        self.writers, self.renderer = self.open_outputs(source)
        self.first_pts, self.count = None, 0
        self.described, self.chosen = not self.shows_bar, len(self.matter.notes)
        self.bar = tqdm(total=self.info.frame_count, unit='frame', dynamic_ncols=True,
                        disable=None if self.shows_bar else True)      # None: silent where nobody watches
        pipeline = Pipeline(chunk=self.seq_chunk)
        # Two teams of threads as large as the machine would wait for each other: rendering takes a quarter.
        threads = torch.get_num_threads()
        self.render_threads = max(1, threads // 4)
        try:
            pipeline.run(self._frames(), self._matte, {'render': self._render, 'encode': self._encode})
            closing = time.perf_counter()
            self.writers.close()
            pipeline.busy['encode'] += time.perf_counter() - closing
        except BaseException:
            self.writers.abort()
            raise
        finally:
            self.bar.close()
            torch.set_num_threads(threads)
        return self._report(time.perf_counter() - started, pipeline.busy)

    def open_outputs(self, source: Path | None) -> tuple[OutputSet, 'Renderer | PlaneRenderer']:
        """The writers, and what draws for them; `source` is the video whose audio they carry, or None."""
        writers = OutputSet(self.planned, self.info, self.options, source)
        size = self.info.width, self.info.height
        self.why_not_planes = why_not_planes(self.info, writers.targets, self.matter.small_size(*size),
                                             self.input_resize is not None)
        if self.why_not_planes:
            return writers, Renderer(writers.wanted, self.background, self.premultiply)
        from video.planes.render import PlaneRenderer  # compiled by an optional package
        return writers, PlaneRenderer(writers.targets, size, self.background, self.premultiply)

    def describe(self) -> str:
        """What goes in and what the network will see: the explanation of many a bad matte."""
        width, height = self.info.width, self.info.height
        inner_width, inner_height = self.matter.internal_size(width, height)
        return (f'{self.reader.path}: {width}x{height}, {float(self.info.frame_rate):.6g} fps; inside the network '
                f'{inner_width}x{inner_height} (ratio {self.matter.ratio_for(width, height):.3g}), '
                f'{self.matter.engine.label}; full size as '
                f'{f"pixels: {self.why_not_planes}" if self.why_not_planes else "planes"}')

    def _frames(self):
        for frame in self.reader if self.why_not_planes else plane_frames(self.reader):
            frame.pixels = resize_pixels(frame.pixels, self.input_resize)
            if self.first_pts is None:
                self.first_pts = frame.pts
            yield frame

    def _matte(self, frames: list[Frame]) -> list['Predicted']:
        """Frames of one size go through the network together; when the GPU is full, in smaller groups."""
        results, start = [], 0
        while start < len(frames):
            group = next(_runs_of_one_size(frames[start:start + self.seq_chunk]))
            try:
                predictions = self.matter.predict([frame.pixels for frame in group])
            except torch.cuda.OutOfMemoryError:
                if self.seq_chunk == 1:
                    raise
                torch.cuda.empty_cache()
                self.seq_chunk = max(1, self.seq_chunk // 2)
                self.notes.append(f'the GPU ran out of memory: continued with {self.seq_chunk} frames at a time')
                continue
            if not self.described:                      # now that the first scene was looked at
                tqdm.write(self.describe())
                self.described = True
            results += [Predicted(frame, prediction) for frame, prediction in zip(group, predictions, strict=True)]
            start += len(group)
        return results

    def _render(self, item: 'Predicted') -> Rendered:
        elapsed = (item.frame.pts - self.first_pts) * self.info.time_base
        torch.set_num_threads(self.render_threads)      # of this thread; the network keeps all of its own
        with torch.inference_mode():
            return Rendered(item.index, item.frame.pts, self.renderer(item.prediction, item.frame.pixels, elapsed),
                            item.frame.duration)

    def _encode(self, item: Rendered) -> None:
        self.writers.write(item.pictures, item.pts, item.duration)
        self.count += 1
        self.bar.update()
        if callable(self.progress):
            self.progress(self.count, self.info.frame_count)

    def _report(self, seconds: float, busy: dict[str, float]) -> ConversionReport:
        size = self.info.width, self.info.height
        report = ConversionReport(
            str(self.reader.path), [str(output.path) for output in self.planned],
            'damaged' if self.reader.damage else 'done', self.count, seconds, self.count / seconds,
            self.matter.ratio_for(*size), self.matter.internal_size(*size), busy, max(busy, key=busy.get),
            self.why_not_planes, self.notes + self.matter.notes[self.chosen:] + self.writers.notes)
        if self.reader.damage:
            report.error = self.reader.damage
        return report


def _runs_of_one_size(frames: list[Frame]):
    return (list(run) for _, run in groupby(frames, key=lambda frame: frame.pixels.shape[:2]))


@dataclass
class Predicted:
    """A frame with what the network says about it."""

    frame: Frame
    prediction: Prediction

    @property
    def index(self) -> int:
        return self.frame.index
