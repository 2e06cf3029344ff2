"""Colour matrices that FFmpeg's converter does not know (code points of ITU-T H.273, table 4)."""

from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

YCGCO = 8
UNKNOWN = {11: "Y'D'zD'x (SMPTE ST 2085)", 13: 'chromaticity-derived with constant luminance', 14: 'ICtCp',
           15: 'IPT-C2', 16: 'YCgCo-Re', 17: 'YCgCo-Ro'}


def check_matrix(path: Path, frame: av.VideoFrame) -> None:
    """
    Raises:
        ValueError: a matrix that we would get wrong.
    """
    matrix = int(frame.colorspace)
    if matrix in UNKNOWN and not frame.format.is_rgb:
        raise ValueError(f'{path}: its colour matrix, {UNKNOWN[matrix]} (tag {matrix}), cannot be converted to '
                         'RGB here: export it with BT.709 or BT.2020 colours first')


def ycgco_to_rgb(frame: av.VideoFrame, width: int, height: int, deep: bool) -> np.ndarray:
    """(height, width, 3) uint8, or uint16 with `deep`: t = Y - Cg, R = t + Co, G = Y + Cg, B = t - Co."""
    top = 65535 if deep else 255
    planes = VideoReformatter().reformat(frame, width, height, 'yuv444p16le' if deep else 'yuv444p', src_colorspace=1,
                                           dst_colorspace=1).to_ndarray()
    luma, green, orange = planes.astype(np.float32).reshape(3, height, width) / top
    unit = 256 / 65535 if deep else 1 / 255                    # one step of 8 bits
    green, orange = green - 128 * unit, orange - 128 * unit
    if frame.color_range != 2 and not frame.format.name.startswith('yuvj'):
        luma, green, orange = (luma - 16 * unit) / (219 * unit), green / (224 * unit), orange / (224 * unit)
    rest = luma - green
    rgb = np.stack([rest + orange, luma + green, rest - orange], axis=-1)
    return (rgb.clip(0, 1) * top + 0.5).astype(np.uint16 if deep else np.uint8)
