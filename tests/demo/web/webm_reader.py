"""Reads WebM files with transparency as players do: FFmpeg's own vp9 decoder would drop alpha without a word."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def read_webm(path: Path, codec: str = 'libvpx-vp9') -> tuple[list[Fraction], np.ndarray]:
    """Times [s] and frames (N, H, W, 4) uint8 RGBA, straight alpha."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create(codec, 'r')
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
        times = [frame.pts * Fraction(stream.time_base) for frame in frames]
        return times, np.stack([to_rgba(frame) for frame in frames])


def to_rgba(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 4) uint8; alpha 255 where the frame has none."""
    alpha = plane(frame, 3) if len(frame.planes) == 4 else np.full((frame.height, frame.width), 255, np.uint8)
    return np.dstack([frame.to_ndarray(format='rgb24'), alpha])


def plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    data = frame.planes[index]
    return np.frombuffer(data, np.uint8).reshape(-1, data.line_size)[:frame.height, :frame.width]
