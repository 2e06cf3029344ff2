"""Draw documentation/img/gradio_page.jpg: the Gradio page after a run of the sample clip.

    pip install -r requirements/gradio.txt -r requirements/demo.txt -r requirements/browser_test.txt
    python -m documentation.figures.draw_page CHECKPOINT                    # needs a chromium on the PATH
"""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PORT = 7861
SIZE = 1280, 1180              # [px]
PATIENCE = 600_000             # [ms]


def photograph(url: str) -> bytes:
    """PNG of the page, with the sample clip over a blurred background."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which('chromium'), args=['--no-sandbox'])
        page = browser.new_page(viewport={'width': SIZE[0], 'height': SIZE[1]})
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        page.click('#sample')
        page.wait_for_selector('#video video')
        page.click('#background >> text=blur')
        page.click('#run')
        page.wait_for_selector('#files a')
        for video in ('composition', 'alpha'):
            page.wait_for_function(f'document.querySelector("#{video} video").readyState >= 2')
        page.mouse.move(SIZE[0] - 5, SIZE[1] - 5)
        page.wait_for_timeout(2000)
        picture = page.screenshot()
        browser.close()
    return picture


def main() -> None:
    """Draw the picture."""
    program = subprocess.Popen([sys.executable, str(ROOT / 'demo' / 'app.py'), '--port', str(PORT), '--checkpoint',
                                sys.argv[1]], stdout=subprocess.PIPE, text=True)
    try:
        url = next(line.split()[1] for line in program.stdout if line.startswith('open '))
        picture = cv2.imdecode(np.frombuffer(photograph(url), np.uint8), cv2.IMREAD_COLOR)
    finally:
        program.terminate()
        program.wait()
    cv2.imwrite(str(ROOT / 'documentation' / 'img' / 'gradio_page.jpg'), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == '__main__':
    main()
