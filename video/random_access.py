"""Frames of a video file by their times: nothing is decoded to list them, reading starts at a key frame."""

from collections.abc import Callable, Collection
from pathlib import Path

import av
import numpy as np

from .ffmpeg import open_input
from .reader import to_rgb, video_stream

Size = tuple[int, int]


def frame_times(path: Path, alpha: bool = False) -> list[int]:
    """Presentation time of every frame, ascending, in the stream's time base, read from the packets.

    Raises:
        ValueError: not a video that can be read, or one without the alpha that is wanted.
    """
    try:
        with open_input(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise ValueError(f'{path} has no video stream')
            if alpha and not has_alpha(stream):
                raise ValueError(f'{path} has no alpha channel (pixel format {stream.codec_context.pix_fmt})')
            return sorted({packet.pts for packet in container.demux(stream) if packet.pts is not None and packet.size})
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f'{path} is not a video that can be read: {error}') from error


def frames_at(path: Path, times: Collection[int], alpha: bool = False,
              size_of: Callable[[Size], Size] = lambda size: size) -> dict[int, np.ndarray]:
    """The frames of some times, as far as they can be decoded, in colours exact as `VideoReader` gives them.

    Args:
        alpha: (H, W, 4) RGBA, alpha straight, else (H, W, 3) RGB; uint8.
        size_of: (width, height) of the file, as it is shown -> that of the answer.
    Raises:
        ValueError, OSError: the file cannot be opened.
    """
    try:
        with open_input(path) as container:
            return _decode_at(container, set(times), alpha, size_of)
    except av.FFmpegError as error:
        raise ValueError(f'{path} is not a video that can be read: {error}') from error


def _decode_at(container: av.container.InputContainer, wanted: set[int], alpha: bool,
               size_of: Callable[[Size], Size]) -> dict[int, np.ndarray]:
    stream, found, last = video_stream(container), {}, max(wanted)
    stream.thread_type = 'NONE'                 # loader workers are the threads
    context = alpha_decoder(stream) if alpha else stream.codec_context
    container.seek(min(wanted), stream=stream, backward=True)
    for packet in container.demux(stream):
        try:
            decoded = context.decode(packet) if packet.dts is not None or packet.size else context.decode(None)
        except av.FFmpegError:
            continue                            # a damaged packet: its frames are missing from the answer
        for frame in decoded:
            if frame.pts in wanted:
                found[frame.pts] = to_rgb(frame, 'rgba' if alpha else 'rgb24', size_of)
            if frame.pts is not None and frame.pts > last or len(found) == len(wanted):
                return found
    return found


def has_alpha(stream: av.video.VideoStream) -> bool:
    """Alpha in the pixel format, or beside it as WebM does (tag alpha_mode)."""
    pixels = stream.codec_context.format
    beside = {key.lower(): value for key, value in stream.metadata.items()}.get('alpha_mode') == '1'
    return beside or pixels is not None and (len(pixels.components) in (2, 4) or pixels.name.startswith('pal'))


def alpha_decoder(stream: av.video.VideoStream) -> av.VideoCodecContext:
    """A decoder that keeps alpha: FFmpeg's own VP8 and VP9 decoders drop it, libvpx does not."""
    name = {'vp8': 'libvpx', 'vp9': 'libvpx-vp9'}.get(stream.codec_context.name)
    if name is None:
        return stream.codec_context
    context = av.CodecContext.create(name, 'r')
    context.extradata = stream.codec_context.extradata
    return context
