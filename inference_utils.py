"""Readers and writers for video files and image folders, and the object that mattes frame by frame.

For people who write their own loop:

    reader, matter = VideoReader('in.mp4'), Matter(model)
    with VideoWriter('out.mp4', reader.frame_rate) as writer:
        for frame in reader:
            fgr, pha = matter.step(frame.pixels)
            writer.write(fgr * pha)                      # (3, H, W) or (T, 3, H, W) in [0, 1]

The parts live in `video/`; this file is their front door.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from engine.matter import Matter
from engine.sizes import auto_ratio
from video.background import parse_background
from video.formats import DEFAULT_CRF
from video.frame import ColorTags, Frame, StreamInfo
from video.images import ImageFolderWriter, ImageSequenceReader
from video.reader import VideoReader
from video.render import interleave, quantise
from video.writer import VideoFileWriter

__all__ = ['ColorTags', 'Frame', 'ImageSequenceReader', 'ImageSequenceWriter', 'Matter', 'StreamInfo', 'VideoReader',
           'VideoWriter', 'auto_ratio', 'parse_background']


class TensorWriter:
    """Shared by the two writers: takes (C, H, W) or (T, C, H, W) tensors, closes as a context manager.

    Leaving the `with` block by an exception removes the unfinished output.
    """

    def write(self, frames: Tensor) -> None:
        """Append frames.

        Args:
            frames: (T, C, H, W) or (C, H, W) in [0, 1], C = 1 grey, 3 RGB or 4 RGB with straight alpha.
        """
        if frames.dim() not in (3, 4) or frames.size(-3) not in (1, 3, 4):
            raise ValueError(f'frames must be (T, C, H, W) or (C, H, W) with 1, 3 or 4 channels, '
                             f'got shape {list(frames.shape)}')
        for planes in frames.reshape(-1, *frames.shape[-3:]):
            C, H, W = planes.shape
            depth = self._depth(C, H, W)
            pixels = np.empty((H, W, C), np.uint8 if depth == 8 else np.uint16)
            interleave(quantise(planes.detach().float().clamp(0, 1), depth), pixels)
            self._writer.write_frame(pixels, self._count)
            self._count += 1

    def close(self) -> None:
        """Complete the output and move it to its name."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.close()
        elif self._writer is not None:
            self._writer.abort()


class VideoWriter(TensorWriter):
    """Frames at a constant rate into a video file; the first frame fixes size and channels.

    Args:
        path: .mp4, .m4v, .mov, .webm or .mkv.
        frame_rate: [1/s], best as a Fraction (30000/1001).
        bit_rate: [bit/s], or None for constant quality `crf`.
        codec, crf: see `video.writer.VideoFileWriter`.
        audio_from: a file whose audio to copy; only in step when frames keep its rate.
    """

    def __init__(self, path: str | Path, frame_rate: float | Fraction, bit_rate: int | None = None,
                 codec: str | None = None, crf: int = DEFAULT_CRF, audio_from: str | Path | None = None):
        self._rate = Fraction(frame_rate).limit_denominator(1001)
        self._arguments = path, {'codec': codec, 'crf': crf, 'bit_rate': bit_rate, 'audio_from': audio_from}
        self._writer, self._count = None, 0

    def _depth(self, C: int, H: int, W: int) -> int:
        if self._writer is None:
            path, settings = self._arguments
            info = StreamInfo(W, H, self._rate, 1 / self._rate, color=ColorTags(1, 1, 1))
            self._writer = VideoFileWriter(path, info, C, **settings)
        return self._writer.bit_depth


class ImageSequenceWriter(TensorWriter):
    """Frames into a folder of numbered images (0000.png, ...)."""

    def __init__(self, path: str | Path, extension: str = 'png', start_number: int = 0):
        self._writer, self._count = ImageFolderWriter(path, f'.{extension.lstrip(".")}', start_number), 0

    def _depth(self, C: int, H: int, W: int) -> int:
        return 8
