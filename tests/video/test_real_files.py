"""Files as cameras, phones, recorders and old programs make them: they convert, or one line says why not."""

import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from inference import convert_video
from tests.clips import BrightnessNetwork, picture, read_times, write_clip
from video.audio import Companions
from video.ffmpeg import open_input
from video.reader import VideoReader

NETWORK = BrightnessNetwork()
needs_ffmpeg = pytest.mark.skipif(shutil.which('ffmpeg') is None, reason='needs the program ffmpeg to make such a file')


def convert(source, output, **settings):
    return convert_video(NETWORK, source, output_composition=output, progress=False, **settings)


def sound_of(path: Path) -> list[tuple[str, int, float]]:
    """(codec, rate, seconds) of each audio track."""
    with av.open(str(path)) as container:
        tracks = []
        for stream in container.streams.audio:
            container.seek(0)
            samples = sum(frame.samples for frame in container.decode(stream))
            tracks.append((stream.codec.canonical_name, stream.rate, samples / stream.rate))
    return tracks


def ffmpeg(*arguments) -> None:
    subprocess.run(['ffmpeg', '-nostdin', '-v', 'error', '-y', *map(str, arguments)], check=True, timeout=60)


# ------------------------------------------------------------------------------------------------------------- the door

@pytest.mark.parametrize('name', ['2023-01-01T12:30:00.mp4', 'take%03d.mp4', 'a b\tc.mp4', '-dash.mp4',
                                  os.fsdecode(b'caf\xe9.mp4'), 'file:x.mp4'])
def test_every_name_is_read_and_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / 'clip.mp4', 4).rename(name)
    convert(name, f'out_{name}', background=name)
    assert sum(1 for _ in VideoReader(f'out_{name}')) == 4


@pytest.mark.parametrize('suffix', ['.mp4', '.avi'])       # Matroska has a checksum; see the case in ../shared
def test_tags_in_any_encoding(tmp_path, suffix):
    path = tmp_path / f'in{suffix}'
    clip = write_clip(tmp_path / f'plain{suffix}', 4)
    with av.open(str(clip)) as source, av.open(str(path), 'w') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        target.metadata['title'] = 'cafe_of_old_cameras'
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    path.write_bytes(path.read_bytes().replace(b'cafe_of', b'caf\xe9_of'))
    assert convert(path, tmp_path / 'out.mp4').frames == 4


PLAYLISTS = {'a.m3u8': '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.6,\n{}\n#EXT-X-ENDLIST\n',
             'b.mp4': '#EXTM3U\n#EXTINF:0.6,\n{}\n#EXT-X-ENDLIST\n',
             'c.ffconcat': 'ffconcat version 1.0\nfile {}\n',
             'd.mp4': 'ffconcat version 1.0\nfile {}\n',
             'e.sdp': 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n',
             'f.mpd': '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>\n'}


@pytest.mark.parametrize('name', PLAYLISTS)
def test_playlists_read_no_other_file(tmp_path, name):
    write_clip(tmp_path / 'secret.ts', 5)
    (tmp_path / name).write_text(PLAYLISTS[name].format('secret.ts'))
    for use in (lambda: VideoReader(tmp_path / name), lambda: open_input(tmp_path / name),
                lambda: convert(tmp_path / 'secret.ts', tmp_path / 'o.mp4', background=tmp_path / name)):
        with pytest.raises(ValueError, match=f'{name} is a (playlist|list of files|session description)'):
            use()


def test_what_is_no_file_is_refused_in_words(tmp_path):
    os.mkfifo(tmp_path / 'pipe.mp4')
    address = 'https://example.org/a.mp4'
    for source, message in ((address, f'^{address} is an address: only files are read; download it first'),
                            (Path(address), f'^{address} is an address'),
                            ('rtsp:/example.org/a', 'is an address'), ('-', 'standard input cannot be read'),
                            (tmp_path / 'pipe.mp4', 'is a pipe or a device'), ('/dev/null', 'is a pipe or a device')):
        with pytest.raises(ValueError, match=message):
            VideoReader(source)


@pytest.mark.parametrize('content, message', [
    ('version https://git-lfs.github.com/spec/v1\n', 'a pointer of Git LFS'), ('<!DOCTYPE html>\n', 'a web page'),
    ('  <html>', 'a web page')])
def test_downloads_that_went_wrong_are_called_what_they_are(tmp_path, content, message):
    (tmp_path / 'a.mp4').write_text(content)
    with pytest.raises(ValueError, match=message):
        VideoReader(tmp_path / 'a.mp4')


# ---------------------------------------------------------------------------------------------------------------- sound

@pytest.mark.parametrize('suffix, codec', [('.avi', 'pcm_s16le'), ('.mkv', 'pcm_s24le'), ('.mkv', 'pcm_f32le'),
                                           ('.mov', 'pcm_s16be'), ('.avi', 'pcm_u8'),
                                           ('.avi', 'adpcm_ms'), ('.mov', 'pcm_alaw'), ('.mkv', 'ac3')])
@pytest.mark.parametrize('target', ['.mp4', '.webm'])
def test_sound_without_an_order_of_channels(tmp_path, suffix, codec, target):
    clip = write_clip(tmp_path / f'in{suffix}', 25, codec='mpeg4', audio=codec)
    report = convert(clip, tmp_path / f'out{target}')
    (_, _, seconds), = sound_of(tmp_path / f'out{target}')
    assert seconds == pytest.approx(1, abs=0.1) and report.frames == 25
    assert not any('left out' in note or 'damaged' in note for note in report.notes), report.notes


@pytest.mark.parametrize('rate, expected', [(11024, 11025), (192_000, 96_000), (44_100, 44_100), (5_512, 7_350)])
def test_rates_that_aac_does_not_know(tmp_path, rate, expected):
    path = tmp_path / 'in.mkv'
    write_clip(tmp_path / 'clip.mp4', 25)
    with av.open(str(tmp_path / 'clip.mp4')) as source, av.open(str(path), 'w') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream('pcm_s16le', rate=rate)
        sound.layout = 'stereo'
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * rate), np.int16), 's16', 'stereo')
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    convert(path, tmp_path / 'out.mp4')
    (codec, new_rate, seconds), = sound_of(tmp_path / 'out.mp4')
    assert (codec, new_rate) == ('aac', expected) and seconds == pytest.approx(1, abs=0.15)


@needs_ffmpeg
@pytest.mark.parametrize('layout', ['6.1', '5.1(side)', '2.1', '4.0', '7.1', 'quad', '3.0'])
@pytest.mark.parametrize('suffix', ['.mov', '.mkv'])
def test_many_channels_and_orders_of_a_files_own(tmp_path, layout, suffix):
    """6.1 PCM in QuickTime ends a process that reads its layout through PyAV 18."""
    clip = write_clip(tmp_path / 'clip.mp4', 10)
    ffmpeg('-i', clip, '-f', 'lavfi', '-i', 'anoisesrc=r=48000:d=0.4', '-filter_complex',
           f'[1:a]aformat=channel_layouts={layout}[a]', '-map', '0:v', '-map', '[a]', '-c:v', 'copy',
           '-c:a', 'pcm_s16le', tmp_path / f'in{suffix}')
    convert(tmp_path / f'in{suffix}', tmp_path / 'out.mp4')
    assert sound_of(tmp_path / 'out.mp4')[0][2] == pytest.approx(0.4, abs=0.1)


@needs_ffmpeg
def test_an_order_of_the_files_own_outside_pcm_is_left_out(tmp_path):
    clip = write_clip(tmp_path / 'clip.mp4', 10)
    ffmpeg('-i', clip, '-f', 'lavfi', '-i', 'anoisesrc=r=48000:d=0.4', '-filter_complex',
           '[1:a]aformat=channel_layouts=6.1[a]', '-map', '0:v', '-map', '[a]', '-c:v', 'copy', '-c:a', 'alac',
           tmp_path / 'in.mov')
    report = convert(tmp_path / 'in.mov', tmp_path / 'out.webm')
    assert report.frames == 10          # the process lives, with the sound or without


@needs_ffmpeg
def test_a_layout_that_changes_on_the_way(tmp_path):
    clip = write_clip(tmp_path / 'clip.mp4', 20)
    for name, layout in (('a', 'stereo'), ('b', 'mono')):
        ffmpeg('-i', clip, '-f', 'lavfi', '-i', 'sine=r=48000:d=0.8', '-filter_complex',
               f'[1:a]aformat=channel_layouts={layout}[a]', '-map', '0:v', '-map', '[a]', '-c:v', 'copy', '-c:a', 'ac3',
               tmp_path / f'{name}.ts')
    (tmp_path / 'in.ts').write_bytes((tmp_path / 'a.ts').read_bytes() + (tmp_path / 'b.ts').read_bytes())
    convert(tmp_path / 'in.ts', tmp_path / 'out.webm')
    assert sound_of(tmp_path / 'out.webm')[0][2] == pytest.approx(1.6, abs=0.2)


def test_damaged_sound_does_not_cost_the_picture(tmp_path):
    clip = write_clip(tmp_path / 'in.mkv', 25, audio='libvorbis' if 'libvorbis' in av.codecs_available else 'aac')
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size > 16]
    rng = np.random.default_rng(0)
    for packet in packets[::3]:
        at = data.find(packet)
        data[at + 4:at + len(packet)] = rng.bytes(len(packet) - 4)
    (tmp_path / 'bad.mkv').write_bytes(data)
    assert convert(tmp_path / 'bad.mkv', tmp_path / 'out.webm').frames == 25
    assert convert(tmp_path / 'bad.mkv', tmp_path / 'out.mp4').frames == 25


@pytest.mark.parametrize('codec, head', [('libopus', b'OpusHead'), ('flac', b'fLaC')])
def test_sound_with_a_damaged_head_does_not_cost_the_picture(tmp_path, codec, head):
    """Found by tests/fuzz: MP4 looks at the head of a track when it is closed, and then all was lost."""
    clip = write_clip(tmp_path / 'in.mkv', 25, codec='mpeg4', audio=codec)
    data = bytearray(clip.read_bytes())
    private = data.rfind(b'\x63\xa2', 0, data.index(head))       # CodecPrivate becomes an element that nobody knows
    data[private + 1] = 0xa3
    clip.write_bytes(data)
    assert convert(clip, tmp_path / 'out.mp4').frames == 25
    assert sum(1 for _ in VideoReader(tmp_path / 'out.mp4')) == 25


def test_sound_that_the_container_refuses_is_left_out(tmp_path, monkeypatch):
    def refuse(self, *arguments):
        raise av.error.InvalidDataError(1, 'no such sound here')
    monkeypatch.setattr(Companions, '__init__', refuse)
    report = convert(write_clip(tmp_path / 'in.mp4', 5, audio='aac'), tmp_path / 'out.mp4')
    assert report.frames == 5 and any('sound and subtitles left out' in note for note in report.notes)


# ------------------------------------------------------------------------------------------------------------ the clock

def test_joined_transport_streams_keep_their_pace(tmp_path):
    piece = write_clip(tmp_path / 'a.ts', 15, audio='aac').read_bytes()
    (tmp_path / 'in.ts').write_bytes(piece * 3)
    convert(tmp_path / 'in.ts', tmp_path / 'out.mp4')
    times = read_times(tmp_path / 'out.mp4')
    assert [float(b - a) for a, b in zip(times, times[1:])] == pytest.approx([0.04] * 44, abs=1e-3)
    assert sound_of(tmp_path / 'out.mp4')[0][2] == pytest.approx(1.8, abs=0.15)


@pytest.mark.parametrize('suffix', ['.mkv', '.webm', '.flv', '.ts'])
def test_a_clock_that_starts_at_an_hour(tmp_path, suffix):
    clip = write_clip(tmp_path / f'in{suffix}', 15, codec='libvpx' if suffix == '.webm' else 'libx264', start=3600)
    report = convert(clip, tmp_path / 'out.mp4')
    times = read_times(tmp_path / 'out.mp4')
    assert times[0] < 1 and times[-1] - times[0] == pytest.approx(0.56, abs=2e-3) and report.status == 'done'


@pytest.mark.parametrize('suffix', ['.mov', '.mp4', '.mkv'])
def test_the_last_picture_is_held(tmp_path, suffix):
    frames = [Image.new('RGB', (96, 64), (n * 40, 90, 60)) for n in range(6)]
    frames[0].save(tmp_path / 'in.gif', save_all=True, append_images=frames[1:], duration=[100] * 5 + [4000])
    convert(tmp_path / 'in.gif', tmp_path / f'out{suffix}')
    with av.open(str(tmp_path / f'out{suffix}')) as container:
        assert container.duration / av.time_base == pytest.approx(4.5, abs=0.05)


@needs_ffmpeg
def test_time_codes_of_streams_are_kept(tmp_path):
    ffmpeg('-i', write_clip(tmp_path / 'clip.mp4', 10), '-c', 'copy', '-timecode', '01:00:00:00', tmp_path / 'in.mov')
    convert(tmp_path / 'in.mov', tmp_path / 'out.mov')
    with av.open(str(tmp_path / 'out.mov')) as container:
        assert '01:00:00:00' in [stream.metadata.get('timecode') for stream in container.streams]


@pytest.mark.parametrize('suffix', ['.mkv', '.flv', '.avi'])
def test_a_file_cut_off_with_several_streams_is_noticed(tmp_path, suffix):
    clip = write_clip(tmp_path / f'in{suffix}', 120, (160, 120), audio='aac' if suffix != '.avi' else 'mp3',
                      options={'g': '10', 'crf': '4'})
    assert convert(clip, tmp_path / 'whole.mp4').status == 'done'
    data = clip.read_bytes()
    clip.write_bytes(data[:len(data) // 2])
    report = convert(clip, tmp_path / 'half.mp4')
    assert report.status == 'damaged' and 30 < report.frames < 90


def test_sound_longer_than_the_picture_is_no_damage(tmp_path):
    path = tmp_path / 'in.mkv'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        sound = container.add_stream('aac', rate=48000)
        sound.layout = 'mono'
        for index in range(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index, 64, 48), 'rgb24')))
        container.mux(stream.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000 * 4), np.float32), 'fltp', 'mono')
        frame.sample_rate = 48000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert convert(path, tmp_path / 'out.mp4').status == 'done'


# ------------------------------------------------------------------------------------------------------ colours, covers

def write_tagged(path: Path, planes: np.ndarray, matrix: int, full: bool) -> None:
    """A clip of YUV planes (3, H, W) as they are, with a matrix tag."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25, options={'qp': '0'})
        stream.height, stream.width = planes.shape[1:]
        stream.pix_fmt = 'yuv444p'
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, 2 if full else 1
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(planes, 'yuv444p')
            frame.colorspace, frame.color_range, frame.pts = matrix, 2 if full else 1, index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize('full', [True, False])
def test_ycgco_is_read(tmp_path, full):
    rgb = picture(0, 64, 48).astype(np.float32) / 255
    luma, green = rgb @ np.float32([.25, .5, .25]), rgb @ np.float32([-.25, .5, -.25])
    orange = rgb @ np.float32([.5, 0, -.5])
    scale = (255, 255, 255) if full else (219, 224, 224)
    zero = (0 if full else 16, 128, 128)
    planes = np.stack([plane * s + o for plane, s, o in zip((luma, green, orange), scale, zero)])
    write_tagged(tmp_path / 'a.mkv', planes.round().astype(np.uint8), 8, full)
    assert abs(next(iter(VideoReader(tmp_path / 'a.mkv'))).pixels / 255 - rgb).max() < 0.02


@pytest.mark.parametrize('matrix, name', [(11, 'SMPTE ST 2085'), (14, 'ICtCp')])
def test_matrices_that_we_do_not_know_are_named(tmp_path, matrix, name):
    write_tagged(tmp_path / 'a.mkv', np.full((3, 48, 64), 128, np.uint8), matrix, False)
    with pytest.raises(ValueError, match=f'colour matrix, .*{name}.* cannot be converted'):
        VideoReader(tmp_path / 'a.mkv')


def test_a_matrix_derived_from_primaries(tmp_path):
    write_tagged(tmp_path / 'a.mkv', np.full((3, 48, 64), 128, np.uint8), 12, False)
    assert abs(next(iter(VideoReader(tmp_path / 'a.mkv'))).pixels.astype(int) - 130).max() < 3


def test_a_cover_before_the_film_is_passed_over(tmp_path):
    clip = write_clip(tmp_path / 'clip.mp4', 10, audio='aac')
    with av.open(str(clip)) as source, av.open(str(tmp_path / 'film.mkv'), 'w') as target:
        cover = target.add_stream('mjpeg', rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, 'yuvj420p'
        streams = [target.add_stream_from_template(stream) for stream in source.streams]
        target.mux(cover.encode(av.VideoFrame.from_ndarray(picture(0, 64, 48), 'rgb24')))
        target.mux(cover.encode(None))
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    assert sum(1 for _ in VideoReader(tmp_path / 'film.mkv')) == 10


@needs_ffmpeg
def test_a_song_with_a_cover_says_so(tmp_path):
    Image.fromarray(picture(0, 64, 48)).save(tmp_path / 'cover.jpg')
    ffmpeg('-f', 'lavfi', '-i', 'sine=d=0.5', '-i', tmp_path / 'cover.jpg', '-map', '0', '-map', '1', '-c:v', 'copy',
           '-disposition:v', 'attached_pic', tmp_path / 'song.mp3')
    with pytest.raises(ValueError, match='has no video stream, only audio, cover picture'):
        VideoReader(tmp_path / 'song.mp3')
