"""One audio track encoded anew, whatever its rate, its channels, and their order, and although they change on the way.

PyAV 18 frees a channel order of the file's own making twice: reading `layout` or `channels` of such a stream or frame
kills the process. PCM is therefore taken from its packets, and other codecs are looked at in a process of their own.
"""

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

PCM = {'pcm_u8': ('u1', 'u8'), 'pcm_s16le': ('<i2', 's16'), 'pcm_s16be': ('>i2', 's16'), 'pcm_s32le': ('<i4', 's32'),
       'pcm_s32be': ('>i4', 's32'), 'pcm_f32le': ('<f4', 'flt'), 'pcm_f32be': ('>f4', 'flt'),
       'pcm_f64le': ('<f8', 'dbl'), 'pcm_f64be': ('>f8', 'dbl'), 'pcm_s24le': (None, 's32'), 'pcm_s24be': (None, 's32')}
LAYOUTS = {1: 'mono', 2: 'stereo', 3: '3.0', 4: 'quad', 5: '5.0', 6: '5.1', 7: '6.1', 8: '7.1'}   # by channels
ENCODED = {1: 'mono', 2: 'stereo', 3: '5.1', 4: '5.1', 5: '5.1', 6: '5.1'}      # what every encoder and player takes
PROBE = """
import sys
from video.ffmpeg import open_input
with open_input(sys.argv[1]) as container:
    stream = container.streams[int(sys.argv[2])]
    print(stream.codec_context.channels, stream.codec_context.layout.name, flush=True)
    print(next(container.decode(stream)).layout.name, flush=True)
"""


class TrackError(ValueError):
    """A track cannot be carried along; the message says why."""


class EncodedTrack:
    """Decode, resample, encode.

    Args:
        stream: of the source.
        output: container to add the new stream to.
        encoder: name of the encoder.
    Raises:
        TrackError: nothing in it that can be encoded; `output` is as it was.
    """

    def __init__(self, path: Path, stream: av.AudioStream, output: av.container.OutputContainer, encoder: str):
        self.source, self.unreadable = stream, 0
        rate, self._pcm = stream.codec_context.sample_rate, PCM.get(stream.codec_context.name)
        if not rate:
            raise TrackError('it does not say its rate')
        if self._pcm is None:
            channels = probe_channels(path, stream.index)
        else:
            channels = stream.codec_context.bit_rate // (rate * pcm_bytes(stream.codec_context.name) * 8)
        if not channels:
            raise TrackError('it has no channels')
        self._channels, self._rate = channels, rate
        self._layout = ENCODED.get(channels, 'stereo' if channels > 8 else '5.1')
        self._format, self._new_rate = encoder_settings(encoder, rate)
        check_encoder(encoder, self._new_rate, self._layout)
        self.encoded = output.add_stream(encoder, rate=self._new_rate)
        self.encoded.layout = self._layout
        self._setup, self._resampler, self._next = None, None, None

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Packets of the new stream; a damaged packet gives none and is counted."""
        encoded = []
        try:
            for frame in self._frames(packet):
                encoded += self._encode(frame)
        except (av.FFmpegError, ValueError):
            self.unreadable += 1
        return encoded

    def flush(self) -> list[av.Packet]:
        """What is still on its way."""
        try:
            rest = self._drain()
            return rest + list(self.encoded.encode(None))
        except (av.FFmpegError, ValueError):
            self.unreadable += 1
            return []

    def _frames(self, packet: av.Packet) -> Iterator[av.AudioFrame]:
        if self._pcm is None:
            yield from packet.decode()
            return
        samples = pcm_samples(bytes(packet), self.source.codec_context.name, self._channels)
        if not len(samples) or packet.pts is None:
            return
        used = samples if self._channels <= 8 else samples[:, :2]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(used).reshape(1, -1), self._pcm[1],
                                           LAYOUTS[used.shape[1]])
        frame.sample_rate, frame.pts, frame.time_base = self._rate, packet.pts, packet.time_base
        yield frame

    def _encode(self, frame: av.AudioFrame) -> list[av.Packet]:
        packets, setup = [], (frame.sample_rate, frame.format.name, self._channels if self._pcm else frame.layout.name)
        if setup != self._setup:
            packets += self._drain()
            self._resampler = av.AudioResampler(self._format, self._layout, self._new_rate)
            self._setup = setup
        for resampled in self._resampler.resample(frame):
            packets += self._send(resampled)
        return packets

    def _drain(self) -> list[av.Packet]:
        if self._resampler is None:
            return []
        return [packet for frame in self._resampler.resample(None) for packet in self._send(frame)]

    def _send(self, frame: av.AudioFrame) -> list[av.Packet]:
        """Encoders want times that increase."""
        time = self._next or 0
        if frame.pts is not None and frame.time_base is not None:
            time = max(time, round(frame.pts * Fraction(frame.time_base) * self._new_rate))
        frame.pts, frame.time_base = time, Fraction(1, self._new_rate)
        self._next = time + frame.samples
        return list(self.encoded.encode(frame))


def pcm_bytes(codec: str) -> int:
    """Of one sample."""
    return 3 if PCM[codec][0] is None else np.dtype(PCM[codec][0]).itemsize


def pcm_samples(data: bytes, codec: str, channels: int) -> np.ndarray:
    """(N, channels) of a packet of PCM, the last sample dropped if it is cut."""
    kind = PCM[codec][0]
    if kind is not None:
        samples = np.frombuffer(data, kind, len(data) // np.dtype(kind).itemsize)
    else:                                    # 24 bits, widened to 32
        raw = np.frombuffer(data, np.uint8, len(data) // 3 * 3).reshape(-1, 3)
        wide = np.zeros((len(raw), 4), np.uint8)
        wide[:, 1:] = raw if codec.endswith('le') else raw[:, ::-1]
        samples = wide.view('<i4')[:, 0]
    samples = samples[:len(samples) // channels * channels].reshape(-1, channels)
    return samples.astype(samples.dtype.newbyteorder('='))


def encoder_settings(encoder: str, rate: int) -> tuple[str, int]:
    """(sample format, rate) that the encoder takes, the rate the nearest one not below if there is one."""
    codec = av.Codec(encoder, 'w')
    rates = sorted(codec.audio_rates or ())
    if rates and rate not in rates:
        rate = next((known for known in rates if known > rate), rates[-1])
    formats = [kind.name for kind in codec.audio_formats or ()]
    return (formats[0] if formats else 'fltp'), min(rate, 192_000)


def check_encoder(encoder: str, rate: int, layout: str) -> None:
    """TrackError if it does not start with these, found out beside the output."""
    context = av.CodecContext.create(encoder, 'w')
    context.format, context.sample_rate, context.layout = encoder_settings(encoder, rate)[0], rate, layout
    context.time_base = Fraction(1, rate)
    try:
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise TrackError(f'{encoder} does not take {rate} Hz, {layout} ({error})') from error


def probe_channels(path: Path, index: int) -> int:
    """Number of channels of a track.

    Raises:
        TrackError: they have an order that ends a process which reads it, or nothing of the track can be decoded.
    """
    try:
        done = subprocess.run([sys.executable, '-W', 'ignore', '-c', PROBE, str(Path(path).absolute()), str(index)],
                              text=True, capture_output=True, cwd=Path(__file__).resolve().parents[1], timeout=60)
    except subprocess.TimeoutExpired as error:
        raise TrackError('it cannot be decoded') from error
    if done.returncode < 0 or ' channels (' in done.stdout:
        raise TrackError('its channels have an order that PyAV cannot read')
    if done.returncode:
        raise TrackError('it has no data, or nothing of it can be decoded')
    return int(done.stdout.split()[0])
