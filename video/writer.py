"""Writing video files through FFmpeg (PyAV): codec by suffix, exact times, colour tags, the source's audio."""

import errno
from contextlib import contextmanager, nullcontext, suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from files import WholeFile

from .audio import Companions
from .chroma import move_chroma_left
from .formats import DEFAULT_CRF, Container, codec_of, container_of
from .frame import ColorTags, StreamInfo, Target
from .reader import EXACT

HELD = 1.5        # usual distances between pictures: one that stands longer says so itself
# pieces of a second, each complete; the MP4 becomes an ordinary one when it is closed
LIVE_MUXING = {**dict.fromkeys(('mp4', 'mov'), {'movflags': 'hybrid_fragmented', 'frag_duration': '1000000',
                                               'flush_packets': '1'}),
               **dict.fromkeys(('matroska', 'webm'), {'cluster_time_limit': '1000', 'flush_packets': '1'})}
INPUT_FORMATS = {(1, 8): 'gray', (3, 8): 'rgb24', (4, 8): 'rgba', (3, 16): 'rgb48le', (4, 16): 'rgba64le'}


class VideoFileWriter:
    """Encode pictures into a file that appears under its name only when `close` has completed it.

    Args:
        path: suffix .mp4, .m4v, .mov, .mkv or .webm; it chooses container and codec (`formats.CONTAINERS`).
        info: size, rate and colour of the source.
        channels: 1 grey, 3 RGB, 4 RGB with straight alpha.
        codec: a name in `formats.CODECS` instead of the suffix's own.
        crf: quality of lossy codecs, lower is better. Ignored when `bit_rate` is given.
        bit_rate: [bit/s].
        options: further options of the encoder.
        audio_from: a file whose audio, subtitles, chapters and metadata to carry along.
        overwrite: replace a file that has the name by the time of `close`.
        live: for recordings: what is written can be read although the process was killed, up to the last second.
    Raises:
        ValueError: unknown suffix or codec, an option the encoder refuses, alpha for a codec without.
    """

    def __init__(self, path: str | Path, info: StreamInfo, channels: int = 3, codec: str | None = None,
                 crf: int = DEFAULT_CRF, bit_rate: int | None = None, options: dict[str, str] | None = None,
                 audio_from: str | Path | None = None, overwrite: bool = True, live: bool = False):
        self.path, self.info, self.channels = Path(path), info, channels
        self.codec, self.notes = codec_of(path, codec), []
        if channels == 4 and self.codec.alpha is None:
            raise ValueError(f'{path}: {self.codec.encoder} cannot hold alpha: '
                             'use .mov (ProRes 4444), .webm (VP9), .mkv (FFV1) or a folder of PNGs')
        self.deep = info.bit_depth > 8 and self.codec.deep is not None
        self._reformatter, self._last_pts, self._closed = VideoReformatter(), None, False
        self._output = self._companions = None
        self._live, self._held, self._count = live, {}, 0
        container = container_of(path)
        self.whole = WholeFile(path, overwrite)
        try:
            try:
                self._start(container, crf, bit_rate, options or {}, audio_from)
            except av.FFmpegError as error:             # sound never costs the picture: is it the sound?
                if audio_from is None:
                    raise
                self._close_output()
                with self._one_line_errors():
                    self._start(container, crf, bit_rate, options or {}, None)
                self.notes.append(f'sound and subtitles left out: {self.path.name} cannot hold them ({error.strerror})')
        except BaseException:
            self.abort()
            raise

    def _start(self, container: Container, crf: int, bit_rate: int | None, options: dict[str, str],
               audio_from: str | Path | None) -> None:
        muxing = LIVE_MUXING.get(container.muxer, {}) if self._live else {}
        self._output = av.open(f'file:{self.whole.path}', 'w', format=container.muxer, options=muxing)
        with self._one_line_errors() if audio_from is None else nullcontext():
            self._stream = self._add_stream(crf, bit_rate, options)
            if audio_from is not None:
                self._companions = Companions(Path(audio_from), self._output, container, self.notes,
                                              self.info.clock_start)
            if self._live:        # closed with a header and no picture, a fragmented MP4 ends the process
                self._stream.codec_context.open()
            else:
                self._output.start_encoding()

    @property
    def bit_depth(self) -> int:
        """8 or 16: what `write_frame` wants."""
        return 16 if self.deep or (self.codec.deep and self.codec.deep == self.codec.opaque) else 8

    def _add_stream(self, crf: int, bit_rate: int | None, options: dict[str, str]) -> av.VideoStream:
        settings = dict(self.codec.options)
        if bit_rate is None and self.codec.quality is not None:
            settings[self.codec.quality] = str(crf)
            if self.codec.encoder == 'libvpx-vp9':
                settings['b'] = '0'                     # constant quality instead of an upper bound
        settings |= options
        try:
            stream = self._output.add_stream(self.codec.encoder, rate=_plausible_rate(self.info.frame_rate),
                                             options=settings)
        except (av.FFmpegError, ValueError) as error:
            raise ValueError(f'{self.path}: {self.codec.encoder} cannot be used here ({error}): '
                             'choose another --codec or suffix') from error
        stream.width, stream.height = self._padded_size()
        stream.pix_fmt = self._pixel_format()
        stream.codec_context.thread_count = 0           # as many as there are cores
        stream.time_base = stream.codec_context.time_base = self.info.time_base
        if self.info.sample_aspect_ratio != 1:
            stream.codec_context.sample_aspect_ratio = self.info.sample_aspect_ratio
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        if self.codec.encoder in ('libx265', 'hevc_nvenc') and self._output.format.name in ('mp4', 'mov'):
            stream.codec_context.codec_tag = 'hvc1'     # Apple's players refuse hev1
        self._tags = self._color_tags(stream.pix_fmt)
        context = stream.codec_context
        context.colorspace, context.color_primaries = self._tags.matrix, self._tags.primaries
        context.color_trc, context.color_range = self._tags.transfer, 2 if self._tags.full_range else 1
        return stream

    def _padded_size(self) -> tuple[int, int]:
        width, height = self.info.width, self.info.height
        if self.codec.even and (width % 2 or height % 2):
            width, height = width + width % 2, height + height % 2
            self.notes.append(f'{self.path.name}: {self.info.width}x{self.info.height} written as {width}x{height}, '
                              f'because {self.codec.encoder} needs even sides (the last row or column is repeated)')
        return width, height

    def _pixel_format(self) -> str:
        if self.info.bit_depth > 8 and not self.deep:
            self.notes.append(f'{self.path.name}: {self.info.bit_depth}-bit source written with 8 bits by '
                              f'{self.codec.encoder}; .mov, .mkv or --codec hevc keep more')
        if self.channels == 4:
            return self.codec.deep_alpha if self.deep else self.codec.alpha
        return self.codec.deep if self.deep else self.codec.opaque

    def _color_tags(self, pixel_format: str) -> ColorTags:
        """YUV keeps the matrix, primaries and transfer of the source; images, which have none, get BT.709."""
        source = self.info.color.resolved(self.info.height) if self.info.is_video else ColorTags(1, 1, 1)
        if not pixel_format.startswith('yuv'):
            return ColorTags(0, source.primaries, source.transfer, full_range=True)
        matrix = source.matrix if source.matrix in (1, 5, 6, 9) else 1
        return ColorTags(matrix, source.primaries, source.transfer, full_range=False)

    @property
    def target(self) -> Target:
        """What the encoder takes as it is."""
        return Target(self._stream.pix_fmt, self._stream.width, self._stream.height, self._tags, self.codec.left_chroma)

    def write_frame(self, pixels: np.ndarray | av.VideoFrame, pts: int, duration: int | None = None) -> None:
        """Encode one picture.

        Args:
            pixels: (H, W, channels) uint8 or uint16, contiguous; `bit_depth` says which is stored without loss. Or a
                frame that is as `target` says.
            pts: presentation time in units of `info.time_base`, larger than the one before.
            duration: in the same units, where it is known: how long the last picture stands.
        """
        frame = pixels if isinstance(pixels, av.VideoFrame) else self._to_codec_format(pixels)
        frame.colorspace, frame.color_range = self._tags.matrix, 2 if self._tags.full_range else 1
        frame.color_primaries, frame.color_trc = self._tags.primaries, self._tags.transfer
        frame.pts = pts - int(self.info.clock_start / self.info.time_base)
        frame.time_base = self.info.time_base
        if duration and duration * self.info.time_base * self.info.frame_rate > HELD:
            self._held[frame.pts] = duration
        with self._one_line_errors():
            for packet in self._stream.encode(frame):
                self._mux(packet)
        self._last_pts, self._count = frame.pts, self._count + 1

    def _to_codec_format(self, pixels: np.ndarray) -> av.VideoFrame:
        if pixels.shape[:2] != (self.info.height, self.info.width):
            raise ValueError(f'{self.path}: a frame is {pixels.shape[1]}x{pixels.shape[0]}, the video started with '
                             f'{self.info.width}x{self.info.height}: set input_resize, or write a folder of images')
        if pixels.shape[2] == 1:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
        height, width = pixels.shape[:2]
        if (width, height) != (self._stream.width, self._stream.height):
            pixels = cv2.copyMakeBorder(pixels, 0, self._stream.height - height, 0, self._stream.width - width,
                                        cv2.BORDER_REPLICATE)
        source_format = INPUT_FORMATS[pixels.shape[2], pixels.itemsize * 8]
        make = av.VideoFrame.from_numpy_buffer if pixels.itemsize == 1 else av.VideoFrame.from_ndarray
        frame = make(np.ascontiguousarray(pixels), source_format)
        frame = self._reformatter.reformat(frame, format=self._stream.pix_fmt, interpolation=EXACT,
                                           dst_colorspace=self._tags.sws_matrix or 1)
        if self.codec.left_chroma:
            move_chroma_left(frame)
        return frame

    def _mux(self, packet: av.Packet) -> None:
        if self._companions is not None and packet.dts is not None:
            self._companions.mux_until(packet.dts * Fraction(packet.time_base) + self.info.clock_start)
        if packet.pts in self._held:
            packet.duration = self._held.pop(packet.pts)
        self._output.mux(packet)

    def close(self) -> None:
        """Finish the file and move it to its name.

        Raises:
            ValueError: when no frame was written.
        """
        self.finish()
        self.whole.commit()

    def finish(self) -> None:
        """All but the name: the file is complete at `whole.path`."""
        if self._closed:
            return
        if self._last_pts is None:
            self.abort()
            raise ValueError(f'{self.path}: no frame to write')
        try:
            with self._one_line_errors():
                for packet in self._stream.encode(None):
                    if self._count <= 2:        # in order; libx265 leaves their dts to chance, for want of a third
                        packet.dts = packet.pts
                    self._mux(packet)
                if self._companions is not None:
                    self._companions.mux_until(None)
                self._output.close()
        except BaseException:
            self.abort()
            raise
        if self._companions is not None:
            self._companions.close()
        self._closed = True

    def abort(self) -> None:
        """Give up; nothing stays behind."""
        self._close_output()
        self._closed = True
        self.whole.discard()

    def _close_output(self) -> None:
        if self._output is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._output.close()
        if self._companions is not None:
            self._companions.close()
        self._output = self._companions = None

    @contextmanager
    def _one_line_errors(self):
        """FFmpeg's errors, told with the file's name and what to do."""
        try:
            yield
        except av.FFmpegError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise OSError(error.errno, f'{self.path}: {error.strerror}; the unfinished file was removed') from error
            raise ValueError(f'{self.path}: {self.codec.encoder} failed with pictures of {self.info.width}x'
                             f'{self.info.height}: {error.strerror}; check --codec, --encoder-option and the size'
                             ) from error


def _plausible_rate(rate: Fraction) -> Fraction:
    """Encoders keep the nominal rate in 16-bit fields; presentation times do not depend on it."""
    return rate.limit_denominator(1001)
