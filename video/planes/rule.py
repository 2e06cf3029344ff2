"""When the plane path is taken: one rule, which says why not."""

from collections.abc import Iterable

from ..frame import StreamInfo, Target
from .colors import LUMA_WEIGHTS
from .compiled import INSTALL, has_numba
from .planes import SMALLEST

SOURCES = ('yuv420p', 'yuvj420p')                               # of decoders
TARGETS = ('yuv420p', 'yuva420p')                               # of encoders
KINDS = ('composition', 'alpha', 'foreground', 'rgba')          # that `render.PlaneRenderer` makes


def why_not_planes(info: StreamInfo, wanted: Iterable[tuple[str, Target | None]], small_size: tuple[int, int] | None,
                   is_resized: bool) -> str:
    """'' where a conversion takes the plane path, else the first reason against it, in words.

    Args:
        info: of the source.
        wanted: kind of every output, and what its encoder takes; None where it is no video.
        small_size: (w, h) [px] of the picture that alone the network sees; None where it sees the full frame.
        is_resized: frames change their size before anything else happens.
    """
    if not info.is_video or info.pixel_format not in SOURCES:
        return f'the source is {info.pixel_format or "no video"}, not 8-bit 4:2:0'
    if info.color.resolved(info.height).matrix not in LUMA_WEIGHTS:
        return f'the source has colour matrix {info.color.matrix}'
    if min(info.width, info.height) < SMALLEST:
        return f'a side is shorter than {SMALLEST} pixels'
    if info.is_turned and (info.width % 2 or info.height % 2):
        return 'the source is rotated and has an odd side'
    if is_resized:
        return 'frames are resized first'
    for kind, target in wanted:
        if kind not in KINDS:
            return f'output {kind} is not made of the small picture'
        if target is None or target.pixel_format not in TARGETS:
            return f'output {kind} is {"no video" if target is None else target.pixel_format}, not 8-bit 4:2:0'
    if small_size is None or min(small_size) < 2:
        return 'the network sees the full frame'
    if not has_numba():
        return f'numba is not installed: {INSTALL} makes conversions faster'
    return ''
