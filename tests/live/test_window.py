"""The window, on a virtual screen."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageGrab

from live.window import Window, fit_into
from model import MattingNetwork
from model.weights import save_network
from tests.clips import picture, write_clip

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def server():
    """An X server without a monitor, 640x480. Xlib ends the process that loses its server: it stays to the end."""
    if shutil.which('Xvfb') is None:
        pytest.skip('needs Xvfb: apt-get install xvfb')
    pytest.importorskip('tkinter', reason='needs tkinter: apt-get install python3-tk')
    read, write = os.pipe()
    process = subprocess.Popen(['Xvfb', '-displayfd', str(write), '-screen', '0', '640x480x24', '-nolisten', 'tcp'],
                               pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as pipe:
        yield f':{pipe.readline().strip()}'
    process.terminate()
    process.wait(10)


@pytest.fixture
def screen(server, monkeypatch):
    """The server's display, empty."""
    monkeypatch.setenv('DISPLAY', server)
    return server


def grab(display: str) -> np.ndarray:
    return np.asarray(ImageGrab.grab(xdisplay=display).convert('RGB'))


def test_pictures_keys_and_sizes(screen):
    """tests/live/window_cases.py, in a process of its own: Xlib ends a process that loses its server."""
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/live/window_cases.py']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and '3 passed' in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize('size, expected', [((64, 48), (64, 48)), ((128, 50), (67, 50)), ((30, 400), (30, 22)),
                                            ((1, 1), (1, 1))])
def test_fit_into(size, expected):
    assert fit_into(picture(0, 64, 48), *size).shape[1::-1] == expected


def test_no_screen(monkeypatch):
    pytest.importorskip('tkinter', reason='needs tkinter: apt-get install python3-tk')
    monkeypatch.setenv('DISPLAY', ':4711')
    with pytest.raises(RuntimeError, match='no screen for a window .*: use --no-window'):
        Window('test', (64, 48))


def test_no_tkinter(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tkinter', None)
    with pytest.raises(RuntimeError, match='a window needs tkinter .*apt install python3-tk'):
        Window('test', (64, 48))


@pytest.mark.slow
def test_the_program_in_its_window(screen, tmp_path):
    """Keys as a user presses them: the background changes on the screen, q ends the program."""
    if shutil.which('xdotool') is None:
        pytest.skip('needs xdotool: apt-get install xdotool')
    torch.manual_seed(0)
    save_network(MattingNetwork(), tmp_path / 'net.safetensors')
    clip = write_clip(tmp_path / 'in.mp4', 25, (320, 240))
    program = subprocess.Popen(
        [sys.executable, 'inference_webcam.py', '--camera', str(clip), '--loop', '--checkpoint',
         str(tmp_path / 'net.safetensors'), '--background', 'red', '--background', 'blue', '--no-overlay',
         '--output', str(tmp_path / 'out.mp4'), '--device', 'cpu'],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for(condition) -> np.ndarray:
        for _ in range(600):
            on_screen = grab(screen)[:240, :320].astype(int)
            if condition(on_screen):
                return on_screen
            assert program.poll() is None, program.communicate()[0]
            time.sleep(0.1)
        Image.fromarray(on_screen.astype(np.uint8)).save(tmp_path / 'screen.png')
        raise AssertionError(f'not seen: {tmp_path}/screen.png')

    def press(key: str) -> None:
        subprocess.run(['xdotool', 'key', key], check=True)
    try:
        wait_for(lambda s: s[..., 0].mean() > s[..., 2].mean() + 20)
        press('b')
        wait_for(lambda s: s[..., 2].mean() > s[..., 0].mean() + 20)
        press('a')
        wait_for(lambda s: s.any() and np.ptp(s, axis=2).max() == 0)
        press('q')
        output = program.communicate(timeout=60)[0]
    finally:
        program.kill()
    assert program.returncode == 0, output
    assert 'recorded' in output and (tmp_path / 'out.mp4').is_file() and 'Traceback' not in output
