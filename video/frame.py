"""What travels from a reader to a writer."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class ColorTags:
    """How RGB became YUV, as the code points of ITU-T H.273 (2 = unspecified)."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False

    def resolved(self, height: int) -> 'ColorTags':
        """Fill what a file leaves open, as players do: BT.709 from 720 lines up, BT.601 below."""
        guess = 1 if height >= 720 else 6
        return ColorTags(guess if self.matrix in (0, 2) else self.matrix,
                         guess if self.primaries == 2 else self.primaries,
                         guess if self.transfer == 2 else self.transfer, self.full_range)

    @property
    def sws_matrix(self) -> int:
        """The matrix as swscale numbers it: both names of BT.601 are 5, BT.2020 constant luminance is unsupported."""
        if self.matrix == 12:                       # derived from the primaries, which have a matrix of their own
            return {9: 9, 5: 5, 6: 5}.get(self.primaries, 1)
        return {6: 5, 10: 9, 8: 1}.get(self.matrix, self.matrix)                   # 8: see `color.ycgco_to_rgb`


@dataclass(frozen=True)
class StreamInfo:
    """What a writer must know of its source. Sizes are those of the decoded frames, rotation applied."""

    width: int                        # [px]
    height: int                       # [px]
    frame_rate: Fraction              # [1/s], the nominal rate; presentation times are exact and may vary
    time_base: Fraction               # [s], unit of every pts
    sample_aspect_ratio: Fraction = Fraction(1)
    bit_depth: int = 8                # of the source; above 8, frames are uint16
    color: ColorTags = ColorTags()
    frame_count: int | None = None    # as the container promises; None when it does not say
    clock_start: Fraction = Fraction(0)   # [s] time that an output calls zero
    is_video: bool = True             # False: a folder of images or one image
    pixel_format: str = ''            # of the decoder, as FFmpeg calls it
    is_turned: bool = False           # the decoder gives pictures that are to be rotated


@dataclass(frozen=True)
class Target:
    """What an encoder takes as it is. Size: [px], that of the pictures, or one more where sides must be even."""

    pixel_format: str                 # as FFmpeg calls it
    width: int
    height: int
    tags: ColorTags                   # matrix and range that it is written with
    left_chroma: bool                 # chroma lies on the even columns, not between two


@dataclass
class Frame:
    """One decoded picture."""

    pixels: np.ndarray                # (H, W, 3) RGB, uint8 or uint16
    index: int
    pts: int                          # presentation time in units of StreamInfo.time_base
    name: str = ''                    # file name, for images
    duration: int | None = None       # how long it is shown, in the same unit, where the file says so
