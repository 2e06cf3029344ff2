"""convert_video and the command line, from file to file, with everything that can go wrong on the way."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from converter.command import main
from files import is_partial
from inference import convert_video
from model import MattingNetwork
from model.weights import save_network
from tests.clips import BrightnessNetwork, picture, read_times, write_clip
from video.pipeline import StageError
from video.reader import VideoReader

ROOT = Path(__file__).resolve().parents[1]
NETWORK = BrightnessNetwork()


def pixels_of(path) -> list[np.ndarray]:
    return [frame.pixels for frame in VideoReader(path)]


def audio_packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / 'in.mp4', 12, (64, 48), audio='aac')


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'net.safetensors'
    save_network(MattingNetwork(), path)
    return str(path)


# ----------------------------------------------------------------------------------------------- convert_video

def test_positional_call_of_the_published_converter(clip, tmp_path):
    report = convert_video(NETWORK, str(clip), (32, 24), 1, 'video', str(tmp_path / 'com.mp4'),
                           str(tmp_path / 'pha.mp4'), str(tmp_path / 'fgr.mp4'), 1, 4, 0, False, 'cpu', torch.float32)
    assert report.frames == 12 and report.status == 'done'
    for name in ('com', 'pha', 'fgr'):
        frames = pixels_of(tmp_path / f'{name}.mp4')
        assert len(frames) == 12 and frames[0].shape == (24, 32, 3)


def test_values_from_file_to_file(clip, tmp_path):
    """Lossless outputs hold exactly what the network says of the decoded frames."""
    convert_video(NETWORK, clip, downsample_ratio=1, output_alpha=tmp_path / 'pha.mkv', output_rgba=tmp_path / 'rgba',
                  output_composition=tmp_path / 'com.mkv', background=(10, 20, 30), progress=False)
    state = None
    for index, pixels in enumerate(pixels_of(clip)):
        src = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        fgr, pha, state, *_ = NETWORK(src, state)
        alpha = (pha[0, 0].detach().numpy() * 255 + 0.5).astype(np.uint8)
        rgba = cv2.imread(str(tmp_path / 'rgba' / f'{index:04d}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(rgba[..., 3], alpha)
        np.testing.assert_array_equal(rgba[..., 2::-1], pixels * (pha[0, 0].detach().numpy() > 0)[..., None])
        np.testing.assert_array_equal(pixels_of(tmp_path / 'pha.mkv')[index][..., 0], alpha)
        a = pha[0, 0].detach().numpy()[..., None].astype(np.float64)
        expected = pixels * a + np.float64([10, 20, 30]) * (1 - a)
        assert abs(pixels_of(tmp_path / 'com.mkv')[index] - expected).max() <= 0.51


@pytest.mark.parametrize('chunk', [5, 12])
def test_chunks_change_nothing(clip, tmp_path, chunk):
    for name, size in (('one', 1), ('many', chunk)):
        convert_video(NETWORK, clip, downsample_ratio=1, output_alpha=tmp_path / f'{name}.mkv', seq_chunk=size,
                      progress=False)
    np.testing.assert_array_equal(pixels_of(tmp_path / 'one.mkv'), pixels_of(tmp_path / 'many.mkv'))


@pytest.mark.parametrize('name, transparent', [('a.mp4', False), ('a.mov', True), ('a.webm', True), ('a.mkv', True),
                                               ('folder', True)])
@pytest.mark.parametrize('background', [None, 'red'])
def test_composition_is_transparent_where_it_can_be(clip, tmp_path, name, transparent, background):
    convert_video(NETWORK, clip, output_composition=tmp_path / name, background=background, progress=False)
    if name == 'folder':
        channels = cv2.imread(str(tmp_path / name / '0000.png'), cv2.IMREAD_UNCHANGED).shape[2]
    else:
        with av.open(str(tmp_path / name)) as container:
            stream = container.streams.video[0]
            has_alpha = stream.metadata.get('alpha_mode', stream.metadata.get('ALPHA_MODE')) == '1' if \
                name == 'a.webm' else any(c.is_alpha for c in stream.codec_context.format.components)
            channels = 4 if has_alpha else 3
    assert channels == (4 if transparent and background is None else 3)


def test_times_and_sound_are_those_of_the_source(tmp_path):
    rate = Fraction(24000, 1001)
    source = write_clip(tmp_path / 'in.mov', 48, rate=rate, audio='aac')
    convert_video(NETWORK, source, output_composition=tmp_path / 'out.mp4', output_alpha=tmp_path / 'pha.mp4',
                  progress=False)
    assert read_times(tmp_path / 'out.mp4') == read_times(source) == [i / rate for i in range(48)]
    assert audio_packets(tmp_path / 'out.mp4') == audio_packets(source)
    assert not av.open(str(tmp_path / 'pha.mp4')).streams.audio


def test_no_audio(clip, tmp_path):
    convert_video(NETWORK, clip, output_composition=tmp_path / 'out.mp4', audio=False, progress=False)
    assert not av.open(str(tmp_path / 'out.mp4')).streams.audio


def test_image_folder_and_single_image(tmp_path):
    folder = tmp_path / 'frames'
    folder.mkdir()
    for index in (1, 2, 10):
        cv2.imwrite(str(folder / f'{index}.png'), picture(index, 32, 24)[..., ::-1])
    report = convert_video(NETWORK, folder, output_composition=tmp_path / 'out.mp4', frame_rate=10, num_workers=2,
                           progress=False)
    assert report.frames == 3 and VideoReader(tmp_path / 'out.mp4').frame_rate == 10
    convert_video(NETWORK, folder / '1.png', output_composition=tmp_path / 'one.png', progress=False)
    assert cv2.imread(str(tmp_path / 'one.png'), cv2.IMREAD_UNCHANGED).shape == (24, 32, 4)
    with pytest.raises(StageError, match=r'frame 1 \(encode\): .*is one image, but the input has more than one frame'):
        convert_video(NETWORK, folder, output_composition=tmp_path / 'two.png', progress=False)


def test_mixed_sizes_reset_the_states_in_folders_and_are_refused_in_videos(tmp_path):
    folder = tmp_path / 'frames'
    folder.mkdir()
    for index, size in enumerate([(32, 24), (32, 24), (48, 24)]):
        cv2.imwrite(str(folder / f'{index}.png'), picture(index, *size))
    assert convert_video(NETWORK, folder, output_alpha=tmp_path / 'pha', progress=False, seq_chunk=3).frames == 3
    with pytest.raises(StageError, match=r'frame 2 \(encode\): .*a frame is 48x24, the video started with 32x24'):
        convert_video(NETWORK, folder, output_alpha=tmp_path / 'pha.mp4', progress=False)
    assert not list(tmp_path.glob('pha*.mp4'))


@pytest.mark.parametrize('source, options, depth', [('yuv420p', {}, 8), ('yuv444p10le', {}, 16)])
def test_bit_depth_travels(tmp_path, source, options, depth):
    clip = write_clip(tmp_path / 'in.mkv', 2, codec='ffv1', pix_fmt=source)
    convert_video(NETWORK, clip, output_foreground=tmp_path / 'fgr', output_alpha=tmp_path / 'pha.mkv', progress=False)
    assert cv2.imread(str(tmp_path / 'fgr' / '0000.png'), cv2.IMREAD_UNCHANGED).itemsize * 8 == depth
    assert VideoReader(tmp_path / 'pha.mkv').info.bit_depth == depth


@pytest.mark.parametrize('arguments, message', [
    ({}, 'nothing to write: name at least one of output_composition'),
    ({'output_alpha': 'a.mp4', 'output_composition': 'a.mp4'}, 'two outputs have the name'),
    ({'output_rgba': 'a.mp4'}, 'cannot hold alpha: use .mov'),
    ({'output_alpha': 'a.avi'}, 'cannot tell what to write from the name'),
    ({'output_alpha': 'a.mp4', 'output_type': 'film'}, 'output_type must be one of auto, video, png_sequence'),
    ({'output_alpha': 'a.mp4', 'downsample_ratio': 0}, r'downsample_ratio must be in \(0, 1\], got 0'),
    ({'output_alpha': 'a.mp4', 'downsample_ratio': 1.5}, r'downsample_ratio must be in \(0, 1\], got 1.5'),
    ({'output_alpha': 'a.mp4', 'seq_chunk': 0}, 'seq_chunk must be at least 1'),
    ({'output_alpha': 'a.mp4', 'output_video_mbps': 0}, 'output_video_mbps must be larger than 0'),
    ({'output_alpha': 'a.mp4', 'codec': 'divx'}, 'codec must be one of'),
    ({'output_alpha': 'in.mp4'}, 'is the input itself'),
    ({'output_alpha': '/proc/a.mp4'}, 'cannot be written'),
])
def test_bad_arguments_leave_nothing_behind(clip, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    before = clip.read_bytes()
    with pytest.raises((ValueError, OSError), match=message):
        convert_video(NETWORK, clip, progress=False, **arguments)
    assert [p.name for p in tmp_path.iterdir()] == ['in.mp4'] and clip.read_bytes() == before


def test_a_link_to_the_input_is_the_input(clip, tmp_path):
    os.link(clip, tmp_path / 'link.mp4')
    with pytest.raises(ValueError, match='is the input itself'):
        convert_video(NETWORK, clip, output_alpha=tmp_path / 'link.mp4', progress=False)


def test_failure_in_the_middle_leaves_no_output_and_keeps_the_old_one(clip, tmp_path):
    class Failing(BrightnessNetwork):
        calls = 0

        def forward(self, *args, **kwargs):
            Failing.calls += 1
            if Failing.calls == 9:            # the first frame is looked at before
                raise RuntimeError('the network is tired')
            return super().forward(*args, **kwargs)
    (tmp_path / 'out.mp4').write_bytes(b'an earlier result')
    with pytest.raises(StageError, match=r'frame 7 \(network\): the network is tired'):
        convert_video(Failing(), clip, output_composition=tmp_path / 'out.mp4', output_alpha=tmp_path / 'pha',
                      progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in.mp4', 'out.mp4']
    assert (tmp_path / 'out.mp4').read_bytes() == b'an earlier result'


def test_damaged_video_is_converted_up_to_the_damage(tmp_path):
    whole = write_clip(tmp_path / 'whole.mkv', 60, (320, 240), options={'g': '10', 'crf': '4'})
    data = whole.read_bytes()
    (tmp_path / 'cut.mkv').write_bytes(data[:len(data) // 2])
    report = convert_video(NETWORK, tmp_path / 'cut.mkv', output_alpha=tmp_path / 'pha.mp4', progress=False)
    assert report.status == 'damaged' and 'cut.mkv is damaged: read' in report.error
    assert 10 < report.frames < 60 and len(pixels_of(tmp_path / 'pha.mp4')) == report.frames


def test_out_of_memory_halves_the_chunk_and_goes_on(clip, tmp_path):
    class Small(BrightnessNetwork):
        def forward(self, src, *rec):
            if src.size(1) > 3:
                raise torch.cuda.OutOfMemoryError('CUDA out of memory')
            return super().forward(src, *rec)
    convert_video(NETWORK, clip, downsample_ratio=1, output_alpha=tmp_path / 'a.mkv', progress=False)
    report = convert_video(Small(), clip, downsample_ratio=1, output_alpha=tmp_path / 'b.mkv', seq_chunk=8,
                           progress=False)
    assert any('continued with 2 frames at a time' in note for note in report.notes)
    np.testing.assert_array_equal(pixels_of(tmp_path / 'a.mkv'), pixels_of(tmp_path / 'b.mkv'))


MEMORY_PROBE = """
import resource, sys
from inference import convert_video
from tests.clips import BrightnessNetwork
convert_video(BrightnessNetwork(), sys.argv[1], output_alpha=sys.argv[2], progress=False, seq_chunk=4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_clip(tmp_path):
    """300 frames of 640x480 are 276 MB as RGB: keeping them would show."""
    peaks = []
    for frames in (30, 300):
        source = write_clip(tmp_path / f'{frames}.mp4', frames, (640, 480), options={'preset': 'ultrafast'},
                            make=lambda index, w, h: np.full((h, w, 3), index % 255, np.uint8))
        output = subprocess.run([sys.executable, '-W', 'ignore', '-c', MEMORY_PROBE, source, tmp_path / 'out.mp4'],
                                capture_output=True, text=True, cwd=ROOT, check=True).stdout
        peaks.append(int(output.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 60, f'peak memory [MB] of 30 and 300 frames: {peaks}'


# ---------------------------------------------------------------------------------------------- command line

def run(*arguments, expect=0) -> None:
    assert main([*map(str, arguments), '--disable-progress']) == expect


def test_short_form(clip, tmp_path, checkpoint, capsys):
    run(clip, '-o', tmp_path / 'out.mov', '--checkpoint', checkpoint)
    out = capsys.readouterr().out
    assert 'mobilenetv3' in out and '12 frames in' in out and 'slowest stage:' in out
    assert len(pixels_of(tmp_path / 'out.mov')) == 12


def test_published_flags(clip, tmp_path, checkpoint):
    run('--variant', 'mobilenetv3', '--checkpoint', checkpoint, '--device', 'cpu', '--input-source', clip,
        '--input-resize', 48, 32, '--downsample-ratio', 0.5, '--output-type', 'png_sequence', '--output-composition',
        tmp_path / 'com', '--output-alpha', tmp_path / 'pha', '--output-foreground', tmp_path / 'fgr',
        '--output-video-mbps', 4, '--seq-chunk', 3, '--num-workers', 1)
    assert cv2.imread(str(tmp_path / 'com' / '0011.png'), cv2.IMREAD_UNCHANGED).shape == (32, 48, 4)
    assert cv2.imread(str(tmp_path / 'pha' / '0011.png'), cv2.IMREAD_UNCHANGED).shape == (32, 48)
    assert cv2.imread(str(tmp_path / 'fgr' / '0011.png'), cv2.IMREAD_UNCHANGED).shape == (32, 48, 3)


def test_only_the_input_is_mandatory(clip, checkpoint):
    run(clip, '--checkpoint', checkpoint)
    assert len(pixels_of(clip.with_name('in_composition.mp4'))) == 12


def test_batch_isolates_failures_and_reports(tmp_path, checkpoint, capsys):
    clips = tmp_path / 'clips'
    (clips / 'day2').mkdir(parents=True)
    write_clip(clips / 'a.mp4', 3)
    write_clip(clips / 'day2' / 'a.mp4', 4)
    (clips / 'broken.mp4').write_text('no film')
    run(clips, '--recursive', '-o', tmp_path / 'out', '--checkpoint', checkpoint, '--report', tmp_path / 'r.json',
        expect=1)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in (tmp_path / 'out').rglob('*.mp4')) == [
        'out/a.mp4', 'out/day2/a.mp4']
    report = {Path(entry['input']).relative_to(clips).as_posix(): entry
              for entry in json.loads((tmp_path / 'r.json').read_text())}
    assert {name: entry['status'] for name, entry in report.items()} == {
        'a.mp4': 'done', 'day2/a.mp4': 'done', 'broken.mp4': 'bad input'}
    assert report['day2/a.mp4']['frames'] == 4 and report['a.mp4']['stage_seconds']['network'] > 0
    assert 'not a video' in report['broken.mp4']['error']
    stamp = (tmp_path / 'out' / 'a.mp4').stat().st_mtime_ns
    (clips / 'broken.mp4').unlink()
    run(clips, '--recursive', '-o', tmp_path / 'out', '--checkpoint', checkpoint, '--skip-existing')
    assert (tmp_path / 'out' / 'a.mp4').stat().st_mtime_ns == stamp
    assert '2 skipped' in capsys.readouterr().out


def test_patterns_and_name_templates(tmp_path, checkpoint):
    for name in ('x1', 'x2', 'y'):
        write_clip(tmp_path / f'{name}.mp4', 2)
    run(tmp_path / 'x*.mp4', '-o', tmp_path / '{name}_cut.mov', '--checkpoint', checkpoint)
    assert sorted(p.name for p in tmp_path.glob('*.mov')) == ['x1_cut.mov', 'x2_cut.mov']


def test_preview(clip, tmp_path, checkpoint):
    run(clip, '--preview', tmp_path / 'sheet.png', '--checkpoint', checkpoint)
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))
    assert sheet.shape[1] % 360 == 0 and sheet.shape[0] == 26 + 3 * 270
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in.mp4', 'sheet.png']


@pytest.mark.parametrize('arguments, message', [
    ([], 'no input: name a video'),
    (['nowhere.mp4'], 'nowhere.mp4: no such file'),
    (['*.avi'], 'no file matches this pattern'),
    (['empty'], 'expected a folder of images .* or of videos, found neither'),
    (['text.mp4'], 'text.mp4 is not a video that FFmpeg can read'),
    (['in.mp4', '--downsample-ratio', '0'], r'--downsample-ratio must be auto or a number in \(0, 1\], got 0'),
    (['in.mp4', '--downsample-ratio', '1.5'], r'--downsample-ratio must be auto or a number in \(0, 1\], got 1.5'),
    (['in.mp4', '--encoder-option', 'slow'], '--encoder-option must be KEY=VALUE'),
    (['in.mp4', '--background', 'mauvve'], 'background must be a colour'),
    (['in.mp4', '--variant', 'mobilenetv9'], 'variant must be one of'),
    (['in.mp4', '--variant', 'resnet50'], 'is a mobilenetv3 network, asked for resnet50'),
    (['in.mp4', '--checkpoint', 'nothing.pth'], 'no such file, and not one of the known names'),
    (['in.mp4', '-o', 'in.mp4', '--overwrite'], 'is the input itself'),
    (['in.mp4', '-o', 'old.mp4'], 'output old.mp4 exists: use --overwrite to replace it or --skip-existing'),
    (['in.mp4', '-o', '/proc/x/out.mp4'], 'cannot be written'),
    (['in.mp4', '--device', 'abacus'], 'device must be auto, cpu, cuda'),
    (['in.mp4', '--report', 'nowhere/r.json'], '--report nowhere/r.json: the folder nowhere does not exist'),
    (['in.mp4', '--inference-size', '5'], '--inference-size must be at least 32 pixels, got 5'),
    (['-'], 'standard input cannot be read, since a clip is read more than once: save it to a file first'),
    (['pipe.mp4'], 'pipe.mp4 is a pipe or a device, and a clip is read more than once: save it to a file first'),
    (['https://example.org/a.mp4'], 'https://example.org/a.mp4 is an address: only files are read; download it first'),
    (['in.mp4', '--background', 'https://example.org/a.mp4'], 'https://example.org/a.mp4 is an address: only files'),
    (['in.mp4', '-o', '-'], 'standard output cannot be written: name a file'),
    (['in.mp4', '-o', 'https://example.org/a.mp4'], 'https://example.org/a.mp4 is an address: only files are written'),
    (['in.mp4', '--output-alpha', '/dev/stdout'], '/dev/stdout'),
])
def test_bad_input_is_one_line_and_exit_code_2(clip, tmp_path, monkeypatch, capsys, checkpoint, arguments, message):
    import re
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.mp4').write_text('no film')
    os.mkfifo(tmp_path / 'pipe.mp4')
    (tmp_path / 'old.mp4').write_text('an earlier result')
    if '--checkpoint' not in arguments:
        arguments = [*arguments, '--checkpoint', checkpoint]
    before = sorted(p.name for p in tmp_path.iterdir())
    run(*arguments, expect=2)
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1 and re.search(message, error), error
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert (tmp_path / 'old.mp4').read_text() == 'an earlier result'


def start(*arguments, **settings) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, '-W', 'ignore', 'inference.py', *map(str, arguments)], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


@pytest.mark.parametrize('number, code, left', [(signal.SIGINT, 130, []), (signal.SIGTERM, 130, []),
                                                (signal.SIGKILL, -9, ['partial'])])
def test_interrupted_and_killed_runs_leave_no_output(tmp_path, checkpoint, number, code, left):
    source = write_clip(tmp_path / 'in.mp4', 400, (320, 240), options={'preset': 'ultrafast'})
    before = source.read_bytes()
    process = start(source, '-o', tmp_path / 'out.mp4', '--checkpoint', checkpoint)
    deadline = time.time() + 240    # a busy machine takes its time to start
    while not list(tmp_path.glob('out.partial-*.mp4')) and process.poll() is None and time.time() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(number)
    _, error = process.communicate(timeout=240)
    assert process.returncode == code, error
    assert ['partial' if is_partial(p) else p.name for p in sorted(tmp_path.iterdir())] == ['in.mp4', *left]
    assert source.read_bytes() == before
    assert 'Traceback' not in error


def test_full_disk_is_one_clear_line(tmp_path, checkpoint):
    noise = np.random.default_rng(0).integers(0, 256, (10, 240, 320, 3), dtype=np.uint8)
    source = write_clip(tmp_path / 'in.mp4', 60, (320, 240), make=lambda index, w, h: noise[index % 10],
                        options={'preset': 'ultrafast'})

    def limit_file_size():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    process = start(source, '--output-foreground', tmp_path / 'out.mp4', '--output-alpha', tmp_path / 'pha',
                    '--checkpoint', checkpoint, '--disable-progress', preexec_fn=limit_file_size)
    _, error = process.communicate(timeout=240)
    assert process.returncode == 1
    assert 'File too large; the unfinished file was removed' in error and error.count('\n') == 1, error
    assert [p.name for p in tmp_path.iterdir()] == ['in.mp4']


# --------------------------------------------------------------------------------------- nothing of the user's is lost

@pytest.fixture
def place(clip, tmp_path, monkeypatch):
    """A folder with a clip, a background, a folder of pictures, weights, and files with names that we once used."""
    monkeypatch.chdir(tmp_path)
    for name in ('x.partial.mp4', 'bb.partial.mp4', 'b.mp4'):
        write_clip(tmp_path / name, 3)
    for name in ('imgs/0000.png', 'imgs/0001.png', 'frames.partial/mine.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), picture(0, 32, 24))
    (tmp_path / 'link.mp4').symlink_to('in.mp4')
    (tmp_path / 'q.mp4.partial').symlink_to('b.mp4')
    (tmp_path / 'thesis.json').write_text('not a report {')
    (tmp_path / 'earlier.json').write_text('[]')
    (tmp_path / 'package.json').write_text('{"name": "mine"}')
    (tmp_path / 'coco.json').write_text('[]')
    for person in ('anna', 'ben'):
        (tmp_path / f'masks/{person}').mkdir(parents=True)
        cv2.imwrite(str(tmp_path / f'masks/{person}/0000.png'), picture(0, 32, 24)[..., 0])
    (tmp_path / 'plates').mkdir()
    write_clip(tmp_path / 'plates/in.mp4', 2)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('arguments, made', [
    (['x.partial.mp4', '-o', 'x.mp4'], ['x.mp4']),
    (['in.mp4', '--background', 'bb.partial.mp4', '-o', 'bb.mp4'], ['bb.mp4']),
    (['x.partial.mp4', '-o', 'frames'], ['frames/0000.png', 'frames/0001.png', 'frames/0002.png']),
    (['x.partial.mp4', '-o', 'q.mp4', '--output-alpha', 'q.partial.mp4'], ['q.mp4', 'q.partial.mp4']),
    (['imgs', '-o', 'x.mp4', '--report', 'earlier.json'], ['x.mp4', 'earlier.json']),
])
def test_names_that_were_once_ours_belong_to_the_user(place, checkpoint, arguments, made):
    before = contents(place)
    run(*arguments, '--checkpoint', checkpoint)
    after = contents(place)
    assert {name: after[name] for name in before if name not in made} == {
        name: data for name, data in before.items() if name not in made}
    assert sorted(after.keys() - before) == sorted(set(made) - before.keys())


@pytest.mark.parametrize('arguments, message', [
    (['in.mp4', '-o', 'out.mp4', '--report', 'in.mp4'], '--report in.mp4 is the input itself'),
    (['in.mp4', '-o', 'out.mp4', '--report', 'b.mp4'], '--report must be the name of a JSON file such as report.json'),
    (['in.mp4', '-o', 'out.mp4', '--report', 'thesis.json'], '--report thesis.json exists and is no report'),
    (['in.mp4', '-o', 'out.mp4', '--report', 'package.json'], '--report package.json exists and is no report'),
    (['in.mp4', '-o', '{person}.mp4', '--masks', 'coco.json', '--report', 'coco.json', '--overwrite'],
     '--report coco.json is the --masks itself'),
    (['in.mp4', '-o', 'masks/{person}', '--masks', 'masks', '--overwrite'],
     'output_composition masks/anna is the masks itself'),
    (['in.mp4', '-o', 'plates/in.mp4', '--background-plate', 'plates', '--overwrite'],
     'is the --background-plate itself'),
    (['in.mp4', '-o', 'out.mp4', '--report', 'imgs'], '--report must be the name of a JSON file'),
    (['in.mp4', '--preview', 'link.mp4'], '--preview link.mp4 is the input itself'),
    (['in.mp4', '--preview', 'nowhere/p.png'], 'nowhere/p.png: the folder nowhere does not exist'),
    (['in.mp4', '--preview', 'b.mp4'], '--preview must be the name of an image such as preview.png, got b.mp4'),
    (['in.mp4', '--preview', 'imgs/0000.png'], '--preview imgs/0000.png exists: use --overwrite to replace it'),
    (['imgs/0000.png', '-o', 'imgs', '--overwrite'], 'imgs is the folder of the input imgs/0000.png'),
    (['imgs', '-o', 'imgs/0001.png', '--overwrite'], 'imgs/0001.png is the input itself'),
    (['in.mp4', '-o', '.', '--overwrite'], r'output . is the folder of the input in.mp4'),
    (['in.mp4', '-o', 'b.mp4', '--background', 'b.mp4', '--overwrite'], 'b.mp4 is the --background itself'),
    (['in.mp4', '-o', 'imgs', '--background', 'imgs/0001.png', '--overwrite'], 'is the folder of the --background'),
    (['in.mp4', '-o', 'link.mp4', '--overwrite'], 'link.mp4 is the input itself'),
    (['in.mp4', 'b.mp4', '-o', '{name}.mp4', '--overwrite'], 'is the input itself'),
    (['in.mp4', '-o', 'new', '--output-alpha', 'new/alpha.mp4'], 'lies in the folder of another output'),
    (['in.mp4', '-o', 'out.mp4', '--output-alpha', './out.mp4'], 'two outputs have the name out.mp4'),
])
def test_outputs_that_would_replace_something_are_refused(place, checkpoint, capsys, arguments, message):
    before = contents(place)
    run(*arguments, '--checkpoint', checkpoint, expect=2)
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    assert contents(place) == before


def test_weights_are_not_replaced(place, checkpoint, capsys):
    (place / 'own.safetensors').write_bytes(Path(checkpoint).read_bytes())
    (place / 'w.json').symlink_to('own.safetensors')
    run('in.mp4', '--checkpoint', 'own.safetensors', '--report', 'w.json', '--overwrite', expect=2)
    assert '--report w.json is the --checkpoint itself' in capsys.readouterr().err


def test_all_outputs_or_none_when_the_disk_is_full_at_close(clip, tmp_path, monkeypatch):
    """The second output cannot be completed: the first, complete already, must not appear either."""
    for name in ('a.mp4', 'b.mp4'):
        (tmp_path / name).write_bytes(b'an earlier result')
    from video.writer import VideoFileWriter
    finish = VideoFileWriter.finish

    def full(self):
        if self.path.name == 'b.mp4':
            raise OSError(28, 'No space left on device')
        finish(self)
    monkeypatch.setattr(VideoFileWriter, 'finish', full)
    with pytest.raises(OSError, match='No space left'):
        convert_video(NETWORK, clip, output_composition=tmp_path / 'a.mp4', output_alpha=tmp_path / 'b.mp4',
                      progress=False)
    assert [(tmp_path / name).read_bytes() for name in ('a.mp4', 'b.mp4')] == [b'an earlier result'] * 2
    assert len(list(tmp_path.iterdir())) == 3


def test_skip_existing_finishes_what_is_not_done(clip, tmp_path, checkpoint, capsys):
    arguments = (clip, '-o', tmp_path / 'com', '--output-alpha', tmp_path / 'a.mp4', '--checkpoint', checkpoint,
                 '--skip-existing')

    def statuses():
        run(*arguments)
        return 'skipped' if 'skipped' in capsys.readouterr().out else 'converted'
    (tmp_path / 'com').mkdir()
    assert statuses() == 'converted' and statuses() == 'skipped'
    for spoil in (lambda: (tmp_path / 'a.mp4').unlink(), lambda: (tmp_path / 'a.mp4').write_bytes(b''),
                  lambda: (tmp_path / 'com' / '0003.png').unlink(), lambda: (tmp_path / 'com' / '0011.png').unlink()):
        spoil()
        assert statuses() == 'converted' and statuses() == 'skipped'
    assert len(list((tmp_path / 'com').iterdir())) == 12 and len(pixels_of(tmp_path / 'a.mp4')) == 12


def test_results_of_the_last_run_are_not_converted_again(tmp_path, checkpoint, capsys):
    (tmp_path / 'clips').mkdir()
    for name in ('a.mp4', 'a.mov', 'b.mp4'):
        write_clip(tmp_path / 'clips' / name, 2)
    for _ in range(2):
        run(tmp_path / 'clips', '--checkpoint', checkpoint, '--skip-existing')
        names = sorted(path.name for path in (tmp_path / 'clips').iterdir())
        assert names == ['a.mov', 'a.mov_composition.mp4', 'a.mp4', 'a.mp4_composition.mp4', 'b.mp4',
                         'b_composition.mp4']
    assert '3 skipped' in capsys.readouterr().out


@pytest.mark.slow
def test_two_runs_with_one_output_leave_one_whole_file(tmp_path, checkpoint):
    for name, frames in (('long', 60), ('short', 20)):
        write_clip(tmp_path / f'{name}.mp4', frames)
    runs = [start(tmp_path / f'{name}.mp4', '-o', tmp_path / 'out.mp4', '--checkpoint', checkpoint)
            for name in ('long', 'short')]
    codes = [process.communicate(timeout=240) and process.returncode for process in runs]
    frames = len(pixels_of(tmp_path / 'out.mp4'))
    assert sorted(codes) in ([0, 1], [0, 2]) and frames == (60, 20)[codes.index(0)]
    assert len(list(tmp_path.iterdir())) == 3
