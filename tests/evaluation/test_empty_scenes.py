"""evaluation/empty_scenes.py with networks whose mattes are known."""

import csv

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from evaluation import empty_scenes, networks


class Bright(nn.Module):
    """Takes everything brighter than a limit for a person; fails if it sees a clip."""

    def __init__(self, limit: float):
        super().__init__()
        self.limit = limit

    def forward(self, src, r1, r2, r3, r4, ratio):
        assert r1 is None
        pha = (src.amax(-3, keepdim=True) > self.limit).float()
        return [src, pha, torch.ones(1), None, None, None]


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    (tmp_path / 'scenes/below').mkdir(parents=True)
    for name, share in (('dark', 0), ('below/half', 50), ('bright', 100)):
        picture = np.zeros((100, 200, 3), np.uint8)
        picture[:share] = 150
        cv2.imwrite(str(tmp_path / f'scenes/{name}.png'), picture)
    monkeypatch.setattr(networks, 'load_model',
                        lambda checkpoint, *_: Bright({'timid.pth': 0.9, 'eager.pth': 0.5}[checkpoint]))
    return ['--checkpoint', 'eager.pth', '--checkpoint', 'timid.pth', '--pictures', str(tmp_path / 'scenes'),
            '--device', 'cpu']


def test_numbers_and_files(arguments, tmp_path, capsys):
    csv_file, sheet = tmp_path / 'scenes.csv', tmp_path / 'sheet.png'
    assert empty_scenes.main([*arguments, '--output', str(csv_file), '--sheet', str(sheet), '--width', '60']) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ['eager: mean alpha 500.00 x 1e-3, above 0.01 in 2 of 3 pictures',
                    'timid: mean alpha 0.00 x 1e-3, above 0.01 in 0 of 3 pictures']
    rows = list(csv.DictReader(csv_file.open()))
    assert [row['picture'].rsplit('/', 1)[1] for row in rows] == ['bright.png', 'half.png', 'dark.png']
    assert [float(row['eager']) for row in rows] == [1, 0.5, 0] and {row['timid'] for row in rows} == {'0.00000'}
    drawn = cv2.imread(str(sheet))
    assert drawn.shape == (3 * 40, 3 * 60, 3)
    assert (drawn[30:40, 60:120] == 255).all() and (drawn[30:40, 120:] == 0).all()      # below the labels
    assert sorted(path.name for path in tmp_path.iterdir()) == ['scenes', 'scenes.csv', 'sheet.png']


def test_every_second_and_small(arguments, capsys):
    assert empty_scenes.main([*arguments, '--every', '2', '--size', '64']) == 0        # below/half and dark
    assert 'eager: mean alpha 250.00 x 1e-3, above 0.01 in 1 of 2' in capsys.readouterr().out


@pytest.mark.parametrize('wrong, message', [
    (['--sheet', 'sheet.gif'], "--sheet must end in .png or .jpg, got 'sheet.gif'"),
    (['--every', '0'], '--every must be at least 1'),
    (['--label', 'one'], '2 checkpoints need as many labels, got 1'),
    (['--pictures', 'nowhere'], 'no pictures in nowhere'),
    (['--output', 'nowhere/scenes.csv'], 'nowhere/scenes.csv: the folder nowhere does not exist'),
])
def test_bad_input(arguments, wrong, message, capsys):
    assert empty_scenes.main([*arguments, *wrong]) == 2
    error = capsys.readouterr().err
    assert message in error and 'Traceback' not in error
