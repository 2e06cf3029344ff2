"""Generated clips and small networks for tests."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import nn


def picture(index: int, width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8: smooth colours with a bright disc that moves; codecs keep it well."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    background = np.stack([60 + 80 * x / width, 90 + 60 * y / height, np.full_like(x, 110)], axis=-1)
    center = width * (0.3 + 0.02 * index), height * 0.5
    disc = np.clip(min(width, height) * 0.3 - np.hypot(x - center[0], y - center[1]) + 0.5, 0, 1)[..., None]
    return (background * (1 - disc) + np.float32([220, 190, 160]) * disc).round().astype(np.uint8)


def write_clip(path: Path, frames: int = 12, size: tuple[int, int] = (64, 48), rate: Fraction | int = 25,
               codec: str = 'libx264', pix_fmt: str = 'yuv420p', pts: list[int] | None = None,
               time_base: Fraction | None = None, audio: str | None = None, prepare=None, matrix: int | None = None,
               options: dict | None = None, make=picture, start: int = 0) -> Path:
    """A video of `frames` pictures whose clock begins at `start` [s]; `prepare(stream)` may set more."""
    width, height = size
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=rate, options=options or ({'crf': '8'} if codec == 'libx264' else {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if time_base is not None:
            stream.time_base = stream.codec_context.time_base = time_base
        if matrix is not None:
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = matrix
            context.color_range = 1
        if prepare is not None:
            prepare(stream)
        sound = None
        if audio is not None:
            sound = container.add_stream(audio, rate=48000)
            sound.layout = 'stereo'
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(make(index, width, height), 'rgb24')
            if matrix is not None:
                frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix)
            frame.pts = index + start * rate if pts is None else pts[index]
            frame.time_base = time_base or 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            seconds = frames / Fraction(rate)
            count = int(seconds * 48000)
            tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(count) / 48000)).astype(np.float32)
            for first in range(0, count, 1024):
                block = np.repeat(tone[None, first:first + 1024], 2, axis=0)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), 'fltp', 'stereo')
                frame.sample_rate, frame.pts, frame.time_base = 48000, first + start * 48000, Fraction(1, 48000)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def read_times(path: Path) -> list[Fraction]:
    """Presentation times [s] of every frame."""
    with av.open(str(path)) as container:
        return [frame.pts * Fraction(frame.time_base) for frame in container.decode(video=0)]


class BrightnessNetwork(nn.Module):
    """A recurrent network without weights to train: alpha is the smoothed brightness, so states matter.

    Answers like MattingNetwork: `fgr, pha, *rec = model(src, *rec, downsample_ratio)`.
    """

    def __init__(self, memory: float = 0.5):
        super().__init__()
        self.memory = nn.Parameter(torch.tensor(memory))

    def forward(self, src, r1=None, r2=None, r3=None, r4=None, downsample_ratio=1.0):
        frames = src if src.dim() == 5 else src[:, None]
        state, phas = r1, []
        for t in range(frames.size(1)):
            light = ((frames[:, t].mean(1, keepdim=True) - 0.45) * 5).clamp(0, 1)
            state = light if state is None else self.memory * state + (1 - self.memory) * light
            phas.append(state)
        pha = torch.stack(phas, 1)
        empty = state[:, :, :1, :1]
        return [src, pha if src.dim() == 5 else pha[:, 0], state, empty, empty, empty]
