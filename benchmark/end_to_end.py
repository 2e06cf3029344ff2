"""Timing the whole conversion of a video, beside the plain way of doing it."""

import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np
import torch
from torch import nn

from cli.memory import peak_memory_mb
from converter.conversion import Conversion, ConversionReport
from engine.matter import Matter
from model.interface import interface_of
from video.background import RVM_GREEN
from video.frame import ColorTags, StreamInfo
from video.inputs import open_reader
from video.outputs import EncodingOptions, plan_outputs
from video.writer import VideoFileWriter

from .machine import EnergyMeter

BIT_RATE = 4_000_000       # [bit/s] of the composition
FRAME_RATE = Fraction(30)
WARM_UP_FRAMES = 4
DRIFT = 64                 # [px] how far the scene moves to and fro


@dataclass
class EndToEndTiming:
    """How fast a clip becomes a composition in H.264."""

    frames: int
    fps: float                                  # median of the runs, from opening the input to the finished file
    fps_of_runs: list[float]
    start_up_seconds: float                     # folding, compiling, and the first few frames; not part of fps
    stage_seconds: dict[str, float]             # busy time of each stage in the median run; they overlap
    bottleneck: str
    peak_memory_mb: float | None                # see `cli.memory`; the baseline, if any, included
    energy_per_frame_j: float | None
    energy_source: str
    baseline_fps: float | None = None           # median of the runs of `convert_plainly`
    baseline_fps_of_runs: list[float] | None = None
    speed_up: float | None = None               # fps / baseline_fps


def write_clip(path: Path, width: int, height: int, frames: int) -> None:
    """A drifting textured scene with a dark figure that walks through it, as H.264; sides are rounded up to even."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (18, 32, 3), np.uint8)
    scene = cv2.resize(coarse, (width + DRIFT, height), interpolation=cv2.INTER_CUBIC)
    scene = cv2.add(scene, rng.integers(0, 24, scene.shape, np.uint8))          # grain, as cameras have
    info = StreamInfo(width, height, FRAME_RATE, 1 / FRAME_RATE, color=ColorTags(1, 1, 1))
    writer = VideoFileWriter(path, info)
    try:
        for index in range(frames):
            left = DRIFT - abs(DRIFT - 2 * index % (2 * DRIFT))
            picture = np.ascontiguousarray(scene[:, left:left + width])
            x, y = int(width * (0.3 + 0.4 * index / frames)), height
            cv2.ellipse(picture, (x, y), (width // 8, int(height * 0.55)), 0, 0, 360, (60, 40, 90), -1, cv2.LINE_AA)
            cv2.circle(picture, (x, int(height * 0.33)), max(1, height // 8), (190, 150, 130), -1, cv2.LINE_AA)
            writer.write_frame(picture, index)
        writer.close()
    except BaseException:
        writer.abort()
        raise


def convert(matter: Matter, clip: Path, output: Path, seq_chunk: int = 1) -> tuple[float, ConversionReport]:
    """What `convert_video` does, with a Matter that is kept: it starts, and compiles, only once.

    Returns:
        Seconds from opening the input to the finished file, and the report.
    """
    started = time.perf_counter()
    outputs = plan_outputs({'composition': output}, clip, 'auto', None, has_background=False, overwrite=True)
    report = Conversion(open_reader(clip), matter, outputs, EncodingOptions(bit_rate=BIT_RATE), seq_chunk=seq_chunk,
                        progress=False).run()
    return time.perf_counter() - started, report


@torch.no_grad()
def convert_plainly(model: nn.Module, clip: Path, output: Path, ratio: float) -> float:
    """The baseline: what public converters do. One frame after the other, in one thread of Python, all in float32.

    Args:
        model: in eval mode, float32, as loaded.
    Returns:
        Seconds from opening the input to the finished file.
    """
    started = time.perf_counter()
    device = next(model.parameters()).device
    bgr = torch.tensor(RVM_GREEN, device=device).float().div(255).view(1, 1, 3, 1, 1)
    rec = interface_of(model).first_states()
    with av.open(str(clip)) as source, av.open(str(output), 'w') as target:
        video = source.streams.video[0]
        stream = target.add_stream('libx264', rate=video.average_rate, options={'preset': 'medium'})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = video.width, video.height, 'yuv420p', BIT_RATE
        for frame in source.decode(video):
            pixels = torch.from_numpy(frame.to_ndarray(format='rgb24')).permute(2, 0, 1).contiguous()
            src = pixels.float().div(255)[None, None].to(device)                             # (1, 1, 3, H, W)
            fgr, pha, *rec = model(src, *rec, ratio)
            com = fgr * pha + bgr * (1 - pha)
            for picture in com[0].mul(255).byte().cpu().permute(0, 2, 3, 1).numpy():
                target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        target.mux(stream.encode())
    return time.perf_counter() - started


def time_end_to_end(model: nn.Module, folder: Path, size: tuple[int, int], ratio: float, device: torch.device,
                    dtype: torch.dtype, engine: str = 'torch', frames: int = 100, repeats: int = 1, seq_chunk: int = 1,
                    baseline: bool = False) -> EndToEndTiming:
    """Convert a generated clip, and the same clip plainly, in turn.

    Args:
        model: float32, in eval mode.
        folder: for the clip and the results.
        size: (W, H) [px].
        frames: of the clip.
        repeats: runs of each; a loaded machine drifts, so the two take turns.
    """
    clip, short, output = folder / 'clip.mp4', folder / 'short.mp4', folder / 'composition.mp4'
    write_clip(clip, *size, frames)
    write_clip(short, *size, WARM_UP_FRAMES)
    plain = model.to(device)
    started = time.perf_counter()
    matter = Matter(model, ratio, device=device, dtype=dtype, engine=engine)
    convert(matter, short, output, seq_chunk)
    start_up = time.perf_counter() - started
    if baseline:
        convert_plainly(plain, short, output, ratio)
    ours: list[tuple[float, ConversionReport]] = []
    plain_seconds: list[float] = []
    joules: float | None = 0.0
    for _ in range(repeats):
        with EnergyMeter(device) as meter:
            ours.append(convert(matter, clip, output, seq_chunk))
        joules = None if meter.joules is None or joules is None else joules + meter.joules
        if baseline:
            plain_seconds.append(convert_plainly(plain, clip, output, ratio))
    seconds = [second for second, _ in ours]
    report = min(ours, key=lambda run: abs(run[0] - median(seconds)))[1]
    timing = EndToEndTiming(report.frames, report.frames / median(seconds), [report.frames / s for s in seconds],
                            start_up, report.stage_seconds, report.bottleneck, peak_memory_mb(device),
                            None if joules is None else joules / (repeats * report.frames), meter.source)
    if baseline:
        timing.baseline_fps = report.frames / median(plain_seconds)
        timing.baseline_fps_of_runs = [report.frames / s for s in plain_seconds]
        timing.speed_up = timing.fps / timing.baseline_fps
    return timing
