"""From a frame's planes and the coefficients of its small picture to what the encoders take."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import av
import numpy as np
from torch import Tensor

from ..background import Background, ColorBackground
from ..frame import Target
from .backgrounds import PlaneBackground
from .colors import decoding, encoding
from .frames import ALPHA, STRAIGHT, WHOLE, render_frame
from .picture import PlanePicture
from .planes import lines_of

# columns 2 k, 2 k - 1, 2 k + 1 of two rows: chroma on the even column, or between it and the next
LEFT, CENTRE = np.float32([0.25, 0.125, 0.125]), np.float32([0.25, 0, 0.25])
NONE = np.empty((0, 0), np.uint16)


class Prediction(Protocol):
    """What a network says about a frame: `engine.prediction.SmallPrediction`.

    Attributes:
        coefficients: (8, h, w) float32 of `model.guided_filter`, on the CPU.
    """

    coefficients: Tensor

    def small_alpha(self) -> np.ndarray:
        """(h, w) float32 alpha, at any size."""


class PlaneRenderer:
    """Renders frame after frame, as `video.render.Renderer` does in RGB.

    Args:
        wanted: kind of every output, in `rule.KINDS`, and what its encoder takes, of `rule.TARGETS`.
        size: (W, H) [px] of the source.
        background: what stands behind the composition.
        premultiply: multiply the colour of 'rgba' by alpha (straight alpha otherwise).
    """

    def __init__(self, wanted: Sequence[tuple[str, Target]], size: tuple[int, int],
                 background: Background | None = None, premultiply: bool = False):
        self.size, self.premultiply = size, premultiply
        self._outputs = [(kind, target, PlaneBackground(
            background or ColorBackground() if kind == 'composition' else ColorBackground((0, 0, 0)),
            target.tags, target.left_chroma)) for kind, target in wanted]

    def __call__(self, prediction: Prediction, picture: PlanePicture,
                 time: Fraction = Fraction(0)) -> list[av.VideoFrame]:
        """Render one frame.

        Args:
            prediction: of this frame.
            time: [s] of the frame, for moving backgrounds.
        Returns:
            A frame for every output.
        Raises:
            ValueError: a frame of another size: compiled loops would not notice.
        """
        height, width = picture.shape[:2]
        if (width, height) != self.size:
            raise ValueError(f'a frame is {width}x{height}, the video started with {self.size[0]}x'
                             f'{self.size[1]}: set input_resize, or write a folder of images')
        coefficients, alpha = prediction.coefficients.numpy(), prediction.small_alpha()
        return [self._render(*output, picture, coefficients, alpha, time) for output in self._outputs]

    def _render(self, kind: str, target: Target, background: PlaneBackground, picture: PlanePicture,
                coefficients: np.ndarray, alpha: np.ndarray, time: Fraction) -> av.VideoFrame:
        frame = av.VideoFrame(target.width, target.height, target.pixel_format)
        luma, u, v, *transparency = map(lines_of, frame.planes)
        luma, matte, scale, base = luma.view(np.uint16), NONE, np.float32(255), np.float32(0)
        encode, black = encoding(target.tags)
        mode = WHOLE
        if kind == 'alpha':
            u[:], v[:] = 128, 128
            luma, matte, scale, base = NONE, luma, encode[0].sum(), black
        elif kind != 'foreground':
            mode = STRAIGHT if kind == 'rgba' and not self.premultiply else ALPHA
        if transparency:
            matte = transparency[0].view(np.uint16)
        behind, planes = background.at(time, picture, alpha), picture.planes
        h, w = coefficients.shape[1:]
        render_frame(planes.luma, planes.u, planes.v, planes.height, np.float32(picture.site), decoding(picture.tags),
                     coefficients, *columns(planes.width, w), *positions(planes.height, h), mode,
                     *behind, encode, black, LEFT if target.left_chroma else CENTRE, luma, u, v,
                     matte, scale, base)
        return frame


@lru_cache(maxsize=8)
def positions(size: int, small: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the samples of a long axis lie on a short one (bilinear, corners not aligned).

    Returns:
        First of two neighbours, (size,) int64, and the share of the second, float32.
    """
    place = np.clip((np.arange(size) + 0.5) * (small / size) - 0.5, 0, small - 1)
    first = np.minimum(place.astype(np.int64), small - 2)
    return first, (place - first).astype(np.float32)


@lru_cache(maxsize=8)
def columns(width: int, small: int) -> tuple[np.ndarray, np.ndarray]:
    """`positions` of columns, even ones first; of an odd width the last counts twice. Indices are uint32."""
    first, share = positions(width, small)
    order = np.minimum(np.r_[0:width + 1:2, 1:width + 1:2] if width % 2 else np.r_[0:width:2, 1:width:2], width - 1)
    return first[order].astype(np.uint32), share[order]
