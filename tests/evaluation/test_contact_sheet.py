"""evaluation/contact_sheet.py with networks whose mattes are known."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from evaluation import contact_sheet, networks
from evaluation.tree import find_clips


def disc(t: int, H: int, W: int) -> np.ndarray:
    """Alpha of frame t of the test clips (conftest.py)."""
    y, x = np.mgrid[:H, :W]
    return np.rint(255 * np.clip((H / 4 - np.hypot(y - H / 2, x - W / 3 - t)) / 4 + .5, 0, 1)).astype(np.uint8)


SHIFTS = {'exact.pth': 0, 'late.pth': 6}


class Disc(nn.Module):
    """The true mattes of the test clips, `shift` pixels off; counts frames through its first state."""

    def __init__(self, shift: int):
        super().__init__()
        self.shift = shift

    def forward(self, src, r1, r2, r3, r4, ratio):
        t = 0 if r1 is None else int(r1)
        pha = torch.from_numpy(disc(t + self.shift, *src.shape[-2:]))[None, None, None] / 255
        return [src, pha, torch.tensor(t + 1.), None, None, None]


@pytest.fixture
def arguments(trees, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, 'load_model', lambda checkpoint, *_: Disc(SHIFTS[checkpoint]))
    clips = [str(clip.folder / 'com') for clip in find_clips(trees[1])]
    return ['--checkpoint', 'late.pth', '--checkpoint', 'exact.pth', '--input-source', *clips,
            '--output', str(tmp_path / 'sheet.png'), '--width', '64', '--device', 'cpu']


def test_sheet(arguments, trees, tmp_path):
    assert contact_sheet.main([*arguments, '--moment', '1', '--background', '255', '0', '0']) == 0
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))[..., ::-1]
    assert sheet.shape == (2 * 48, 5 * 64, 3)
    for row, (clip, last) in enumerate(zip(find_clips(trees[1]), (3, 2))):
        tiles = sheet[48 * row + 20:48 * (row + 1)].astype(int)     # below the labels
        source = cv2.imread(str(clip.folder / f'com/{last:04d}.png'))[20:, :, ::-1]
        assert np.array_equal(tiles[:, :64], source)
        assert np.array_equal(tiles[:, 64:128, 0], disc(last + 6, 48, 64)[20:])
        assert np.array_equal(tiles[:, 192:256, 0], disc(last, 48, 64)[20:])
        assert (tiles[:, 256:][disc(last, 48, 64)[20:] == 0] == (255, 0, 0)).all()


def test_agreement(arguments, capsys):
    assert contact_sheet.main([*arguments, '--iou']) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if 'IoU' in line]
    assert len(lines) == 2 and 'IoU with exact: late ' in lines[0]
    a, b = disc(6, 48, 64) > 127, disc(0, 48, 64) > 127
    assert float(lines[0].split()[-1]) == pytest.approx((a & b).sum() / (a | b).sum(), abs=0.02)


def test_iou_of_known_areas():
    a, b = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    assert np.isnan(contact_sheet.iou(a, b))
    a[:, :2] = 255
    b[:, 1:3] = 200
    assert contact_sheet.iou(a, b) == pytest.approx(4 / 12) and contact_sheet.iou(a, a) == 1


@pytest.mark.parametrize('wrong, message', [
    (['--output', 'sheet.gif'], "--output must end in .png or .jpg, got 'sheet.gif'"),
    (['--moment', '2'], '--moment must be in [0, 1]'),
    (['--label', 'one'], '2 checkpoints need as many labels, got 1'),
    (['--input-source', 'nowhere.mp4'], 'nowhere.mp4: no such file'),
])
def test_bad_input(arguments, wrong, message, capsys, tmp_path):
    assert contact_sheet.main([*arguments, *wrong]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob('sheet*'))
