"""The command: flags, exit codes, and one line for everything that cannot be."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import engine.flags
from live.command import main
from tests.clips import write_clip
from tests.live.fakes import DescribedNetwork, DyingNetwork
from video.reader import VideoReader

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """Stands in for the weights of every command here."""
    monkeypatch.setattr(engine.flags, 'load_network', lambda *_, **__: DescribedNetwork())


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / 'in.mp4', 6, (64, 48), rate=20)


def test_a_recording_from_a_file(clip, tmp_path, capsys):
    code = main(['--camera', str(clip), '--no-window', '-o', str(tmp_path / 'out.mp4'), '--background', 'red',
                       '--report', str(tmp_path / 'report.json'), '--device', 'cpu'])
    report = json.loads((tmp_path / 'report.json').read_text())
    assert code == 0 and report['error'] == ''
    assert report['frames'] + report['dropped'] == 6 and report['frames'] > 0
    assert 0 < report['latency_ms_median'] <= report['latency_ms_95'] <= report['latency_ms_max']
    assert len(list(VideoReader(tmp_path / 'out.mp4'))) == report['frames']
    out = capsys.readouterr().out
    assert '64x48, 20 fps; inside the network 64x48' in out and f'recorded {report["frames"]} frames' in out


def test_sizes_and_limits(clip, tmp_path):
    assert main(['--camera', str(clip), '--loop', '--no-window', '-o', str(tmp_path / 'out.mov'), '--max-frames',
                       '8', '--input-resize', '32', '24', '--downsample-ratio', '1', '--device', 'cpu']) == 0
    frames = list(VideoReader(tmp_path / 'out.mov'))
    assert len(frames) == 8 and frames[0].pixels.shape == (24, 32, 3)


def test_a_failure_on_the_way_keeps_what_was_recorded(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(engine.flags, 'load_network', lambda *_, **__: DyingNetwork(frames=4))
    code = main(['--camera', str(clip), '--loop', '--no-window', '-o', str(tmp_path / 'out.mp4'), '--device', 'cpu'])
    assert code == 1 and len(list(VideoReader(tmp_path / 'out.mp4'))) == 2       # two calls were for warming up
    assert capsys.readouterr().err == 'error: the accelerator is gone\n'


@pytest.mark.parametrize('flags, message', [
    (['--camera', '97'], 'camera 97 does not open'),
    (['--camera', 'nothing.mp4'], 'there is no such file'),
    (['--camera', 'in.mp4', '--size', '640', '480'], '--size and --fourcc ask a camera of this machine'),
    (['--camera', '97', '--size', '0', '480'], '--size must be two positive numbers, got [0, 480]'),
    (['--camera', '97', '--fourcc', 'MJPEG'], "--fourcc must be four letters such as MJPG, got 'MJPEG'"),
    (['--camera', '97', '--fps', '0'], '--fps must be larger than 0, got 0.0'),
    (['--camera', 'in.mp4', '--max-frames', '0'], '--max-frames must be larger than 0, got 0'),
    (['--camera', 'in.mp4', '--duration', '-1'], '--duration must be larger than 0, got -1.0'),
    (['--camera', 'in.mp4', '--duration', 'nan'], '--duration must be larger than 0, got nan'),
    (['--camera', 'in.mp4', '--input-resize', '0', '9'], '--input-resize must be two positive numbers, got [0, 9]'),
    (['--camera', 'in.mp4', '--background', 'no colour'], 'background must be a colour'),
    (['--camera', 'in.mp4', '--downsample-ratio', '0.001'], 'leaves no pixel of a 64x48 frame'),
    (['--camera', 'in.mp4', '-o', 'in.mp4'], 'in.mp4 is the camera itself'),
    (['--camera', 'in.mp4', '-o', 'there.mp4'], 'exists: use --overwrite to replace it'),
    (['--camera', 'in.mp4', '-o', 'out.avi'], 'cannot tell what to write from the name out.avi'),
    (['--camera', 'in.mp4', '-o', 'out.mp4', '--virtual-camera'], 'virtual camera'),
])
def test_bad_input_is_one_line(clip, tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, 'pyvirtualcam', None)
    (tmp_path / 'there.mp4').write_text('kept')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main([*flags, '--no-window', '--device', 'cpu']) == 2
    err = capsys.readouterr().err
    assert err.startswith('error: ') and err.count('\n') == 1 and message in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_screen_is_one_line(clip, monkeypatch, capsys):
    monkeypatch.setenv('DISPLAY', ':4711')
    assert main(['--camera', str(clip), '--device', 'cpu']) == 2
    assert 'use --no-window' in capsys.readouterr().err


@pytest.mark.slow
def test_the_program_itself(tmp_path):
    result = subprocess.run([sys.executable, 'inference_webcam.py', '--camera', '97', '--no-window'], cwd=ROOT,
                            capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == 'error: camera 97 does not open: not there, used by another program, or not allowed\n'


LIVE = """
import sys
import engine.flags
from live.command import main
from tests.live.fakes import DescribedNetwork
engine.flags.load_network = lambda *_, **__: DescribedNetwork()
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize('name', ['out.mp4', 'out.mkv', 'out.mov', 'out.webm'])
def test_a_killed_recording_can_be_read_up_to_the_last_second(tmp_path, name):
    source = write_clip(tmp_path / 'in.mp4', 100, (64, 48), rate=20)
    flags = ['--camera', str(source), '--loop', '--no-window', '-o', str(tmp_path / name), '--device', 'cpu']
    program = [sys.executable, '-W', 'ignore', '-c', LIVE, *flags]
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.time() + 200
    while not list(tmp_path.glob('out.partial-*')) and time.time() < deadline:
        time.sleep(0.1)
    time.sleep(8)
    process.kill()
    process.wait()
    partial, = tmp_path.glob('out.partial-*')
    frames = list(VideoReader(partial))
    info = VideoReader(partial).info
    assert len(frames) > 20 and (frames[-1].pts - frames[0].pts) * info.time_base > 4
