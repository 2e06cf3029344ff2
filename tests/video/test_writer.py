"""Writing videos: every container and codec, alpha read back, tags, odd sizes, audio, errors."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import picture, read_times, write_clip
from video.formats import CODECS, CONTAINERS
from video.frame import ColorTags, StreamInfo
from video.reader import VideoReader
from video.writer import VideoFileWriter

ROOT = Path(__file__).resolve().parents[2]
SOFTWARE_CODECS = sorted(name for name in CODECS if 'nvenc' not in name)


def info(width=64, height=48, rate=Fraction(25), **more) -> StreamInfo:
    return StreamInfo(width, height, rate, 1 / rate, **more)


def ramp(width: int, height: int, depth: int = 8) -> np.ndarray:
    """(H, W, 1) alpha from 0 to full over the width."""
    top = 255 if depth == 8 else 65535
    row = np.linspace(0, top, width).round().astype(np.uint8 if depth == 8 else np.uint16)
    return np.repeat(row[None, :, None], height, axis=0)


def write(path, frames=6, channels=3, width=64, height=48, stream_info=None, **settings):
    writer = VideoFileWriter(path, stream_info or info(width, height), channels, **settings)
    for index in range(frames):
        pixels = picture(index, width, height)
        if channels == 4:
            pixels = np.concatenate([pixels, ramp(width, height)], axis=2)
        if writer.bit_depth == 16:
            pixels = pixels.astype(np.uint16) * 257
        writer.write_frame(pixels, index)
    writer.close()
    return writer


def decode_rgba(path) -> list[np.ndarray]:
    """(H, W, 4) uint16 of every frame; VP9 through libvpx, because FFmpeg's own decoder drops alpha."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = stream.codec_context
        if decoder.name == 'vp9':
            decoder = av.CodecContext.create('libvpx-vp9', 'r')
            decoder.extradata = stream.codec_context.extradata
        for packet in container.demux(stream):
            frames += [_rgba16(frame) for frame in decoder.decode(packet)]
    return frames


def _rgba16(frame: av.VideoFrame) -> np.ndarray:
    if max(component.bits for component in frame.format.components) > 8:
        return frame.reformat(format='rgba64le').to_ndarray()
    return frame.reformat(format='rgba').to_ndarray().astype(np.uint16) * 257


@pytest.mark.parametrize('suffix', sorted(CONTAINERS))
def test_every_container_keeps_count_times_and_colour(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    write(path, frames=7)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    reader = VideoReader(path)
    frames = list(reader)
    assert len(frames) == 7 and reader.frame_rate == 25
    assert [float(t) for t in read_times(path)] == pytest.approx([i / 25 for i in range(7)], abs=1e-3)
    for frame in frames:
        error = frame.pixels / (257 if frame.pixels.itemsize == 2 else 1) - picture(frame.index, 64, 48)
        assert abs(error.mean()) < 0.5 and abs(error).mean() < 3


@pytest.mark.parametrize('codec', SOFTWARE_CODECS)
def test_every_codec_writes_a_readable_file(tmp_path, codec):
    suffix = '.webm' if codec == 'vp9' else '.mov' if codec in ('prores', 'qtrle', 'png') else '.mkv'
    write(tmp_path / f'a{suffix}', codec=codec, frames=3)
    frames = list(VideoReader(tmp_path / f'a{suffix}'))
    assert len(frames) == 3
    assert abs(frames[0].pixels / (257 if frames[0].pixels.itemsize == 2 else 1) - picture(0, 64, 48)).mean() < 3


@pytest.mark.parametrize('suffix', ['.mp4', '.mov', '.mkv'])
@pytest.mark.parametrize('codec', ['h264', 'hevc'])
@pytest.mark.parametrize('frames', [1, 2, 3, 4])
def test_clips_of_a_few_frames(tmp_path, suffix, codec, frames):
    """libx265 fills no dts where there are fewer pictures than it reorders: it is what lay in memory."""
    write(tmp_path / f'out{suffix}', frames, codec=codec)
    with av.open(str(tmp_path / f'out{suffix}')) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert all(abs((packet.dts or 0) * packet.time_base) < 1 for packet in packets)
    assert read_times(tmp_path / f'out{suffix}') == pytest.approx([index / 25 for index in range(frames)], abs=1e-3)


@pytest.mark.parametrize('name, codec, tolerance', [('a.mov', None, 0.6), ('a.webm', None, 2), ('a.mkv', None, 0),
                                                    ('a.mov', 'qtrle', 0), ('a.mov', 'png', 0)])
def test_alpha_comes_back(tmp_path, name, codec, tolerance):
    write(tmp_path / name, channels=4, codec=codec)
    frames = decode_rgba(tmp_path / name)
    assert len(frames) == 6
    for index, frame in enumerate(frames):
        assert abs(frame[..., 3] / 257 - ramp(64, 48)[..., 0]).mean() <= tolerance
        assert abs(frame[..., :3] / 257 - picture(index, 64, 48)).mean() < 3


def test_prores_keeps_colour_as_exactly_as_eight_bits_do(tmp_path):
    """With grain, which is what costs; a fixed quantiser must neither starve it nor cost what a search did."""
    grain = np.random.default_rng(0).normal(0, 3, (6, 96, 128, 1))
    frames = [np.concatenate([np.clip(picture(index, 128, 96) + grain[index], 0, 255).round().astype(np.uint8),
                              ramp(128, 96)], axis=2) for index in range(6)]
    writer = VideoFileWriter(tmp_path / 'a.mov', info(128, 96), 4)
    for index, frame in enumerate(frames):
        writer.write_frame(frame.astype(np.uint16) * 257, index)
    writer.close()
    for frame, decoded in zip(frames, decode_rgba(tmp_path / 'a.mov'), strict=True):
        luma = (decoded[..., :3] / 257 - frame[..., :3].astype(float)) @ [0.2126, 0.7152, 0.0722]
        assert 10 * np.log10(255 ** 2 / (luma ** 2).mean()) > 55
        assert np.abs(decoded[..., 3] / 257 - frame[..., 3]).max() < 0.6


def test_lossless_is_lossless(tmp_path):
    write(tmp_path / 'a.mkv', channels=4)
    for index, frame in enumerate(decode_rgba(tmp_path / 'a.mkv')):
        np.testing.assert_array_equal(frame[..., :3] // 257, picture(index, 64, 48))


def test_deep_sources_stay_deep_in_lossless_files(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (48, 64, 4), dtype=np.uint16)
    writer = VideoFileWriter(tmp_path / 'a.mkv', info(bit_depth=10), 4)
    writer.write_frame(pixels, 0)
    writer.close()
    np.testing.assert_array_equal(decode_rgba(tmp_path / 'a.mkv')[0], pixels)


@pytest.mark.parametrize('suffix', ['.mp4', '.mov'])
def test_variable_frame_rate_is_kept_exactly(tmp_path, suffix):
    pts = [0, 3003, 4500, 9000, 9001, 27000]
    stream_info = StreamInfo(64, 48, Fraction(30), Fraction(1, 90000))
    writer = VideoFileWriter(tmp_path / f'a{suffix}', stream_info)
    for index, time in enumerate(pts):
        pixels = picture(index, 64, 48)
        writer.write_frame(pixels.astype(np.uint16) * 257 if writer.bit_depth == 16 else pixels, time)
    writer.close()
    assert read_times(tmp_path / f'a{suffix}') == [Fraction(time, 90000) for time in pts]


@pytest.mark.parametrize('suffix, expected', [('.mp4', (64, 48)), ('.webm', (63, 47)), ('.mov', (63, 47)),
                                              ('.mkv', (63, 47))])
def test_odd_sizes(tmp_path, suffix, expected):
    writer = write(tmp_path / f'a{suffix}', width=63, height=47)
    frame = next(iter(VideoReader(tmp_path / f'a{suffix}')))
    assert frame.pixels.shape[1::-1] == expected
    assert any('even sides' in note for note in writer.notes) == (suffix == '.mp4')
    scale = 257 if frame.pixels.itemsize == 2 else 1
    assert abs(frame.pixels[:47, :63] / scale - picture(0, 63, 47)).mean() < 3


@pytest.mark.parametrize('height, tags, expected', [
    (48, ColorTags(), (6, 6, 6)), (720, ColorTags(), (1, 1, 1)), (720, ColorTags(6, 6, 6), (6, 6, 6)),
    (48, ColorTags(9, 9, 16), (9, 9, 16))])
def test_colour_tags_are_those_of_the_source(tmp_path, height, tags, expected):
    write(tmp_path / 'a.mp4', frames=1, height=height, stream_info=info(64, height, color=tags))
    with av.open(str(tmp_path / 'a.mp4')) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == expected
        assert context.color_range == 1
    assert abs(next(iter(VideoReader(tmp_path / 'a.mp4'))).pixels.astype(float) - picture(0, 64, height)).mean() < 3


def test_grey_alpha_video_is_neutral_and_spans_black_to_white(tmp_path):
    writer = VideoFileWriter(tmp_path / 'a.mp4', info(), 1)
    for index in range(3):
        writer.write_frame(ramp(64, 48), index)
    writer.close()
    pixels = next(iter(VideoReader(tmp_path / 'a.mp4'))).pixels.astype(int)
    assert abs(pixels - ramp(64, 48)).max() <= 3 and np.ptp(pixels, axis=2).max() <= 2


def test_pixel_aspect_is_kept(tmp_path):
    write(tmp_path / 'a.mp4', stream_info=info(sample_aspect_ratio=Fraction(4, 3)))
    assert VideoReader(tmp_path / 'a.mp4').info.sample_aspect_ratio == Fraction(4, 3)


def audio_of(path) -> tuple[str, np.ndarray, float]:
    """(codec, mono samples at 48 kHz, start [s]) of the first audio track."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(audio=0))
        resampler = av.AudioResampler('fltp', 'mono', 48000)
        samples = np.concatenate([mono.to_ndarray()[0] for frame in frames for mono in resampler.resample(frame)])
        return stream.codec.canonical_name, samples, float(frames[0].pts * frames[0].time_base)


@pytest.mark.parametrize('source, target, codec', [
    ('.mp4', '.mp4', 'aac'), ('.mp4', '.mov', 'aac'), ('.mp4', '.mkv', 'aac'), ('.mp4', '.webm', 'opus'),
    ('.mkv', '.mp4', 'flac'), ('.webm', '.mov', 'aac')])
def test_audio_is_copied_where_it_fits_and_encoded_where_not(tmp_path, source, target, codec):
    sound = {'.mp4': 'aac', '.mkv': 'flac', '.webm': 'libopus'}[source]
    video_codec = 'libvpx-vp9' if source == '.webm' else 'libx264'
    clip = write_clip(tmp_path / f'in{source}', 50, codec=video_codec, audio=sound, rate=25)
    writer = write(tmp_path / f'out{target}', frames=50, audio_from=clip)
    name, samples, start = audio_of(tmp_path / f'out{target}')
    assert name == codec
    assert len(samples) == pytest.approx(96000, rel=0.03) and abs(start) < 0.05
    spectrum = np.abs(np.fft.rfft(samples[:48000]))
    assert abs(np.argmax(spectrum) - 440) <= 1
    copied = codec == {'aac': 'aac', 'flac': 'flac', 'libopus': 'opus'}[sound]
    assert any('encoded as' in note for note in writer.notes) != copied
    if copied:
        packets = [[bytes(p) for p in av.open(str(f)).demux(audio=0) if p.size]
                   for f in (clip, tmp_path / f'out{target}')]
        assert packets[0] == packets[1]


def test_metadata_language_and_chapters_travel(tmp_path):
    clip = tmp_path / 'in.mkv'
    write_clip(clip, 25, audio='flac')
    with av.open(str(clip)) as source, av.open(str(tmp_path / 'tagged.mkv'), 'w') as out:
        streams = [out.add_stream_from_template(stream) for stream in source.streams]
        streams[1].metadata['language'] = 'fra'
        out.metadata['title'] = 'Holiday'
        out.set_chapters([{'id': 1, 'start': 0, 'end': 500, 'time_base': Fraction(1, 1000),
                           'metadata': {'title': 'Beach'}}])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    write(tmp_path / 'out.mkv', frames=25, audio_from=tmp_path / 'tagged.mkv')
    with av.open(str(tmp_path / 'out.mkv')) as container:
        assert container.metadata['title'] == 'Holiday'
        assert container.streams.audio[0].metadata['language'] == 'fra'
        assert container.chapters()[0]['metadata']['title'] == 'Beach'


def test_transport_stream_clock_is_set_back_and_sound_stays_in_step(tmp_path):
    clip = write_clip(tmp_path / 'in.ts', 50, audio='aac', start=10)
    reader = VideoReader(clip)
    frames = list(reader)
    assert frames[0].pts * reader.info.time_base > 9        # as a recording that was cut out of a broadcast
    writer = VideoFileWriter(tmp_path / 'out.mp4', reader.info, audio_from=clip)
    for frame in frames:
        writer.write_frame(frame.pixels, frame.pts)
    writer.close()
    with av.open(str(clip)) as container:
        first_audio = next(container.decode(audio=0))
        offset = float(first_audio.pts * first_audio.time_base - frames[0].pts * reader.info.time_base)
    video_start = float(read_times(tmp_path / 'out.mp4')[0])
    assert video_start < 0.2
    assert audio_of(tmp_path / 'out.mp4')[2] - video_start == pytest.approx(offset, abs=0.03)


def test_bit_rate_and_options_reach_the_encoder(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 240, 320, 3), dtype=np.uint8)
    sizes = {}
    for name, settings in {'low': {'bit_rate': 200_000}, 'high': {'bit_rate': 4_000_000}, 'crf40': {'crf': 40},
                           'crf18': {}, 'keyframes': {'options': {'g': '1'}}}.items():
        writer = VideoFileWriter(tmp_path / f'{name}.mp4', info(320, 240), **settings)
        for index, pixels in enumerate(noise):
            writer.write_frame(pixels, index)
        writer.close()
        sizes[name] = (tmp_path / f'{name}.mp4').stat().st_size
    assert sizes['low'] < sizes['high'] / 3 and sizes['crf40'] < sizes['crf18'] / 2
    with av.open(str(tmp_path / 'keyframes.mp4')) as container:
        assert all(packet.is_keyframe for packet in container.demux(video=0) if packet.size)


@pytest.mark.parametrize('call, message', [
    (lambda p: VideoFileWriter(p / 'a.avi', info()), 'cannot write .avi as video: use one of .mp4'),
    (lambda p: VideoFileWriter(p / 'a.mp4', info(), 4), 'libx264 cannot hold alpha: use .mov'),
    (lambda p: VideoFileWriter(p / 'a.mp4', info(), codec='divx'), 'codec must be one of .*h264.*got .divx'),
    (lambda p: VideoFileWriter(p / 'a.mp4', info(), codec='h264_nvenc'), 'h264_nvenc (failed|cannot be used)'),
    (lambda p: VideoFileWriter(p / 'a.webm', info(), codec='h264'), 'a.webm: libx264 cannot be used here'),
    (lambda p: VideoFileWriter(p / 'a.mp4', info(), options={'preset': 'warp'}), 'libx264 failed.*check --codec'),
    (lambda p: VideoFileWriter('/dev/null/a.mp4', info()), 'a.mp4 cannot be written'),
])
def test_bad_settings(tmp_path, call, message):
    with pytest.raises((ValueError, PermissionError), match=message):
        call(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_frame_and_abort_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match='no frame to write'):
        VideoFileWriter(tmp_path / 'a.mp4', info()).close()
    writer = VideoFileWriter(tmp_path / 'a.mp4', info())
    writer.write_frame(picture(0, 64, 48), 0)
    writer.abort()
    assert list(tmp_path.iterdir()) == []


ABORT = """
import sys
from tests.clips import picture
from tests.video.test_writer import VideoFileWriter, info
for count in (0, 1, 5):
    writer = VideoFileWriter(sys.argv[1], info(), live=True)
    for index in range(count):
        writer.write_frame(picture(index, 64, 48), index)
    writer.abort()
"""


@pytest.mark.parametrize('suffix', ['.mp4', '.mov', '.mkv'])
def test_a_recording_given_up_before_its_first_packet_leaves_nothing(tmp_path, suffix):
    """Found by tests/fuzz/kill.py: it was a segmentation fault."""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', ABORT, tmp_path / f'out{suffix}'], cwd=ROOT,
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '') and list(tmp_path.iterdir()) == []


def test_size_change_is_refused_by_name(tmp_path):
    writer = VideoFileWriter(tmp_path / 'a.mp4', info())
    with pytest.raises(ValueError, match='a frame is 32x24, the video started with 64x48'):
        writer.write_frame(picture(0, 32, 24), 0)
    writer.abort()
