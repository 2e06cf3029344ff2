"""Reading video files through FFmpeg (PyAV)."""

import errno
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter

from .frame import ColorTags, Frame, StreamInfo

# swscale's default YUV -> RGB is biased by -1.3 of 255 on flat areas (measured); with these flags the bias is gone
EXACT = (Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
         | Interpolation.FULL_CHR_H_INP)
DAMAGE_TOLERANCE = Fraction(1, 2)     # [s] a clip may end this much before its declared duration


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
        with self._open() as container:
            stream = video_stream(container)
            first = self._first_frame(container, stream)
            self._frame_count = stream.frames or None
            self.duration = self._declared_duration(container, stream)
            self._info = self._read_info(stream, first)

    @property
    def info(self) -> StreamInfo:
        return self._info

    @property
    def frame_rate(self) -> Fraction:
        """Nominal frames per second."""
        return self._info.frame_rate

    def _open(self) -> av.container.InputContainer:
        if not self.path.is_file():
            raise FileNotFoundError(f'{self.path}: no such file')
        try:
            container = av.open(str(self.path))
        except (av.FFmpegError, OSError) as error:
            if getattr(error, 'errno', None) == errno.EACCES:
                raise PermissionError(f'{self.path} cannot be read: permission denied') from error
            raise ValueError(f'{self.path} is not a video that FFmpeg can read ({error.strerror}): '
                             'damaged, cut off, or another kind of file') from error
        if video_stream(container) is None:
            kinds = sorted({stream.type for stream in container.streams}) or ['nothing']
            container.close()
            raise ValueError(f'{self.path} has no video stream, only {", ".join(kinds)}')
        # threads work on slices and frames; the default works on slices only, which many files do not have
        video_stream(container).thread_type = 'AUTO'
        return container

    def _first_frame(self, container, stream) -> av.VideoFrame:
        for frame in _decode(container, stream, []):
            return frame
        raise ValueError(f'{self.path} has a video stream, but not one frame of it can be decoded')

    def _read_info(self, stream, first: av.VideoFrame) -> StreamInfo:
        width, height = first.width, first.height
        sar = stream.sample_aspect_ratio or Fraction(1)
        if first.rotation % 180:
            width, height, sar = height, width, 1 / sar if sar else Fraction(1)
        full_range = first.color_range == 2 or first.format.name.startswith('yuvj')
        return StreamInfo(
            width, height, Fraction(stream.average_rate or stream.guessed_rate or 30), Fraction(stream.time_base),
            sar or Fraction(1), max(component.bits for component in first.format.components),
            ColorTags(int(first.colorspace), int(first.color_primaries), int(first.color_trc), full_range),
            self._frame_count, _clock_start(stream.container))

    @staticmethod
    def _declared_duration(container, stream) -> Fraction | None:
        """Length of the video [s] as far as the file says so for this stream alone."""
        if stream.duration and stream.time_base:
            return stream.duration * Fraction(stream.time_base)
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
        errors: list[str] = []
        pixel_format = 'rgb48le' if self._info.bit_depth > 8 else 'rgb24'
        reformatter, index, last_pts, end = VideoReformatter(), 0, None, Fraction(0)
        time_base, step = self._info.time_base, 1 / (self._info.frame_rate * self._info.time_base)
        with self._open() as container:
            stream = video_stream(container)
            origin = stream.start_time or 0
            if start > 0:
                container.seek(origin + int(start / time_base), stream=stream)
            for decoded in _decode(container, stream, errors):
                pts = decoded.pts if decoded.pts is not None else (0 if last_pts is None else last_pts + round(step))
                if (pts - origin) * time_base < start:
                    continue
                if last_pts is not None and pts <= last_pts:   # broken timestamps: keep the order, keep every frame
                    pts = last_pts + 1
                last_pts, end = pts, (pts - origin + step) * time_base
                yield Frame(to_rgb(decoded, pixel_format, reformatter=reformatter), index, pts)
                index += 1
        self.damage = self._describe_damage(index, end, errors) if start == 0 else ''

    def _describe_damage(self, count: int, end: Fraction, errors: list[str]) -> str:
        lost = []
        if self._frame_count and count < self._frame_count and errors:
            lost.append(f'{count} of {self._frame_count} frames')
        elif self.duration and end < self.duration - max(DAMAGE_TOLERANCE, 5 / self._info.frame_rate):
            lost.append(f'{float(end):.2f} of {float(self.duration):.2f} s')
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
    tags, turned = ColorTags(int(frame.colorspace)).resolved(frame.height), frame.rotation % 180 != 0
    width, height = size_of((frame.height, frame.width) if turned else (frame.width, frame.height))
    if turned:
        width, height = height, width
    if pixel_format == 'rgb48le' and frame.format.name.startswith('yuv4'):
        # from 4:2:0 straight to 16-bit RGB, swscale's exact mode clips saturated colours (mean error 105 of 255)
        frame = VideoReformatter().reformat(frame, width, height, 'yuv444p16le', src_colorspace=tags.sws_matrix,
                                            dst_colorspace=tags.sws_matrix, interpolation=EXACT)
    rgb = (reformatter or VideoReformatter()).reformat(frame, width, height, pixel_format,
                                                       src_colorspace=tags.sws_matrix, interpolation=EXACT)
    pixels = rgb.to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90))) if frame.rotation else pixels


def _clock_start(container: av.container.InputContainer) -> Fraction:
    """[s]. Broadcast formats start their clock anywhere; the times of other formats are meant."""
    if container.format.flags & av.format.Flags.ts_discont.value and container.start_time:
        return Fraction(container.start_time, av.time_base)
    return Fraction(0)


def video_stream(container) -> av.VideoStream | None:
    """The moving picture of a file; the cover picture of a song is none."""
    moving = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    return next(moving, None)


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
