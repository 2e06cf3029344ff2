"""Draw documentation/img/web_demo.jpg: the browser demo on the demo clip, in headless Chromium.

    pip install -r requirements/browser_test.txt
    python demo/web/serve.py --setup
    python -m documentation.figures.draw_web_demo [--output FILE] [--width 1280] [--height 800] [--dark]
                                                       [--background KIND]

The model is the one in demo/web/model/ (`python demo/web/serve.py` makes it).
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from demo.sample_clip import write_sample_clip
from demo.web.serve import start_server

ROOT = Path(__file__).resolve().parents[2]

PICTURE = ROOT / 'documentation' / 'img' / 'web_demo.jpg'
BROWSERS = 'chromium', 'chromium-browser', 'google-chrome'
FRAMES = 6      # the states need a few


@contextlib.contextmanager
def opened_page(query: str, width: int = 1280, height: int = 800, dark: bool = False):
    """The page in headless Chromium, ready to matte."""
    from playwright.sync_api import sync_playwright
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        sys.exit('error: needs chromium on the PATH')
    if not (ROOT / 'demo' / 'web' / 'model' / 'model.onnx').is_file():
        sys.exit('error: demo/web/model/model.onnx is missing: run python demo/web/serve.py once')
    with start_server(0) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=browser_path, args=['--no-sandbox'])
        page = browser.new_page(viewport={'width': width, 'height': height}, color_scheme='dark' if dark else 'light')
        page.goto(f'http://127.0.0.1:{server.server_port}/{query}')
        until(page, "!document.getElementById('camera').disabled")
        yield page
        browser.close()
        server.shutdown()


def until(page, expression: str, seconds: float = 180) -> None:
    """Wait for a condition in the page."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        if time.monotonic() > end or page.evaluate("!!document.querySelector('#status.bad')"):
            raise RuntimeError(f'the page did not get there: {page.inner_text("#status")}')
        time.sleep(0.2)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--output', type=Path, default=PICTURE)
    parser.add_argument('--width', type=int, default=1280)
    parser.add_argument('--height', type=int, default=800)
    parser.add_argument('--dark', action='store_true')
    parser.add_argument('--background', default='color', choices=['color', 'blur', 'transparent'])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, \
            opened_page(f'?engine=wasm&log={FRAMES}', args.width, args.height, args.dark) as page:
        clip = Path(folder) / 'clip.mp4'
        write_sample_clip(clip)
        page.check(f'input[name="background"][value="{args.background}"]', force=True)
        page.set_input_files('#open', clip)
        until(page, f'window.frameLog.length >= {FRAMES}')
        page.click('#toggle')
        time.sleep(1)
        picture = page.screenshot(type='jpeg', quality=85)
    args.output.write_bytes(picture)
    print(f'wrote {args.output}')


if __name__ == '__main__':
    main()
