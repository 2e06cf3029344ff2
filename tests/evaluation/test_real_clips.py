"""evaluation/real_clips.py: numbers worked out by hand, and the command on small clips and photos."""

import csv

import numpy as np
import pytest

from evaluation.real_clips import fifths, main, overlap, score
from model import MattingNetwork
from model.weights import save_network
from tests.clips import write_clip
from tests.dataset.test_natural_photos import natural_folder


def test_scores_by_hand():
    true = np.zeros((5, 4, 4), np.uint8)
    true[:, :2] = 255                                   # 8 of 16 pixels
    pha = true.copy()
    pha[4] = 0
    pha[4, 2] = 255                                     # the last frame: 8 missing, 4 extra
    pha[0, 3, 3] = 100                                  # soft, and gone in the next frame
    grey = np.zeros_like(true)
    grey[1:, 3, :2] = 90                                # two of 16 pixels move in the first step
    entry = score('a', '512', 'clip', pha, true, grey)
    assert entry.iou == pytest.approx(4 / 5) and (entry.first_fifth, entry.last_fifth) == (1, 0)
    assert entry.missing == pytest.approx(8 / 40) and entry.extra == pytest.approx(4 / 40)
    assert entry.soft == pytest.approx(1000 / 80) and entry.area == pytest.approx(1000 * (36 * 255 + 100) / 255 / 80)
    still = 14 + 3 * 16
    assert entry.flicker == pytest.approx(1000 / 255 * (100 + 12 * 255) / still) and not entry.empty
    assert score('a', '512', 'clip', 0 * pha, true, grey).empty
    nobody = score('a', '512', 'clip', 0 * pha, 0 * true, grey)
    assert np.isnan(nobody.iou) and not nobody.empty


def test_frames_without_anybody_are_left_out():
    found = np.zeros((2, 2, 2), bool)
    found[1, 0] = True
    values = overlap(found, found)
    assert np.isnan(values[0]) and values[1] == 1 and fifths(values)[1] == 1


def test_the_command(tmp_path, capsys):
    network = MattingNetwork('mobilenetv3', 'fast_guided_filter')
    save_network(network, tmp_path / 'a.safetensors')
    clip = write_clip(tmp_path / 'clip.mp4', frames=6)
    folder = natural_folder(tmp_path / 'natural', 6, 32)
    output = tmp_path / 'real.csv'
    assert main(['--checkpoint', str(tmp_path / 'a.safetensors'), '--reference', str(tmp_path / 'a.safetensors'),
                 '--clips', str(clip), '--natural', str(folder), '--natural-every', '2', '--limit', '4',
                 '--inference-size', '64', '96', '--output', str(output), '--plot', str(tmp_path / 'real.png')]) == 0
    rows = list(csv.DictReader(output.open()))
    assert [(row['network'], row['size']) for row in rows] == [('reference', 'portrait'), ('a', '64'), ('a', '96')]
    printed = capsys.readouterr().out
    assert 'IoU' in printed and 'on 2 photos with people' in printed and 'on 1 without' in printed
    assert (tmp_path / 'real.png').stat().st_size > 1000


@pytest.mark.parametrize('flags, message', [
    (['--clips', 'nowhere.mp4'], 'nowhere.mp4'),
    (['--label', 'a', '--label', 'b'], '1 checkpoints need as many labels'),
])
def test_bad_input_is_one_line(flags, message, capsys):
    assert main(['--checkpoint', 'default', '--reference', 'default', *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
