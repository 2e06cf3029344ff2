"""A frame as Y, U and V, and where its colour lies."""

from dataclasses import dataclass

import av
import numpy as np
from av.video.plane import VideoPlane

from ..reader import to_rgb

SMALLEST = 32                                       # [px] sides that the site of chroma can be measured in
RAMP_START = 4                                      # [chroma samples]


@dataclass
class Planes:
    """8-bit 4:2:0, one chroma sample for two columns and two rows.

    Args:
        luma: (H, n) uint16, n at least half of the width rounded up: two columns each, the even one in the low byte.
        u, v: (H / 2 rounded up, m) uint8, m at least half of the width rounded up.
        width, height: [px].
    """

    luma: np.ndarray
    u: np.ndarray
    v: np.ndarray
    width: int
    height: int

    @classmethod
    def of_frame(cls, frame: av.VideoFrame) -> 'Planes':
        """The memory of a decoded frame, which lives as long as the planes, as it is to be shown (rotation applied)."""
        y, u, v = (lines_of(part) for part in frame.planes)
        if frame.rotation or frame.width % 2:
            widths = frame.width, (frame.width + 1) // 2
            return cls.of_arrays(*(np.rot90(lines[:, :widths[index > 0]], round(frame.rotation / 90))
                                   for index, lines in enumerate((y, u, v))))
        return cls(y.view(np.uint16), u, v, frame.width, frame.height)

    @classmethod
    def of_arrays(cls, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> 'Planes':
        """A copy of (H, W), (H / 2, W / 2), (H / 2, W / 2) uint8; an odd width repeats its last column."""
        height, width = y.shape
        y = np.pad(y, ((0, 0), (0, width % 2)), 'edge')
        return cls(np.ascontiguousarray(y).view(np.uint16), np.ascontiguousarray(u), np.ascontiguousarray(v),
                   width, height)

    @property
    def pairs(self) -> int:
        return (self.width + 1) // 2

    @property
    def y(self) -> np.ndarray:
        """(H, line) uint8."""
        return self.luma.view(np.uint8)


def lines_of(part: VideoPlane) -> np.ndarray:
    """A plane of a frame with the spare bytes at the end of every line, (h, line) uint8; writing there changes it."""
    return np.frombuffer(part, np.uint8).reshape(part.height, -1)


def chroma_site(frame: av.VideoFrame) -> tuple[float, float]:
    """Where swscale, which is told by the stream and does not tell us, takes the chroma of a frame to be.

    Two ramps take the place of the picture for a moment; where they start is seen in blue and red.

    Args:
        frame: in a format of `rule.SOURCES`, no side shorter than `SMALLEST`.
    Returns:
        Columns and rows of luma from the first of two, 0, 0.5 or 1, of the frame as it is shown (rotation applied).
    """
    frame.make_writable()
    parts = [lines_of(part) for part in frame.planes]
    kept = [lines.copy() for lines in parts]
    ramp = 96 + 8 * np.clip(np.arange(SMALLEST) - RAMP_START, 0, 8)
    parts[0][:] = 128
    parts[1][:] = np.resize(np.pad(ramp, (0, max(0, parts[1].shape[1] - SMALLEST)), 'edge'), parts[1].shape[1])
    parts[2][:] = np.resize(np.pad(ramp, (0, max(0, len(parts[2]) - SMALLEST)), 'edge'), len(parts[2]))[:, None]
    turns = round(frame.rotation / 90)
    rgb = np.rot90(to_rgb(frame), -turns).astype(float)
    for lines, old in zip(parts, kept):
        lines[:] = old
    site = _site(rgb[0, :, 2]), _site(rgb[:, 0, 0])
    for _ in range(turns % 4):
        site = site[1], 1 - site[0]
    return site


def _site(colour: np.ndarray) -> float:
    """From a row or column that is flat first and rises from chroma sample `RAMP_START` on."""
    low, columns = colour[:4].mean(), np.arange(2 * RAMP_START + 4, 2 * RAMP_START + 12)
    slope, offset = np.polyfit(columns, colour[columns], 1)
    return round(2 * ((low - offset) / slope - 2 * RAMP_START)) / 2
