"""The frames of a video as planes."""

from collections.abc import Iterator

from ..frame import Frame
from ..reader import VideoReader
from .planes import Planes, chroma_site
from .rule import SOURCES


def plane_frames(reader: VideoReader) -> Iterator[Frame]:
    """As `reader.frames`; the pixels of each frame are a `PlanePicture`.

    Raises:
        ValueError: the video goes on in a format that is not in `rule.SOURCES`.
    """
    from .picture import PlanePicture  # compiled by an optional package
    tags = site = None
    for index, (decoded, pts) in enumerate(reader.decoded()):
        if decoded.format.name not in SOURCES:
            raise ValueError(f'{reader.path}: the video goes on as {decoded.format.name}, it started as '
                             f'{reader.info.pixel_format}: write a folder of images')
        if tags is None:                         # height as decoded: what `reader.to_rgb` guesses by
            tags, site = reader.info.color.resolved(decoded.height), chroma_site(decoded)
        yield Frame(PlanePicture(Planes.of_frame(decoded), tags, site, decoded), index, pts,
                    duration=decoded.duration or None)
