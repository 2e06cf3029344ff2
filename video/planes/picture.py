"""A frame in planes, and the small RGB picture that the network sees, sampled straight from them."""

from functools import lru_cache

import cv2
import numpy as np

from ..frame import ColorTags
from .colors import decoding
from .compiled import compiled, compiled_inner
from .planes import Planes


@lru_cache(maxsize=8)
def luma_taps(size: int, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """First of two neighbours and the share of the second, for every small sample along an axis.

    Positions are those of `model.downsample`: they follow the ratio, not the ratio of the sizes.

    Returns:
        (n,) uint32 and (n,) float32. size: [px] of the full axis.
    """
    place = np.clip((np.arange(int(size * ratio)) + 0.5) / ratio - 0.5, 0, size - 1)
    first = np.minimum(place.astype(np.int64), max(size - 2, 0))
    return first.astype(np.uint32), (place - first).astype(np.float32)


@lru_cache(maxsize=8)
def chroma_taps(size: int, ratio: float, site: float) -> tuple[np.ndarray, np.ndarray]:
    """First of three neighbours in chroma, and their weights: enlarged to the luma axis, then sampled as luma is.

    Args:
        site: luma samples from the first of two to where chroma lies.
    Returns:
        (n,) uint32 and (n, 3) float32.
    """
    first, share = (taps.astype(np.float64) for taps in luma_taps(size, ratio))
    last = (size + 1) // 2 - 1
    start = np.clip((first // 2 - 1).clip(0), 0, max(last - 2, 0)).astype(np.int64)
    weights = np.zeros((len(first), 3))
    for luma, weight in ((first, 1 - share), (np.minimum(first + 1, size - 1), share)):
        place = np.clip((luma - site) / 2, 0, last)
        below = np.minimum(place.astype(np.int64), max(last - 1, 0))
        for chroma, part in ((below, 1 - (place - below)), (below + 1, place - below)):
            np.add.at(weights, (np.arange(len(first)), np.clip(chroma - start, 0, 2)), weight * part)
    return start.astype(np.uint32), weights.astype(np.float32)


class PlanePicture:
    """A frame in planes, as `engine.frames.DeferredFrame` wants it.

    Args:
        owner: of the memory of the planes, which lives as long as this.
        tags: matrix and range of the frame. site: of its chroma (`planes.chroma_site`).
    """

    def __init__(self, planes: Planes, tags: ColorTags, site: tuple[float, float], owner: object = None):
        self.planes, self.tags, self.site, self._owner = planes, tags, site, owner
        self.shape = planes.height, planes.width, 3

    def downsample(self, ratio: float) -> np.ndarray:
        """What `engine.frames.downsample` answers for the frame in RGB.

        Args:
            ratio: in (0, 1].
        Returns:
            (3, floor(H * ratio), floor(W * ratio)) float32 in [0, 1].
        """
        planes = self.planes
        columns, rows = luma_taps(planes.width, ratio), luma_taps(planes.height, ratio)
        small = np.empty((3, len(rows[0]), len(columns[0])), np.float32)
        sample(planes.y, planes.u, planes.v, planes.width, *rows, *columns,
               *chroma_taps(planes.height, ratio, self.site[1]), *chroma_taps(planes.width, ratio, self.site[0]),
               decoding(self.tags), small)
        return small

    def thumbnail(self, size: tuple[int, int]) -> np.ndarray:
        """(h, w, 3) uint8 RGB, every pixel a mean; size: (w, h) [px], smaller than half of the frame."""
        planes = self.planes
        height = (planes.height + 1) // 2
        y, u, v = (cv2.resize(lines, size, interpolation=cv2.INTER_AREA).astype(np.float32) for lines in (
            planes.y[:, :planes.width], planes.u[:height, :planes.pairs], planes.v[:height, :planes.pairs]))
        scale, black, v_red, u_green, v_green, u_blue = decoding(self.tags)
        grey, u, v = y * scale - black, u - 128, v - 128
        rgb = np.stack([grey + v_red * v, grey + u_green * u + v_green * v, grey + u_blue * u], axis=-1)
        return (rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)


@compiled
def sample(y, u, v, width, rows, row_share, columns, column_share, chroma_rows, row_weights, chroma_columns,
           column_weights, decode, small):
    """The loop of `PlanePicture.downsample`: rows are mixed as long as the frame is wide, then columns are picked."""
    scale, black, v_red, u_green, v_green, u_blue = decode[0], decode[1], decode[2], decode[3], decode[4], decode[5]
    zero, one, last, last_chroma = np.float32(0), np.float32(1), y.shape[0] - 1, u.shape[0] - 1
    width_chroma = (width + 1) // 2
    mixed, mixed_u = np.empty(width + 1, np.float32), np.zeros(width_chroma + 2, np.float32)
    mixed_v = np.zeros(width_chroma + 2, np.float32)
    for i in range(small.shape[1]):
        upper, lower, share = y[rows[i], :width], y[min(rows[i] + 1, last), :width], row_share[i]
        for x in range(width):
            above = np.float32(upper[x])
            mixed[x] = above + share * (np.float32(lower[x]) - above)
        mixed[width] = mixed[width - 1]
        mix_three(u, chroma_rows[i], last_chroma, row_weights[i], mixed_u[:width_chroma])
        mix_three(v, chroma_rows[i], last_chroma, row_weights[i], mixed_v[:width_chroma])
        red, green, blue = small[0, i], small[1, i], small[2, i]
        for x in range(columns.size):
            a, k = columns[x], chroma_columns[x]
            b, c = k + np.uint32(1), k + np.uint32(2)
            grey = (mixed[a] + column_share[x] * (mixed[a + np.uint32(1)] - mixed[a])) * scale - black
            w0, w1, w2 = column_weights[x, 0], column_weights[x, 1], column_weights[x, 2]
            mu = w0 * mixed_u[k] + w1 * mixed_u[b] + w2 * mixed_u[c]
            mv = w0 * mixed_v[k] + w1 * mixed_v[b] + w2 * mixed_v[c]
            red[x] = min(max(grey + v_red * mv, zero), one)
            green[x] = min(max(grey + u_green * mu + v_green * mv, zero), one)
            blue[x] = min(max(grey + u_blue * mu, zero), one)


@compiled_inner
def mix_three(chroma, first, last, weights, out):
    """Three rows of chroma from `first` on, around 0."""
    a, b = chroma[first, :out.size], chroma[min(first + 1, last), :out.size]
    c, w0, w1, w2 = chroma[min(first + 2, last), :out.size], weights[0], weights[1], weights[2]
    for k in range(out.size):
        out[k] = w0 * np.float32(a[k]) + w1 * np.float32(b[k]) + w2 * np.float32(c[k]) - np.float32(128)
