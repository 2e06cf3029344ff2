"""Reading videos: times, colours, rotation, depth, tails, damage."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

import video.reader
from tests.clips import picture, read_times, write_clip
from video.ffmpeg import open_input
from video.reader import EXACT, VideoReader, to_rgb


def test_every_frame_with_its_time(tmp_path):
    path = write_clip(tmp_path / 'a.mp4', frames=31, rate=Fraction(30000, 1001))
    reader = VideoReader(path)
    frames = list(reader)
    assert [frame.index for frame in frames] == list(range(31)) and reader.damage == ''
    assert [frame.pts * reader.info.time_base for frame in frames] == [i * Fraction(1001, 30000) for i in range(31)]
    assert reader.frame_rate == Fraction(30000, 1001) and reader.info.frame_count == 31


def test_reading_twice_and_from_the_middle(tmp_path):
    reader = VideoReader(write_clip(tmp_path / 'a.mp4', frames=50, options={'g': '10', 'crf': '8'}))
    whole = list(reader)
    later = list(reader.frames(start=1.0))
    assert [frame.pts for frame in later] == [frame.pts for frame in whole[25:]]
    np.testing.assert_array_equal(later[0].pixels, whole[25].pixels)


@pytest.mark.parametrize('matrix', [1, 5])
@pytest.mark.parametrize('height', [480, 720])
def test_tagged_colours_are_exact_at_any_size(tmp_path, matrix, height):
    path = write_clip(tmp_path / 'a.mkv', 1, (64, height), codec='ffv1', pix_fmt='yuv444p', matrix=matrix)
    error = next(iter(VideoReader(path))).pixels.astype(float) - picture(0, 64, height)
    assert abs(error.mean()) < 0.2 and abs(error).max() <= 3


@pytest.mark.parametrize('height, assumed', [(480, 5), (720, 1)])
def test_untagged_colours_are_taken_as_players_take_them(tmp_path, height, assumed):
    """The same YUV values, tagged and untagged, must give the same RGB."""
    frame = av.VideoFrame.from_ndarray(picture(0, 64, height), 'rgb24').reformat(format='yuv444p',
                                                                                dst_colorspace=assumed)
    values = frame.to_ndarray()
    for name, tag in (('tagged', assumed), ('untagged', 2)):
        with av.open(str(tmp_path / f'{name}.mkv'), 'w') as container:
            stream = container.add_stream('ffv1', rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, height, 'yuv444p'
            stream.codec_context.colorspace = tag
            plain = av.VideoFrame.from_ndarray(values, 'yuv444p')
            plain.colorspace = tag
            container.mux(stream.encode(plain))
            container.mux(stream.encode(None))
    tagged, untagged = (next(iter(VideoReader(tmp_path / f'{n}.mkv'))).pixels for n in ('tagged', 'untagged'))
    np.testing.assert_array_equal(tagged, untagged)
    assert abs(untagged.astype(float) - picture(0, 64, height)).mean() < 1


@pytest.mark.parametrize('degrees', [90, 180, -90])
def test_rotation_is_applied(tmp_path, degrees):
    path = write_clip(tmp_path / 'a.mp4', 3, (64, 32), prepare=lambda stream: stream.set_display_rotation(degrees))
    reader = VideoReader(path)
    pixels = next(iter(reader)).pixels
    assert pixels.shape[:2] == ((64, 32) if degrees % 180 else (32, 64)) == (reader.info.height, reader.info.width)
    expected = np.rot90(picture(0, 64, 32), degrees // 90)      # counter-clockwise, as display matrices count
    assert abs(pixels.astype(float) - expected).mean() < 3


def test_rotation_agrees_with_the_matrix_phones_write(tmp_path):
    """Portrait phone video: the display matrix turns the picture clockwise."""
    matrix = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    path = write_clip(tmp_path / 'a.mp4', 2, (64, 32), prepare=lambda stream: stream.set_display_matrix(matrix))
    pixels = next(iter(VideoReader(path))).pixels
    assert abs(pixels.astype(float) - np.rot90(picture(0, 64, 32), -1)).mean() < 3


def test_pixel_aspect_turns_with_the_picture(tmp_path):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)
    assert VideoReader(write_clip(tmp_path / 'a.mp4', 2, prepare=prepare)).info.sample_aspect_ratio == Fraction(3, 4)


def test_ten_bits_are_kept(tmp_path):
    path = write_clip(tmp_path / 'a.mkv', 2, codec='ffv1', pix_fmt='yuv444p10le', matrix=1)
    reader = VideoReader(path)
    pixels = next(iter(reader)).pixels
    assert reader.info.bit_depth == 10 and pixels.dtype == np.uint16
    assert abs(pixels / 257 - picture(0, 64, 48)).mean() < 0.5


def test_full_range_is_kept_apart(tmp_path):
    path = write_clip(tmp_path / 'a.mkv', 1, pix_fmt='yuvj444p', options={'crf': '1'})
    reader = VideoReader(path)
    assert reader.info.color.full_range
    assert abs(next(iter(reader)).pixels.astype(float) - picture(0, 64, 48)).mean() < 1.5


def test_broken_timestamps_keep_order_and_count(tmp_path, monkeypatch):
    """Missing, repeated and backward times, as capture cards and joined files have them."""
    broken = [0, 512, 512, 100, None, 4000]
    decode = video.reader._decode

    def with_broken_times(container, stream, errors):
        for frame, pts in zip(decode(container, stream, errors), broken, strict=True):
            frame.pts = pts
            yield frame
    path = write_clip(tmp_path / 'a.mp4', 6)
    monkeypatch.setattr(video.reader, '_decode', with_broken_times)
    assert [frame.pts for frame in VideoReader(path)] == [0, 512, 513, 514, 514 + 512, 4000]


def test_truncated_file_gives_what_is_there_and_says_what_is_lost(tmp_path):
    whole = write_clip(tmp_path / 'whole.mp4', 60, (320, 240), options={'g': '10', 'crf': '4'})
    faststart = av.open(str(tmp_path / 'fast.mp4'), 'w', options={'movflags': 'faststart'})
    with faststart as out, av.open(str(whole)) as source:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = (tmp_path / 'fast.mp4').read_bytes()
    (tmp_path / 'cut.mp4').write_bytes(data[:len(data) * 6 // 10])
    reader = VideoReader(tmp_path / 'cut.mp4')
    frames = list(reader)
    assert 10 < len(frames) < 60
    assert 'cut.mp4 is damaged: read' in reader.damage
    assert read_times(whole)[:len(frames)] == [frame.pts * reader.info.time_base for frame in frames]


@pytest.mark.parametrize('make, message', [
    (lambda p: None, 'no such file'),
    (lambda p: p.write_text('this is a letter, not a film'), 'not a video that FFmpeg can read'),
    (lambda p: p.write_bytes(b''), 'not a video that FFmpeg can read'),
])
def test_files_that_are_no_videos(tmp_path, make, message):
    path = tmp_path / 'a.mp4'
    make(path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        VideoReader(path)


def test_audio_only_and_cover_pictures_are_no_videos(tmp_path):
    path = tmp_path / 'a.m4a'
    with av.open(str(path), 'w', format='mp4') as container:
        sound = container.add_stream('aac', rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), 'fltp', 'mono')
        frame.sample_rate = 48000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(ValueError, match='has no video stream, only audio'):
        VideoReader(path)


def test_zero_frames(tmp_path):
    path = tmp_path / 'a.mkv'
    write_clip(path, 1, codec='ffv1', pix_fmt='bgr0')
    with av.open(str(path)) as source, av.open(str(tmp_path / 'none.mkv'), 'w') as out:
        out.add_stream_from_template(source.streams.video[0])
        out.start_encoding()
    with pytest.raises(ValueError, match='not one frame of it can be decoded|not a video'):
        VideoReader(tmp_path / 'none.mkv')


@pytest.mark.parametrize('stored', ['yuv420p10le', 'yuv422p10le', 'yuv420p12le', 'yuv444p10le'])
@pytest.mark.parametrize('pixel_format', ['rgb48le', 'rgb24'])
def test_saturated_colours_of_deep_frames(stored, pixel_format):
    """swscale clips them on its straight way from 4:2:0 to 16-bit RGB."""
    for colour in ((60, 60, 210), (240, 10, 20), (5, 200, 90), (128, 128, 128), (250, 245, 3)):
        picture = np.full((16, 16, 3), 257, np.uint16) * np.array(colour, np.uint16)
        frame = VideoReformatter().reformat(av.VideoFrame.from_ndarray(picture, 'rgb48le'), format=stored,
                                            dst_colorspace=1, interpolation=EXACT)
        frame.colorspace = 1
        pixels = to_rgb(frame, pixel_format)[8, 8]
        assert np.abs(pixels / (257 if pixel_format == 'rgb48le' else 1) - colour).max() <= 1.1


def test_a_clip_is_opened_once_for_its_first_reading(tmp_path, monkeypatch):
    path, opened = write_clip(tmp_path / 'a.mp4', frames=12), []
    monkeypatch.setattr(video.reader, 'open_input', lambda *args: opened.append(args) or open_input(*args))
    reader = VideoReader(path)
    first = [frame.pixels for frame in reader]
    assert len(first) == 12 and len(opened) == 1
    again = [frame.pixels for frame in reader]
    assert len(opened) == 2
    np.testing.assert_array_equal(first, again)
