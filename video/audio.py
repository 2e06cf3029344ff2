"""Audio, subtitles, chapters and metadata of the source, carried into an output file. Sound never costs the picture."""

import errno
import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from math import ceil
from pathlib import Path

import av

from .clock import is_broadcast
from .ffmpeg import open_input
from .formats import Container
from .sound import EncodedTrack, TrackError

# what the muxer writes itself, or what Matroska's statistics said of the old file
SKIPPED_METADATA = {'encoder', 'major_brand', 'minor_version', 'compatible_brands', 'duration', 'bps',
                    'number_of_frames', 'number_of_bytes'}
FIRST_PACKETS = 3       # tell whether a track can be copied


class Companions:
    """Streams of the source that travel along with the picture.

    Audio is copied packet by packet when the container takes its codec and encoded anew when it does not; subtitles are
    copied or left out. All keep their timestamps, so they stay in step with the picture. A track that cannot be carried
    is left out with a note.

    Args:
        source: the file whose streams to carry.
        output: the open output, before its first packet; its video stream must exist already.
        container: what the output's suffix means.
        notes: gets what the user should know, also while packets are read.
        origin: [s] of the source's clock; written times are relative to it.
    """

    def __init__(self, source: Path, output: av.container.OutputContainer, container: Container, notes: list[str],
                 origin: Fraction = Fraction(0)):
        self.notes, self._origin = notes, origin
        self._path, self._input, self._output = source, open_input(source), output
        self._copied: dict[int, av.stream.Stream] = {}
        self._encoded: dict[int, EncodedTrack] = {}
        for stream in self._input.streams:
            if stream.type in ('audio', 'subtitle'):
                try:
                    self._add(stream, container)
                except (TrackError, av.FFmpegError, ValueError) as error:
                    notes.append(f'{stream.type} track {stream.index} left out: {error}')
        new = self._copied | {index: track.encoded for index, track in self._encoded.items()}
        for index, stream in new.items():
            stream.metadata.update(_lasting(self._input.streams[index].metadata))
        output.metadata.update(_lasting(self._input.metadata))
        timecode = next((stream.metadata['timecode'] for stream in self._input.streams
                         if 'timecode' in stream.metadata), None)
        if timecode is not None:
            output.metadata.setdefault('timecode', timecode)
        output.set_chapters(self._input.chapters())
        self._last: dict[int, int] = {}
        self._refused = 0                    # packets
        self._packets = self._read() if new else iter(())
        self._pending = next(self._packets, None)

    def _add(self, stream: av.stream.Stream, container: Container) -> None:
        codec = stream.codec_context
        if codec is None:
            raise TrackError('unknown codec')
        if stream.type == 'subtitle':
            if codec.name not in container.subtitles:
                raise TrackError(f'the container cannot hold {codec.name}')
            self._copied[stream.index] = self._output.add_stream_from_template(stream)
            return
        canonical = stream.codec.canonical_name     # 'mp3', where the decoder's name may be 'mp3float'
        if (container.audio is None or canonical in container.audio) and can_copy(self._path, stream, container.muxer):
            self._copied[stream.index] = self._output.add_stream_from_template(stream)
            return
        track = EncodedTrack(self._path, stream, self._output, container.audio_encoder)
        self._encoded[stream.index] = track
        self.notes.append(f'audio track {stream.index}: {canonical} encoded as {container.audio_encoder}')

    def _read(self) -> Iterator[tuple[Fraction, list[av.Packet]]]:
        """(time [s], packets ready to mux), in the order of the source."""
        wanted = [self._input.streams[index] for index in (*self._copied, *self._encoded)]
        joins = Joins(self._input)
        time = Fraction(0)
        try:
            for packet in self._input.demux(wanted + joins.watched):
                joins.shift(packet)
                if packet.pts is not None and packet.time_base:
                    time = packet.pts * Fraction(packet.time_base)
                if packet.stream.index in self._copied or packet.stream.index in self._encoded:
                    yield time, self._convert(packet)
        except av.FFmpegError as error:
            self.notes.append(f'audio ends at {float(time):.2f} s: {error.strerror}')
        for track in self._encoded.values():
            yield time, track.flush()

    def _convert(self, packet: av.Packet) -> list[av.Packet]:
        index = packet.stream.index
        if index in self._encoded:
            return self._encoded[index].convert(packet)
        if packet.dts is None:       # the demuxer's end mark
            return []
        packet.stream = self._copied[index]
        return [packet]

    def mux_until(self, time: Fraction | None) -> None:
        """Write everything up to `time` [s] of the source; None writes the rest."""
        while self._pending is not None and (time is None or self._pending[0] <= time):
            for packet in self._pending[1]:
                self._mux(packet)
            self._pending = next(self._packets, None)
        lost = self._refused + sum(track.unreadable for track in self._encoded.values())
        if self._pending is None and lost:
            self.notes.append(f'{lost} damaged audio packets left out')
            self._refused = 0
            for track in self._encoded.values():
                track.unreadable = 0

    def _mux(self, packet: av.Packet) -> None:
        """Times in the output's clock, increasing as every container wants them."""
        shift = int(self._origin / packet.time_base) if self._origin else 0
        last = self._last.get(packet.stream.index)
        dts = packet.dts - shift
        if last is not None:
            tick = packet.stream.time_base / packet.time_base        # of the output, which may count in larger ones
            dts = max(dts, last + max(1, ceil(tick or 0)))
        self._last[packet.stream.index] = dts
        packet.pts = dts if packet.pts is None else max(packet.pts - shift, dts)
        packet.dts = dts
        try:
            self._output.mux(packet)
        except av.FFmpegError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise
            self._refused += 1

    def close(self) -> None:
        self._input.close()


class Joins:
    """In a transport stream that was joined of several, the clock is set at each join: it runs on as the picture does.

    Args:
        container: opened for this.
    """

    def __init__(self, container: av.container.InputContainer):
        self._offset: dict[int, Fraction] = {}         # [s] by stream
        self._end: dict[int, Fraction] = {}            # [s] where the last packet of a stream ends, offset included
        self.watched = [stream for stream in container.streams.video[:1]] if is_broadcast(container) else []
        self._picture = self.watched[0].index if self.watched else None

    def shift(self, packet: av.Packet) -> None:
        """Set times of the packet to those of a clock that was never set."""
        if not self.watched or packet.dts is None or not packet.time_base:
            return
        index, base = packet.stream.index, Fraction(packet.time_base)
        offset = self._offset.get(index, Fraction(0))
        time, length = packet.dts * base + offset, (packet.duration or 0) * base
        end = self._end.get(index)
        if end is not None and not end - max(length, Fraction(1, 5)) - length <= time <= end + 10:
            offset += end - time
            time = end
            if index == self._picture:                  # what the picture does counts for all
                self._offset = dict.fromkeys(self._offset, offset)
            elif self._picture in self._offset and abs(self._offset[self._picture] - offset) < 1:
                offset = self._offset[self._picture]
        self._offset[index], self._end[index] = offset, time + length
        if offset:
            ticks = round(offset / base)
            packet.dts += ticks
            packet.pts = None if packet.pts is None else packet.pts + ticks


def can_copy(path: Path, stream: av.AudioStream, muxer: str) -> bool:
    """Whether a container takes the packets of a stream as they are, found out with the first of them in memory: what
    some containers say of a codec is written, and looked at, when the file is closed."""
    try:
        with open_input(path) as source, av.open(io.BytesIO(), 'w', format=muxer) as container:
            copied = container.add_stream_from_template(stream)
            container.start_encoding()
            for packet in islice(source.demux(source.streams[stream.index]), FIRST_PACKETS):
                if packet.dts is not None:
                    packet.stream = copied
                    container.mux(packet)
        return True
    except (av.FFmpegError, ValueError):
        return False


def _lasting(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items()
            if key.lower() not in SKIPPED_METADATA and not key.startswith('_')}
