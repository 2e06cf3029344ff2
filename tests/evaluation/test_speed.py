"""How fast a core measures 1920x1080 clips, files included. pytest -m slow -s tests/evaluation/test_speed.py"""

import time

import cv2
import numpy as np
import pytest

from evaluation.evaluate import evaluate_clip
from evaluation.tree import Clip, read_alpha, read_colour, write_image
from metrics import Clip as Measured
from metrics import FrameMeter, measure_clip
from metrics.meter import as_tensor

METRICS = ('pha_mad', 'pha_mse', 'pha_sad', 'pha_grad', 'pha_conn', 'pha_dtssd', 'pha_iou', 'fgr_mad', 'fgr_mse')


def make(folder, suffix, shift, T=6, H=1080, W=1920):
    """A person-sized soft shape with a ragged edge and a textured foreground; `shift` makes it a prediction."""
    for kind in ('pha', 'fgr'):
        (folder / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    ragged = cv2.GaussianBlur(rng.standard_normal((H, W)), (0, 0), 6) * 12
    texture = cv2.resize(rng.integers(0, 256, (H // 6, W // 6, 3), np.uint8), (W, H), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:H, :W]
    for t in range(T):
        distance = 1 - np.hypot((y - H * .75) / (H * .65), (x - W / 2 - 3 * t - shift) / (W * .2)) + ragged * .05
        pha = np.rint(255 * np.clip(distance * 25 + .5, 0, 1)).astype(np.uint8)
        fgr = np.where(pha[..., None] > 0, np.clip(texture.astype(int) + shift, 0, 255), 0).astype(np.uint8)
        write_image(folder / 'pha' / f'{t:04d}{suffix}', pha)
        write_image(folder / 'fgr' / f'{t:04d}{suffix}', fgr)
    return Clip('s', '0', folder)


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_frames_per_second_of_a_core(tmp_path, suffix):
    """CPU seconds, so that other work on the machine counts little. The metrics must make 20 a second; reading is
    what the codec takes, and is printed."""
    cv2.setNumThreads(1)
    true, pred = make(tmp_path / 'true', suffix, 0), make(tmp_path / 'pred', suffix, 2)
    T = len(true.frames('pha'))

    def seconds(function) -> float:
        function()
        start = time.process_time()
        function()
        return time.process_time() - start

    def decode():
        return [(read_alpha(p.frames('pha')[f'{t:04d}']), read_colour(p.frames('fgr')[f'{t:04d}']))
                for t in range(T) for p in (pred, true)]

    images = decode()

    def measure():
        meter = FrameMeter(METRICS, ('rvm_lr', 'strict'))
        for t in range(T):
            (pred_pha, pred_fgr), (true_pha, true_fgr) = images[2 * t:2 * t + 2]
            meter.measure(pred_pha, true_pha, pred_fgr, true_fgr)

    whole, reading, measuring = (seconds(function) for function in (
        lambda: evaluate_clip(pred, true, METRICS, ('rvm_lr', 'strict')), decode, measure))
    print(f'\n{suffix}: {T / whole:.0f} frames per CPU second; reading {reading / T * 1e3:.0f} ms, '
          f'measuring {measuring / T * 1e3:.0f} ms a frame')
    assert T / measuring > 20


@pytest.mark.slow
def test_how_much_faster_than_the_reference(tmp_path):
    true, pred = make(tmp_path / 'true', '.png', 0, T=1), make(tmp_path / 'pred', '.png', 2, T=1)
    images = [read_alpha(clip.frames('pha')['0000']) for clip in (pred, true)]
    times = {}
    for name, function in (('reference', lambda: measure_clip(Measured(*map(as_tensor, images)), METRICS[:7])),
                           ('fast', lambda: FrameMeter(METRICS[:7]).measure(*images))):
        function()
        start = time.process_time()
        values = function()
        times[name] = time.process_time() - start
        print(f'{name}: {times[name] * 1e3:.0f} ms', values if name == 'fast' else '')
    assert times['fast'] * 5 < times['reference']
