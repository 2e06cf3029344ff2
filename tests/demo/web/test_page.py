"""The page in headless Chromium against PyTorch on the frames that the page saw."""

import numpy as np
import pytest

from model.weights import DEFAULT_WEIGHTS, load_network
from tests.clips import write_clip
from video.background import BlurBackground, ColorBackground, ImageBackground

from .browser import (
    EMULATED_WEBGPU,
    FAKE_CAMERA,
    WEB,
    Shown,
    chromium,
    matte,
    open_page,
    read_log,
    require_browser,
    serving,
    wait,
    write_y4m,
)
from .webm_reader import read_webm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
BLUE = np.float32([0x2b, 0x6c, 0xb0])       # the page's first background
LIMIT = 2.0                                 # mean difference of compositions, of 255
CLIP_FRAMES = 10


@pytest.fixture(scope='module')
def network(request):
    """Our weights, or RVM's; compared with, they are in single precision and not merged into the file's 16 bits."""
    require_browser()
    if DEFAULT_WEIGHTS.is_file():
        return load_network('default')
    return load_network(request.getfixturevalue('shared') / 'weights' / 'rvm_mobilenetv3_fgf_dequantised.pth')


@pytest.fixture(scope='module')
def url(network, tmp_path_factory):
    """The page with a model of this network."""
    pytest.importorskip('onnx', reason='needs onnx: pip install -r requirements/web_demo.txt')
    pytest.importorskip('skimage', reason='needs scikit-image: pip install -r requirements/web_demo.txt')
    folder = tmp_path_factory.mktemp('page')
    for name in ('index.html', 'style.css', 'icon.svg', 'js', 'vendor'):
        (folder / name).symlink_to(WEB / name)
    (folder / 'model').mkdir()
    import make_model

    from export.options import ExportOptions
    from model import reparameterize_model
    make_model.write(reparameterize_model(network), folder / 'model' / 'model.onnx',
                     ExportOptions((640, 480), precision='fp16'))
    assert (folder / 'model' / 'model.onnx').stat().st_size < 9e6
    with serving(folder) as address:
        yield address


@pytest.fixture(scope='module')
def playwright(url):
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope='module')
def browser(playwright):
    with chromium(playwright) as browser:
        yield browser


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """Ten frames of the demo's public-domain portrait, 10 per second."""
    from sample_clip import sample_frames
    frames = [frame[::2, ::2] for frame in sample_frames(CLIP_FRAMES * 3)[::3]]        # (240, 427, 3)
    return write_clip(tmp_path_factory.mktemp('clip') / 'portrait.mp4', CLIP_FRAMES, (426, 240), 10,
                      make=lambda index, width, height: np.ascontiguousarray(frames[index][:height, :width]))


def over(fgr: np.ndarray, pha: np.ndarray, bgr: np.ndarray) -> np.ndarray:
    """bgr (H, W, 3) or (3,) 0-255 -> composition 0-255."""
    return fgr * pha * 255 + bgr * (1 - pha)


def difference(frame: Shown, expected: np.ndarray) -> float:
    return float(np.abs(frame.out[..., :3] - expected).mean())


def test_camera_against_pytorch(url, playwright, network, shared, tmp_path):
    film = write_y4m(shared / 'data' / 'clips' / 'book.mkv', tmp_path / 'camera.y4m', 30)
    flag = f'--use-file-for-fake-video-capture={tmp_path / "camera.y4m"}'
    with chromium(playwright, *FAKE_CAMERA, flag) as browser:
        page = open_page(browser, url, '?engine=wasm&log=5')
        assert page.evaluate('crossOriginIsolated')
        assert page.inner_text('#engine').startswith('WASM')
        page.click('#camera')
        frames = read_log(page, 5)
        wait(page, "document.querySelector('#tiles canvas').width > 16")
        assert '×16, mean' in page.inner_text('#tiles button')          # channels of r1 of MobileNetV3
        page.click('#tiles button')
        wait(page, "document.querySelector('#tiles button').innerText.includes('channel 0')")
        page.click('#toggle')
        asked = page.asked
        assert not page.problems
    assert frames[0].src.shape == (480, 640, 3)
    # the browser takes the film's matrix for another one than FFmpeg does: compare what colours do not decide
    nearest = max(np.corrcoef(frames[0].src.mean(2).ravel(), picture.mean(2).ravel())[0, 1] for picture in film)
    assert nearest > 0.98, 'the page did not see the film'
    assert [frame.first for frame in frames] == [True, False, False, False, False]
    results = matte(network, frames)
    assert 0.05 < results[-1][1].mean() < 0.6, 'the film shows a person before a room'
    differences = [difference(frame, over(fgr, pha, BLUE)) for frame, (fgr, pha) in zip(frames, results)]
    print('mean difference of compositions, of 255:', ' '.join(f'{value:.3f}' for value in differences))
    assert max(differences) < LIMIT
    assert all(address.startswith((url, 'blob:')) for address in asked), asked


def test_backgrounds_seek_and_size(url, browser, network, clip, tmp_path):
    """Every background against the converter's; states begin anew after a jump and at another size."""
    picture = np.zeros((90, 300, 3), np.uint8)
    picture[:, :150], picture[:, 150:] = (200, 40, 40), (40, 160, 220)
    from PIL import Image
    Image.fromarray(picture).save(tmp_path / 'room.png')
    page = open_page(browser, url, '?engine=wasm&log=200')
    page.evaluate("document.getElementById('memory').open = false")

    def seen(condition: str) -> None:
        wait(page, f'window.frameLog.filter((entry) => {condition}).length >= 2')

    page.set_input_files('#open', clip)
    seen("entry.background === 'color'")
    page.set_input_files('#image', tmp_path / 'room.png')
    seen("entry.background === 'image'")
    page.check('input[name="background"][value="blur"]', force=True)
    seen("entry.background === 'blur'")
    page.check('input[name="background"][value="transparent"]', force=True)
    seen("entry.background === 'transparent'")
    before = page.evaluate('window.frameLog.length')
    page.evaluate("() => { const seek = document.getElementById('seek'); seek.value = 0.5; seek.oninput(); }")
    wait(page, f'window.frameLog.slice({before}).some((entry) => entry.first)')
    page.select_option('#limit', '480')
    page.click('#reset')
    count = page.evaluate('window.frameLog.length')
    wait(page, f'window.frameLog.slice({count}).some((entry) => entry.first)')
    page.click('#toggle')
    assert page.inner_text('#toggle') == 'Play'
    frames = read_log(page, page.evaluate('window.frameLog.length'))
    assert not page.problems
    page.close()

    results, worst = matte(network, frames), {}
    converters = {'color': ColorBackground(BLUE), 'image': ImageBackground(tmp_path / 'room.png'),
                  'blur': BlurBackground(3)}
    for frame, (fgr, pha) in zip(frames, results):
        H, W = pha.shape[:2]
        if frame.background == 'transparent':
            alpha = np.abs(frame.out[..., 3:] - pha * 255).mean()
            shown = frame.out[..., :3] * (frame.out[..., 3:] / 255.0)
            value = max(float(alpha), float(np.abs(shown - fgr * pha * 255).mean()))
        else:
            bgr = converters[frame.background].at(0, (W, H), frame.src, pha[..., 0])
            value = difference(frame, over(fgr, pha, 255 * bgr))
            assert (frame.out[..., 3] == 255).all()
        worst[frame.background] = max(value, worst.get(frame.background, 0))
    print('worst mean difference, of 255:', {name: round(value, 3) for name, value in worst.items()})
    assert set(worst) == {'color', 'image', 'blur', 'transparent'}
    assert max(worst.values()) < LIMIT


def save(page, path) -> None:
    """Wait for the recording and download it."""
    wait(page, "!document.getElementById('download').hidden", 150)
    with page.expect_download() as download:
        page.click('#download a')
    assert download.value.suggested_filename == 'matting.webm'
    download.value.save_as(path)


@pytest.mark.parametrize('transparent', [True, False])
def test_dropped_file_becomes_webm(url, browser, clip, tmp_path, transparent):
    """Every frame of the file, at its own time, as it was shown; with alpha where the page says so."""
    page = open_page(browser, url, f'?engine=wasm&log={100}')
    page.evaluate("document.getElementById('memory').open = false")
    if transparent:
        page.check('input[name="background"][value="transparent"]', force=True)
    data = list(clip.read_bytes())
    page.evaluate("""(data) => {
        const files = new DataTransfer();
        files.items.add(new File([Uint8Array.from(data)], 'portrait.mp4', { type: 'video/mp4' }));
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
    }""", data)
    wait(page, 'window.frameLog.length >= 2')
    page.evaluate('() => { window.frameLog.length = 0; }')
    page.click('#record')
    save(page, tmp_path / 'out.webm')
    told = page.inner_text('#download')
    frames = read_log(page, page.evaluate('window.frameLog.length'))
    assert not page.problems
    page.close()
    assert f'{CLIP_FRAMES} frames' in told and ('not transparent' in told) != transparent
    times, read = read_webm(tmp_path / 'out.webm')
    assert [round(float(time) * 1000) for time in times] == [100 * index for index in range(CLIP_FRAMES)]
    shown = {round(frame.time): frame.out for frame in frames}       # the last of each time: while recording
    shown = np.stack([shown[100 * index] for index in range(CLIP_FRAMES)])
    assert read.shape == shown.shape
    alpha, expected = read[..., 3:] / 255.0, shown[..., 3:] / 255.0
    assert np.abs(alpha - expected).mean() * 255 < 2
    assert transparent == bool((read[..., 3] < 128).any())
    # as seen over a light and a dark page: a fringe would show in one of them
    for page_color in (0, 255):
        left = read[..., :3] * alpha + page_color * (1 - alpha)
        right = shown[..., :3] * expected + page_color * (1 - expected)
        assert np.abs(left - right).mean() < 4


def test_camera_is_recorded(url, playwright, tmp_path):
    with chromium(playwright, *FAKE_CAMERA) as browser:
        page = open_page(browser, url, '?engine=wasm')
        page.select_option('#limit', '480')
        page.click('#camera')
        wait(page, "document.getElementById('fps').innerText !== '–'")
        page.click('#record')
        wait(page, "/Recording: [3-9]/.test(document.getElementById('status').innerText)")
        page.click('#record')
        save(page, tmp_path / 'out.webm')
        assert not page.problems
    times, read = read_webm(tmp_path / 'out.webm')
    assert len(times) >= 3 and times[0] == 0 and sorted(set(times)) == times
    assert (read[..., 3] == 255).all()


@pytest.mark.parametrize('error, words', [('NotAllowedError', 'not allowed'), ('NotFoundError', 'No camera was found'),
                                          ('NotReadableError', 'another program')])
def test_camera_problems_are_told(url, browser, error, words):
    page = open_page(browser, url)
    page.evaluate("""(name) => {
        navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); };
    }""", error)
    page.click('#camera')
    wait(page, "document.getElementById('status').className === 'bad'")
    assert words in page.inner_text('#status')
    assert not page.is_disabled('#camera')
    page.close()


def test_other_problems_are_told(url, browser, clip, tmp_path):
    page = open_page(browser, url, '?model=model/none.onnx', ready=False)
    wait(page, "document.getElementById('status').className === 'bad'")
    assert 'model/none.onnx is missing (404): "python demo/web/serve.py" makes it' in page.inner_text('#status')
    assert page.is_disabled('#camera') and page.inner_text('#engine') == 'not ready'
    page.close()

    page = open_page(browser, url, '?engine=webgpu', ready=False)
    wait(page, "document.getElementById('status').className === 'bad'")
    assert 'WebGPU was asked for, but' in page.inner_text('#status')
    page.close()

    page = open_page(browser, url)
    assert 'using WASM' in page.inner_text('#status') and page.inner_text('#engine').startswith('WASM')
    (tmp_path / 'broken.mp4').write_bytes(b'no video' * 100)
    page.set_input_files('#open', tmp_path / 'broken.mp4')
    wait(page, "document.getElementById('status').className === 'bad'")
    assert 'cannot play broken.mp4' in page.inner_text('#status')
    page.evaluate('() => { delete globalThis.VideoEncoder; }')
    page.set_input_files('#open', clip)
    wait(page, "!document.getElementById('record').disabled")
    page.click('#record')
    wait(page, "document.getElementById('status').className === 'bad'")
    assert 'cannot encode WebM' in page.inner_text('#status')
    page.close()


def test_webgpu_against_pytorch(url, playwright, network, tmp_path):
    """On an emulated graphics card: correct, and far too slow to say anything about speed."""
    from sample_clip import sample_frames
    frames = [frame[::4, ::4] for frame in sample_frames(1)]
    still = write_clip(tmp_path / 'small.mp4', 6, (212, 120), 2,
                       make=lambda index, width, height: np.ascontiguousarray(frames[0][:height, :width]))
    with chromium(playwright, *EMULATED_WEBGPU) as browser:
        page = open_page(browser, url, '?engine=webgpu&log=3')
        if page.get_attribute('#engine', 'data-engine') != 'webgpu':
            pytest.skip('this Chromium emulates no graphics card')
        page.select_option('#ratio', '0.75')
        page.set_input_files('#open', still)
        frames = read_log(page, 3, 600)
        wait(page, "document.querySelector('#tiles canvas').width > 16")       # states are read back from the card
        assert not page.problems
    results = matte(network, frames)
    differences = [difference(frame, over(fgr, pha, BLUE)) for frame, (fgr, pha) in zip(frames, results)]
    print('mean difference of compositions, of 255:', ' '.join(f'{value:.3f}' for value in differences))
    assert max(differences) < LIMIT
