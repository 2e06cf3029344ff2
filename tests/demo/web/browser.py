"""A headless Chromium on the demo page: the server, a fake camera, and what the page kept of its frames."""

import base64
import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]
WEB = ROOT / 'demo' / 'web'
sys.path[:0] = [str(ROOT / 'demo'), str(WEB)]

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FAKE_CAMERA = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream']
EMULATED_WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan',
                   '--use-vulkan=swiftshader']
# the page forbids eval, so Playwright's own waiting is of no use
READ_LOG = """(index) => {
    const text = (bytes) => btoa(Array.from(bytes, (value) => String.fromCharCode(value)).join(''));
    const entry = window.frameLog[index];
    return { ...entry, src: text(entry.src), out: text(entry.out) };
}"""


@dataclass(frozen=True)
class Shown:
    """A frame of the page."""

    src: np.ndarray        # (H, W, 3) uint8
    out: np.ndarray        # (H, W, 4) uint8, straight alpha
    time: float            # [ms]
    ratio: float
    first: bool            # no states from before
    background: str


def require_browser() -> None:
    pytest.importorskip('playwright', reason='needs playwright: pip install -r requirements/browser_test.txt')
    if CHROMIUM is None:
        pytest.skip('needs chromium on the PATH')
    if not (WEB / 'vendor').is_dir():
        pytest.skip('needs the runtime: python demo/web/serve.py --setup')


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Address of a server of this folder."""
    from serve import start_server
    server = start_server(0, folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}/'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def chromium(playwright, *flags: str):
    """A browser; `playwright` is what `sync_playwright` starts, once per process."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', *flags])
    try:
        yield browser
    finally:
        browser.close()


def wait(page, expression: str, seconds: float = 120) -> None:
    """Until the JavaScript expression is true.

    Raises:
        TimeoutError: with what the page said last.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise TimeoutError(f'{expression} after {seconds} s; page: {page.inner_text("#status")}')
        time.sleep(0.2)


def open_page(browser, url: str, query: str = '', ready: bool = True):
    page = browser.new_page(viewport={'width': 1280, 'height': 800})
    page.problems, page.asked = [], []
    page.on('pageerror', lambda error: page.problems.append(str(error)))
    page.on('request', lambda request: page.asked.append(request.url))
    page.goto(url + query)
    if ready:
        wait(page, "!document.getElementById('camera').disabled || !!document.querySelector('#status.bad')")
        assert page.get_attribute('#status', 'class') != 'bad', page.inner_text('#status')
    return page


def read_log(page, count: int, seconds: float = 240) -> list[Shown]:
    """The first `count` frames since the page was opened (?log=N with N >= count)."""
    wait(page, f'window.frameLog.length >= {count}', seconds)
    return [to_shown(page.evaluate(READ_LOG, index)) for index in range(count)]


def to_shown(entry: dict) -> Shown:
    src, out = (np.frombuffer(base64.b64decode(entry[name]), np.uint8).reshape(entry['height'], entry['width'], 4)
                for name in ('src', 'out'))
    assert (src[..., 3] == 255).all()
    return Shown(src[..., :3], out, entry['time'], entry['ratio'], entry['first'], entry['background'])


@torch.inference_mode()
def matte(network, frames: list[Shown]) -> list[tuple[np.ndarray, np.ndarray]]:
    """fgr (H, W, 3) and pha (H, W, 1) in [0, 1] of the very frames that the page saw, by PyTorch."""
    rec, results = [None] * 4, []
    for frame in frames:
        if frame.first:
            rec = [None] * 4
        src = torch.from_numpy(frame.src.copy()).permute(2, 0, 1)[None] / 255
        fgr, pha, *rec = network(src, *rec, frame.ratio)
        results.append((fgr[0].permute(1, 2, 0).numpy(), pha[0].permute(1, 2, 0).numpy()))
    return results


def write_y4m(clip: Path, path: Path, count: int) -> list[np.ndarray]:
    """The camera's film, raw YUV 4:2:0; returns its frames as (H, W, 3) uint8 RGB."""
    frames = []
    with av.open(str(clip)) as container, path.open('wb') as file:
        for frame in container.decode(video=0):
            frame = frame.reformat(format='yuv420p')
            if not frames:
                file.write(f'YUV4MPEG2 W{frame.width} H{frame.height} F30:1 Ip A1:1 C420jpeg\n'.encode())
            file.write(b'FRAME\n' + frame.to_ndarray().tobytes())
            frames.append(frame.to_ndarray(format='rgb24'))
            if len(frames) == count:
                break
    return frames
