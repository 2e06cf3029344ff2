"""The Gradio page in headless Chromium: upload, run, download, errors; and nothing asked of other machines."""

import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from inference import convert_video
from model import MattingNetwork
from model.weights import load_network, save_network
from tests.clips import picture, write_clip
from video.reader import VideoReader

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
PATIENCE = 120_000         # [ms]

# Runs the program and reports every address or name outside of this machine that it tries to reach.
GUARD = """
import runpy, socket, sys
def watch(name, where):
    original = getattr(*where)
    def watched(*args, **kwargs):
        host = name(args)
        if host not in ('127.0.0.1', '::1', 'localhost', '0.0.0.0', None, ''):
            print('OUTSIDE', host, flush=True)
            raise OSError('outside')
        return original(*args, **kwargs)
    setattr(*where, watched)
watch(lambda args: args[1][0] if isinstance(args[1], tuple) else None, (socket.socket, 'connect'))
watch(lambda args: args[0], (socket, 'getaddrinfo'))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'net.safetensors'
    save_network(MattingNetwork(), path)
    return path


@pytest.fixture(scope='module')
def server(checkpoint):
    """(address, what the program has printed)."""
    pytest.importorskip('gradio', reason='needs gradio: pip install -r requirements/gradio.txt')
    port, printed = free_port(), []
    program = subprocess.Popen(
        [sys.executable, '-c', GUARD, 'demo/app.py', '--port', str(port), '--checkpoint', str(checkpoint), '--device',
         'cpu', '--precision', 'fp32'],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ready = threading.Event()

    def read():
        for line in program.stdout:
            printed.append(line)
            if line.startswith('open http'):
                ready.set()
        ready.set()
    threading.Thread(target=read, daemon=True).start()
    assert ready.wait(180) and program.poll() is None, ''.join(printed)
    yield f'http://127.0.0.1:{port}', printed
    program.terminate()
    assert program.wait(120) == 0


@pytest.fixture
def page(server):
    """An open page; it may not ask anything of other machines, nor may the program."""
    playwright = pytest.importorskip('playwright.sync_api', reason='needs pip install -r requirements/browser_test.txt')
    if CHROMIUM is None:
        pytest.skip('needs chromium on the PATH')
    with playwright.sync_playwright() as context:
        browser = context.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        page, asked = browser.new_page(viewport={'width': 1280, 'height': 1250}), []
        page.on('request', lambda request: asked.append(request.url))
        page.set_default_timeout(PATIENCE)
        page.goto(server[0])
        page.wait_for_selector('#run')
        yield page
        browser.close()
    assert [url for url in asked if not url.startswith((server[0], 'data:', 'blob:'))] == []
    assert not [line for line in server[1] if 'OUTSIDE' in line or 'Traceback' in line]


def run_and_download(page, folder: Path) -> list[Path]:
    page.click('#run')
    page.wait_for_selector('#files a')
    files = []
    for link in page.query_selector_all('#files a'):
        with page.expect_download() as download:
            link.click()
        files.append(folder / download.value.suggested_filename)
        download.value.save_as(files[-1])
    return files


def pixels_of(path: Path) -> np.ndarray:
    return np.int32([frame.pixels for frame in VideoReader(path)])


@pytest.mark.slow
def test_upload_run_download(page, checkpoint, tmp_path):
    clip = write_clip(tmp_path / 'in.mp4', 8, (160, 96), audio='aac')
    cv2.imwrite(str(tmp_path / 'wall.png'), picture(4, 160, 96)[..., ::-1])
    page.set_input_files('#video input[type=file]', str(clip))
    page.wait_for_selector('#video video')
    page.click('#background >> text=image')
    page.set_input_files('#image input[type=file]', str(tmp_path / 'wall.png'))
    page.wait_for_selector('#image img')
    page.click('#transparent-file >> text=FFV1')
    (tmp_path / 'downloads').mkdir()
    files = run_and_download(page, tmp_path / 'downloads')
    assert [path.name for path in files] == ['in_composition.mp4', 'in_alpha.mp4', 'in_transparent.mkv']
    convert_video(load_network(checkpoint), clip, output_rgba=tmp_path / 'rgba.mkv', background=tmp_path / 'wall.png',
                  output_composition=tmp_path / 'com.mp4', output_alpha=tmp_path / 'pha.mp4', progress=False)
    np.testing.assert_array_equal(pixels_of(files[2]), pixels_of(tmp_path / 'rgba.mkv'))
    for ours, expected in zip(files, ('com.mp4', 'pha.mp4')):
        assert abs(pixels_of(ours) - pixels_of(tmp_path / expected)).mean() < 1     # libx264 does not repeat itself
    page.wait_for_function('document.querySelector("#composition video").videoWidth === 160')     # and it plays
    page.wait_for_function('document.querySelector("#alpha video").videoWidth === 160')
    assert '8 frames' in page.input_value('#text textarea')


@pytest.mark.slow
def test_errors_and_stopping(page, tmp_path):
    page.click('#run')
    assert 'no video: upload one' in page.inner_text('.toast-body')
    page.click('.toast-close')
    page.wait_for_selector('.toast-body', state='detached')
    long = write_clip(tmp_path / 'long.mp4', 400, (320, 240))
    page.set_input_files('#video input[type=file]', str(long))
    page.wait_for_selector('#video video')
    page.click('#background >> text=image')
    page.click('#run')
    assert 'no background image: upload one' in page.inner_text('.toast-body')
    page.click('.toast-close')
    page.wait_for_selector('.toast-body', state='detached')
    page.click('#background >> text=blur')
    page.click('#run')
    page.wait_for_function('/[0-9]+\\/400 frames/.test(document.body.innerText)')       # the progress bar
    page.click('#stop')
    page.wait_for_selector('.toast-body')
    assert 'stopped' in page.inner_text('.toast-body')


@pytest.mark.slow
def test_the_sample_clip(page):
    pytest.importorskip('skimage', reason='needs scikit-image: pip install -r requirements/demo.txt')
    page.click('#sample')
    page.wait_for_selector('#video video')
    page.wait_for_function('document.querySelector("#video video").videoWidth === 854')


@pytest.mark.slow
def test_no_gradio_is_one_line(tmp_path):
    """Also with gradio installed: an empty module path hides it."""
    (tmp_path / 'gradio.py').write_text('raise ModuleNotFoundError("hidden", name="gradio")')
    result = subprocess.run([sys.executable, str(ROOT / 'demo' / 'app.py'), '--device', 'cpu'], capture_output=True,
                            text=True, env={'PYTHONPATH': str(tmp_path), 'PATH': '/usr/bin:/bin'})
    assert result.returncode == 2
    assert result.stderr == 'error: the page needs the gradio package: pip install -r requirements/gradio.txt\n'


@pytest.mark.slow
def test_a_port_that_is_taken(server):
    port = server[0].rpartition(':')[2]
    result = subprocess.run([sys.executable, 'demo/app.py', '--port', port, '--device', 'cpu'], cwd=ROOT,
                            capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.startswith(f'error: port {port} of 127.0.0.1 cannot be used')
    assert result.stderr.count('\n') == 1
