"""The protocol with a background plate: numbers worked out by hand, trimaps, plates that stand still."""

import cv2
import numpy as np
import pytest
import torch

from evaluation.background_matting import errors, main, trimap
from evaluation.plates import damaged_plate
from evaluation.predict import predict_clip
from evaluation.tree import Clip
from tests.test_inference_plate import DifferenceNetwork


def square(side=64, low=16, high=48):
    pha = np.zeros((side, side), np.uint8)
    pha[low:high, low:high] = 255
    return pha


def test_trimap_is_the_band_around_the_edge():
    band = trimap(square())
    assert band[32, 32] == 255 and band[2, 2] == 0 and (band[32, [6, 15, 16, 25]] == 128).all()
    assert (band[32, [5, 26]] == [0, 255]).all()


def test_errors_count_where_it_is_unknown():
    true, unknown = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8, dtype=torch.bool)
    true[:, 2:], unknown[:, :4] = 1, True
    pred = true.clone()
    pred[:, 0], pred[:, 7] = 0.5, 0                       # 8 pixels of 32 by a half; those of the last row do not count
    fgr, true_fgr = torch.zeros(3, 8, 8), torch.zeros(3, 8, 8)
    fgr[0, 3], fgr[0, 0] = 1, 1                           # colours count where alpha is
    numbers = errors(pred, true, unknown, fgr, true_fgr)
    assert numbers['mse'] == pytest.approx(8 * 0.25 / 32) and numbers['sad'] == pytest.approx(4 / 1000)
    assert numbers['fg_mse'] == pytest.approx(8 / (3 * 32))
    assert numbers['grad'] > 0 and numbers['conn'] == pytest.approx(4)
    assert errors(true, true, unknown)['grad'] == 0
    assert errors(true, true, torch.zeros_like(unknown)) == {}


def test_the_command(tmp_path, capsys):
    for root, shift in (('truth', 0), ('result', 1)):
        for kind in ('pha', 'fgr'):
            (tmp_path / root / kind / 'deep').mkdir(parents=True)
            picture = np.roll(square(66), shift, axis=1)
            picture = picture if kind == 'pha' else np.dstack([picture] * 3)
            cv2.imwrite(str(tmp_path / root / kind / 'deep' / 'a.png'), picture)
    assert main([str(tmp_path / 'truth'), str(tmp_path / 'result'), '--csv', str(tmp_path / 'n.csv')]) == 0
    out = capsys.readouterr()
    assert out.out.startswith('mse 0.0') and 'sad 0.064, grad ' in out.out and out.err.startswith('deep/a,0.0')
    assert (tmp_path / 'n.csv').read_text().startswith('name,mse,sad,grad,conn,fg_mse')
    (tmp_path / 'result/pha/deep/a.png').unlink()
    assert main([str(tmp_path / 'truth'), str(tmp_path / 'result')]) == 2
    assert 'has no picture called deep/a' in capsys.readouterr().err


def test_damaged_plates_belong_to_the_clip():
    draws = np.random.default_rng(0)
    bgr = cv2.resize(draws.integers(60, 200, (12, 16, 3), np.uint8), (128, 96), interpolation=cv2.INTER_CUBIC)
    plate = damaged_plate(bgr, 'a/0001')
    assert np.array_equal(plate, damaged_plate(bgr, 'a/0001')) and not np.array_equal(plate, damaged_plate(bgr, 'a/2'))
    spread = [np.abs(damaged_plate(bgr, f'a/{i}').astype(float) - bgr).mean() for i in range(8)]
    assert min(spread) > 3 and max(spread) < 30 and np.std(spread) > 0.5


def test_benchmark_shows_networks_the_plate(tmp_path):
    clip = Clip('set', '0001', tmp_path / 'clip')
    frame = np.full((48, 64, 3), 90, np.uint8)
    for kind, picture in (('com', frame.copy()), ('bgr', frame)):
        (clip.folder / kind).mkdir(parents=True)
        if kind == 'com':
            picture[10:30, 20:40] = 250
        cv2.imwrite(str(clip.folder / kind / '0000.png'), picture)
    predict_clip(DifferenceNetwork(), clip, tmp_path / 'out')
    pha = cv2.imread(str(tmp_path / 'out/pha/0000.png'), cv2.IMREAD_GRAYSCALE)
    assert pha[20, 30] == 255 and pha[40, 50] < 200
    (clip.folder / 'bgr/0000.png').unlink()
    with pytest.raises(ValueError, match='no background plate: this network needs'):
        predict_clip(DifferenceNetwork(), clip, tmp_path / 'out2')
