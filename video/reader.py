"""Reading video files through FFmpeg (PyAV)."""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter

from .clock import Clock, clock_start
from .color import YCGCO, check_matrix, ycgco_to_rgb
from .ffmpeg import open_input
from .frame import ColorTags, Frame, StreamInfo

# swscale's default YUV -> RGB is biased by -1.3 of 255 on flat areas (measured); with these flags the bias is gone
EXACT = (Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
         | Interpolation.FULL_CHR_H_INP)
DAMAGE_TOLERANCE = Fraction(1, 2)     # [s] a clip may end this much before its declared duration
STILL_CODECS = {'mjpeg', 'png', 'bmp', 'gif', 'webp', 'tiff', 'jpeg2000', 'jpegxl'}     # of covers


class VideoReader:
    """Frames of a video file in presentation order, as RGB arrays with exact timestamps.

    Iterating decodes from the beginning. Rotation stored in the file is applied; files of more than 8 bits give
    uint16. When the iteration ends, `damage` says in words what was lost, or is ''.

    Args:
        path: any file FFmpeg reads that has a video stream.
    Attributes:
        duration: [s] as far as the file declares it for this stream, or None.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not a video, or no video stream in it.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.damage = ''
        container, errors = self._open(), []
        try:
            stream = video_stream(container)
            decoded = _decode(container, stream, errors)
            first = next(decoded, None)
            if first is None:
                raise ValueError(f'{self.path} has a video stream, but not one frame of it can be decoded')
            self._frame_count = stream.frames or None
            self.duration = self._declared_duration(container, stream)
            self._info = self._read_info(stream, first)
        except BaseException:
            container.close()
            raise
        # the first iteration goes on from here: nothing is opened or decoded twice
        self._begun = container, chain([first], decoded), errors

    @property
    def info(self) -> StreamInfo:
        """What a writer must know."""
        return self._info

    @property
    def frame_rate(self) -> Fraction:
        """Nominal frames per second."""
        return self._info.frame_rate

    def _open(self) -> av.container.InputContainer:
        container = open_input(self.path)
        if video_stream(container) is None:
            kinds = sorted({'cover picture' if stream.type == 'video' else stream.type for stream in container.streams
                            if stream.type}) or ['nothing']
            container.close()
            raise ValueError(f'{self.path} has no video stream, only {", ".join(kinds)}')
        # threads work on slices and frames; the default works on slices only, which many files do not have
        video_stream(container).thread_type = 'AUTO'
        return container

    def _read_info(self, stream, first: av.VideoFrame) -> StreamInfo:
        width, height = first.width, first.height
        sar = stream.sample_aspect_ratio or Fraction(1)
        if first.rotation % 180:
            width, height, sar = height, width, 1 / sar if sar else Fraction(1)
        check_matrix(self.path, first)
        full_range = first.color_range == 2 or first.format.name.startswith('yuvj')
        return StreamInfo(
            width, height, Fraction(stream.average_rate or stream.guessed_rate or 30), Fraction(stream.time_base),
            sar or Fraction(1), max(component.bits for component in first.format.components),
            ColorTags(int(first.colorspace), int(first.color_primaries), int(first.color_trc), full_range),
            self._frame_count, clock_start(stream.container), pixel_format=first.format.name,
            is_turned=first.rotation != 0)

    @staticmethod
    def _declared_duration(container, stream) -> Fraction | None:
        """Length of the video [s] as far as the file says so for this stream alone."""
        if stream.duration and stream.time_base:
            return stream.duration * Fraction(stream.time_base)
        if (tag := re.match(r'(\d+):(\d\d):(\d\d(\.\d+)?)', stream.metadata.get('DURATION', ''))) is not None:
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
        if container.duration and len(container.streams) == 1:
            return Fraction(container.duration, 1_000_000)
        return None

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: float = 0.0) -> Iterator[Frame]:
        """Decode in order.

        Args:
            start: [s] skip everything before this time (through the nearest key frame).
        """
        pixel_format = 'rgb48le' if self._info.bit_depth > 8 else 'rgb24'
        reformatter = VideoReformatter()
        for index, (decoded, pts) in enumerate(self.decoded(start)):
            yield Frame(to_rgb(decoded, pixel_format, reformatter=reformatter), index, pts,
                        duration=decoded.duration or None)

    def decoded(self, start: float = 0.0) -> Iterator[tuple[av.VideoFrame, int]]:
        """As `frames`: what the decoder gives, and its presentation time in units of `info.time_base`."""
        begun, self._begun = self._begun if start == 0 else None, None
        index, end = 0, Fraction(0)
        time_base, step = self._info.time_base, 1 / (self._info.frame_rate * self._info.time_base)
        with begun[0] if begun else self._open() as container:
            stream = video_stream(container)
            _, source, errors = begun or (None, None, [])
            origin, clock = stream.start_time or 0, Clock(container, time_base, step)
            if start > 0:
                container.seek(origin + int(start / time_base), stream=stream)
            for decoded in source or _decode(container, stream, errors):
                pts = clock(decoded.pts)
                if (pts - origin) * time_base < start:
                    continue
                end = (pts - origin + step) * time_base
                yield decoded, pts
                index += 1
            late = end + max(0, origin * time_base)      # some formats count their duration from the clock's zero
            self.damage = self._describe_damage(container, index, end, late, errors) if start == 0 else ''

    def _describe_damage(self, container, count: int, end: Fraction, late: Fraction, errors: list[str]) -> str:
        lost, tolerance = [], max(DAMAGE_TOLERANCE, 5 / self._info.frame_rate)
        if self._frame_count and count < self._frame_count and errors:
            lost.append(f'{count} of {self._frame_count} frames')
        elif self.duration and late < self.duration - tolerance:
            lost.append(f'{float(end):.2f} of {float(self.duration):.2f} s')
        elif container.format.name == 'avi' and self._frame_count and \
                end < self._frame_count / self._info.frame_rate - tolerance:        # dropped pictures count there too
            lost.append(f'{float(end):.2f} of {float(self._frame_count / self._info.frame_rate):.2f} s')
        elif not self.duration and container.duration:
            whole = Fraction(container.duration, av.time_base)      # of the longest stream: is it there?
            if late < whole - tolerance and last_time(self.path) < whole - tolerance:
                lost.append(f'{float(end):.2f} of {float(whole):.2f} s')
        if errors:
            lost.append(f'{len(errors)} unreadable packets ({errors[0]})')
        return f'{self.path} is damaged: read {"; ".join(lost)}' if lost else ''


def to_rgb(frame: av.VideoFrame, pixel_format: str = 'rgb24',
           size_of: Callable[[tuple[int, int]], tuple[int, int]] = lambda size: size,
           reformatter: VideoReformatter | None = None) -> np.ndarray:
    """A decoded frame as it is meant to be shown: exact colours by the matrix it names, rotation applied.

    Args:
        pixel_format: 'rgb24', 'rgb48le' or 'rgba'.
        size_of: (width, height) [px] as shown -> that of the answer.
        reformatter: to use again for the frames of one file.
    Returns:
        (H, W, C) uint8 or uint16.
    """
    tags = ColorTags(int(frame.colorspace), int(frame.color_primaries)).resolved(frame.height)
    turned = frame.rotation % 180 != 0
    width, height = size_of((frame.height, frame.width) if turned else (frame.width, frame.height))
    if turned:
        width, height = height, width
    reformatter = reformatter or VideoReformatter()
    original = frame
    if pixel_format == 'rgb48le' and frame.format.name.startswith('yuv4'):
        # from 4:2:0 straight to 16-bit RGB, swscale's exact mode clips saturated colours (mean error 105 of 255)
        frame = VideoReformatter().reformat(frame, width, height, 'yuv444p16le', src_colorspace=tags.sws_matrix,
                                            dst_colorspace=tags.sws_matrix, interpolation=EXACT)
    pixels = reformatter.reformat(frame, width, height, pixel_format, src_colorspace=tags.sws_matrix,
                                  interpolation=EXACT).to_ndarray()
    if tags.matrix == YCGCO and not original.format.is_rgb:
        pixels[..., :3] = ycgco_to_rgb(original, width, height, pixels.itemsize > 1)
    return np.ascontiguousarray(np.rot90(pixels, round(original.rotation / 90))) if original.rotation else pixels


def video_stream(container) -> av.VideoStream | None:
    """The moving picture of a file; the cover picture of a song is none, also where it says nothing and comes first."""
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    moving = [stream for stream in moving if stream.codec_context is not None]       # of a codec that FFmpeg knows
    films = [stream for stream in moving if stream.codec_context.name not in STILL_CODECS or stream.frames > 1]
    return next(iter(films or moving), None)


def last_time(path: Path) -> Fraction:
    """[s] where the last packet of any stream ends, without decoding."""
    end = Fraction(0)
    with open_input(path) as container:
        packets = container.demux()
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                return end
            if packet is None:
                return end
            if packet.pts is not None and packet.time_base:
                end = max(end, (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base))


def _decode(container, stream, errors: list[str]) -> Iterator[av.VideoFrame]:
    """Every frame that can be decoded, the decoder's tail included; what cannot is noted in `errors`."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            errors.append(error.strerror)
            return
        if packet is None:
            return
        try:
            # the last packet is empty and makes the decoder give out the frames it still holds
            frames = stream.decode(packet)
        except av.FFmpegError as error:
            errors.append(error.strerror)
            continue
        yield from frames
