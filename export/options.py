"""What the user may choose about an export."""

from dataclasses import dataclass, field

import numpy as np

from engine.sizes import auto_ratio
from model.interface import INFERENCE_SIZE

PRECISIONS = ('fp32', 'fp16', 'int8')
SHAPES = ('dynamic', 'static')


@dataclass(frozen=True)
class ExportOptions:
    """Checks itself.

    Args:
        size: (width, height) [px] of frames: fixed in a static file, an example otherwise.
        downsample_ratio: fixed in a static file, an example otherwise; None chooses it from the sizes.
        precision: a name in `PRECISIONS`.
        shapes: a name in `SHAPES`.
        calibration: (H, W, 3) uint8 frames of `size`: what int8 quantisation takes its ranges from, and fp16 is
            searched for overflow with.
        inference_size: [px] long side inside the network that a chosen ratio gives.
        refines: the network has a part for full size, which files of small frames keep too: a chosen ratio is at most
            one half, above which that part has nothing to do.
    Raises:
        ValueError: naming the flag.
    """

    size: tuple[int, int]
    downsample_ratio: float | None = None
    precision: str = 'fp32'
    shapes: str = 'dynamic'
    calibration: list[np.ndarray] = field(default_factory=list)
    inference_size: int = INFERENCE_SIZE
    refines: bool = False

    def __post_init__(self):
        if min(self.size) < 1:
            raise ValueError(f'--size must be two positive numbers, got {self.size[0]} {self.size[1]}')
        if self.precision not in PRECISIONS:
            raise ValueError(f'--precision must be one of {", ".join(PRECISIONS)}, got {self.precision!r}')
        if self.shapes not in SHAPES:
            raise ValueError(f'shapes must be one of {", ".join(SHAPES)}, got {self.shapes!r}')
        if min(self.size) * self.ratio < 1:
            raise ValueError(f'--downsample-ratio {self.ratio:g} leaves no pixel of a {self.size[0]}x{self.size[1]} '
                             'frame: use a larger one')

    @property
    def ratio(self) -> float:
        """The ratio, chosen from the size when it was not given."""
        return self.downsample_ratio or min(auto_ratio(*self.size, self.inference_size), 0.5 if self.refines else 1.)

    @property
    def static(self) -> bool:
        """For frames of one size."""
        return self.shapes == 'static'
