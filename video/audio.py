"""Audio, subtitles, chapters and metadata of the source, carried into an output file."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from .formats import Container

# what the muxer writes itself, or what Matroska's statistics said of the old file
SKIPPED_METADATA = {'encoder', 'major_brand', 'minor_version', 'compatible_brands', 'duration', 'bps',
                    'number_of_frames', 'number_of_bytes'}


class Companions:
    """Streams of the source that travel along with the picture.

    Audio is copied packet by packet when the container takes its codec and encoded anew when it does not; subtitles are
    copied or left out. All keep their timestamps, so they stay in step with the picture.

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
        self._input = av.open(str(source))
        self._output = output
        self._copied, self._encoded, self._unreadable = {}, {}, 0
        for stream in self._input.streams:
            name = stream.codec_context.name if stream.codec_context else None
            if stream.type == 'audio' and name is None:
                self.notes.append(f'audio track {stream.index} left out: unknown codec')
            elif stream.type == 'audio':
                self._add_audio(stream, container)
            elif stream.type == 'subtitle' and name in container.subtitles:
                self._copied[stream.index] = output.add_stream_from_template(stream)
            elif stream.type == 'subtitle':
                self.notes.append(f'subtitle track {stream.index} ({name}) left out: the container cannot hold it')
        for index, stream in {**self._copied, **self._encoded}.items():
            stream.metadata.update(_lasting(self._input.streams[index].metadata))
        output.metadata.update(_lasting(self._input.metadata))
        output.set_chapters(self._input.chapters())
        self._packets = self._read() if self._copied or self._encoded else iter(())
        self._pending = next(self._packets, None)

    def _add_audio(self, stream: av.AudioStream, container: Container) -> None:
        canonical = stream.codec.canonical_name     # 'mp3', where the decoder's name may be 'mp3float'
        if container.audio is None or canonical in container.audio:
            self._copied[stream.index] = self._output.add_stream_from_template(stream)
            return
        encoded = self._output.add_stream(container.audio_encoder, rate=_rate_for(container.audio_encoder, stream.rate))
        encoded.layout = stream.layout.name
        self._encoded[stream.index] = encoded
        self.notes.append(f'audio track {stream.index}: {canonical} encoded as {container.audio_encoder}')

    def _read(self) -> Iterator[tuple[Fraction, list[av.Packet]]]:
        """(time [s], packets ready to mux), in the order of the source."""
        streams = [self._input.streams[index] for index in (*self._copied, *self._encoded)]
        time = Fraction(0)
        try:
            for packet in self._input.demux(streams):
                if packet.pts is not None and packet.time_base:
                    time = packet.pts * Fraction(packet.time_base)
                yield time, self._convert(packet)
        except av.FFmpegError as error:
            self.notes.append(f'audio ends at {float(time):.2f} s: {error.strerror}')
        for stream in self._encoded.values():
            yield time, stream.encode(None)

    def _convert(self, packet: av.Packet) -> list[av.Packet]:
        index = packet.stream.index
        if index in self._copied:
            if packet.dts is None:       # the demuxer's end mark
                return []
            packet.stream = self._copied[index]
            return [packet]
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self._unreadable += 1
            return []
        return [encoded for frame in frames for encoded in self._encoded[index].encode(frame)]

    def mux_until(self, time: Fraction | None) -> None:
        """Write everything up to `time` [s] of the source; None writes the rest."""
        while self._pending is not None and (time is None or self._pending[0] <= time):
            for packet in self._pending[1]:
                if self._origin:
                    shift = int(self._origin / packet.time_base)
                    packet.pts = None if packet.pts is None else packet.pts - shift
                    packet.dts -= shift
                self._output.mux(packet)
            self._pending = next(self._packets, None)
        if self._pending is None and self._unreadable:
            self.notes.append(f'{self._unreadable} damaged audio packets left out')
            self._unreadable = 0

    def close(self) -> None:
        self._input.close()


def _lasting(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items()
            if key.lower() not in SKIPPED_METADATA and not key.startswith('_')}


def _rate_for(encoder: str, rate: int) -> int:
    """Opus knows five sampling rates [Hz]; the other encoders take what comes."""
    if encoder == 'libopus' and rate not in (8000, 12000, 16000, 24000, 48000):
        return 48000
    return rate
