"""The page's modules: their own tests in node, and the WebM writer against FFmpeg."""

import base64
import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import picture

from .webm_reader import read_webm

HERE = Path(__file__).parent
TIMES = [0, 40, 81, 120, 2000, 2040, 40000, 40033]     # [ms]: uneven, and further apart than one cluster can say
KEYS = [0, 4]


@pytest.fixture(scope='module')
def node() -> str:
    program = shutil.which('node')
    if program is None:
        pytest.skip('needs node')
    return program


def test_modules(node):
    tests = sorted(str(path) for path in HERE.glob('*.test.mjs'))
    assert tests
    done = subprocess.run([node, '--test', '--test-reporter=tap', *tests], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert '# fail 0' in done.stdout and '# pass 0' not in done.stdout


def encode(pictures: list[np.ndarray]) -> list[dict]:
    """VP9 packets of (H, W, 3) uint8 pictures, one per picture, key frames where KEYS says."""
    context = av.CodecContext.create('libvpx-vp9', 'w')
    context.height, context.width = pictures[0].shape[:2]
    context.pix_fmt, context.time_base = 'yuv420p', Fraction(1, 1000)
    context.options = {'crf': '10', 'lag-in-frames': '0', 'auto-alt-ref': '0', 'cpu-used': '8', 'deadline': 'realtime'}
    packets = []
    for index, pixels in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(pixels, 'rgb24').reformat(format='yuv420p', dst_colorspace='ITU709')
        frame.pts, frame.time_base = TIMES[index], Fraction(1, 1000)
        frame.pict_type = av.video.frame.PictureType.I if index in KEYS else av.video.frame.PictureType.NONE
        packets += context.encode(frame)
    packets += context.encode(None)
    assert len(packets) == len(pictures)
    return [{'key': packet.is_keyframe, 'data': base64.b64encode(bytes(packet)).decode()} for packet in packets]


def mux(node: str, path: Path, track: dict, frames: list[dict]) -> None:
    message = json.dumps({'track': {'codec': 'V_VP9', **track}, 'frames': frames, 'duration': 40066})
    done = subprocess.run([node, str(HERE / 'mux.mjs')], input=message.encode(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    path.write_bytes(done.stdout)


@pytest.mark.parametrize('transparent', [True, False])
def test_webm_is_read_back(node, tmp_path, transparent):
    W, H = 96, 64
    colors = [picture(index, W, H) for index in range(len(TIMES))]
    alphas = [np.repeat(pixels[..., :1], 3, axis=2) for pixels in colors]
    frames = encode(colors)
    if transparent:
        frames = [{**frame, 'alpha': alpha['data']} for frame, alpha in zip(frames, encode(alphas))]
    frames = [{**frame, 'time': time} for frame, time in zip(frames, TIMES)]
    path = tmp_path / 'a.webm'
    mux(node, path, {'width': W, 'height': H, 'alpha': transparent}, frames)
    times, read = read_webm(path)
    assert [round(time * 1000) for time in times] == TIMES
    assert np.abs(read[..., :3].astype(int) - np.stack(colors)).mean() < 3
    if transparent:
        # alpha is the brightness of a grey picture, which the test's encoder wrote in limited range
        expected = 16 + np.stack(alphas)[..., 0] * (219 / 255)
        assert np.abs(read[..., 3] - expected).mean() < 2
    else:
        assert (read[..., 3] == 255).all()


def test_webm_tells_what_players_ask_for(node, tmp_path):
    frames = [{**frame, 'time': time} for frame, time in zip(encode([picture(i, 96, 64) for i in range(8)]), TIMES)]
    frames = [{**frame, 'alpha': frame['data']} for frame in frames]
    path = tmp_path / 'a.webm'
    mux(node, path, {'width': 96, 'height': 64, 'alpha': True}, frames)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert container.duration == 40_066_000
        assert (stream.width, stream.height) == (96, 64)
        assert stream.metadata['alpha_mode'] == '1'
        context = stream.codec_context
        assert (int(context.colorspace), int(context.color_primaries), int(context.color_trc)) == (1, 1, 1)     # BT.709
        assert int(context.color_range) == 1                                                                  # limited
        container.seek(2_030_000, stream=None)                                # by the index, to the key frame before
        assert next(container.demux(stream)).pts == 2000


@pytest.mark.parametrize('track, frames, message', [
    ({'alpha': False}, [], 'at least one frame'),
    ({'alpha': False}, [{'time': 0, 'key': False, 'data': ''}], 'must be a key frame'),
    ({'alpha': True}, [{'time': 0, 'key': True, 'data': ''}], 'alpha must be in every frame'),
])
def test_webm_refuses(node, track, frames, message):
    text = json.dumps({'track': {'codec': 'V_VP9', 'width': 2, 'height': 2, **track}, 'frames': frames, 'duration': 1})
    done = subprocess.run([node, str(HERE / 'mux.mjs')], input=text.encode(), capture_output=True, timeout=60)
    assert done.returncode != 0 and message in done.stderr.decode()
