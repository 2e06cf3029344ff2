"""The commands on small trees: numbers, files, resuming, and everything that can be wrong with a tree."""

import csv
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from evaluation import evaluate
from evaluation.clip_result import ClipResult, read_store
from evaluation.evaluate import main
from evaluation.results import average
from metrics import PROTOCOLS, Clip, measure_clip
from metrics.meter import as_tensor

ROOT = Path(__file__).resolve().parents[2]


def run(pred, true, *more, protocol='rvm_lr') -> int:
    return main(protocol, ['--pred-dir', str(pred), '--true-dir', str(true), '--num-workers', '2', *more])


def report(pred) -> dict:
    return json.loads((pred / f'{pred.name}.json').read_text())


def test_numbers_are_those_of_the_metrics(trees):
    pred, true = trees
    assert run(pred, true) == 0
    clips = report(pred)['clips']
    assert [(clip['set'], clip['clip'], len(clip['frames'])) for clip in clips] == \
        [('plain', '0000', 4), ('shifted', '0000', 3)]
    assert all(value == 0 for value in clips[0]['values']['rvm_lr']['pha_mad'])

    def load(root, kind):
        return np.concatenate([as_tensor(cv2.imread(str(root / 'shifted' / '0000' / kind / f'{t:04d}.png'),
                                                    cv2.IMREAD_UNCHANGED)) for t in range(3)])
    tensors = [torch.from_numpy(load(root, kind))
               for kind in ('pha', 'fgr') for root in (pred, true)]
    for protocol in ('rvm_lr', 'strict'):
        expected = measure_clip(Clip(*tensors), protocol=protocol, metrics=PROTOCOLS['rvm_lr'].metrics)
        for name, values in expected.items():
            found = [math.nan if x is None else x for x in clips[1]['values'][protocol][name]]
            np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-7, err_msg=f'{protocol} {name}')


def test_averages_of_both_protocols():
    """Clips of 1 and 3 frames: the release averages columns, strict averages frames."""
    results = [ClipResult('s', 'a', values={'rvm_lr': {'pha_mad': [6.]}, 'strict': {'pha_mad': [6.]}}),
               ClipResult('s', 'b', values={'rvm_lr': {'pha_mad': [2., 3., math.nan]},
                                            'strict': {'pha_mad': [2., 3., math.nan]}})]
    assert average(results, 'rvm_lr', 'pha_mad') == pytest.approx((4 + 3) / 2)
    assert average(results, 'strict', 'pha_mad') == pytest.approx(11 / 3)
    assert math.isnan(average(results, 'strict', 'pha_mse'))


def test_workbook_csv_and_json_agree(trees):
    openpyxl = pytest.importorskip('openpyxl')
    pytest.importorskip('xlsxwriter')
    pred, true = trees
    assert run(pred, true) == 0
    formulas = openpyxl.load_workbook(pred / 'pred.xlsx')
    values = openpyxl.load_workbook(pred / 'pred.xlsx', data_only=True)
    names = list(PROTOCOLS['rvm_lr'].metrics)
    assert formulas.sheetnames == ['summary', *names, 'strict', 'problems']
    assert formulas['summary']['A1'].value == 'pha_mad' and formulas['summary']['B1'].value == '=pha_mad!B2'
    sheet = formulas['pha_dtssd']
    assert sheet['A2'].value == 'Average' and sheet['B2'].value == '=AVERAGE(C2:ZZ2)'
    assert sheet['D2'].value == '=AVERAGE(D3:D9999)'
    assert [sheet.cell(1, column).value for column in range(3, 7)] == [0, 1, 2, 3]
    assert [sheet['A4'].value, sheet['B4'].value, sheet['C4'].value] == ['shifted', '0000', 0]
    summary = report(pred)['summary']
    for row, name in enumerate(names):
        assert values['summary'].cell(row + 1, 2).value == pytest.approx(summary['rvm_lr'][name])
        assert values['strict'].cell(row + 1, 2).value == pytest.approx(summary['strict'][name])
    with (pred / 'pred.csv').open() as file:
        last = list(csv.DictReader(file))[-1]
    assert last['set'] == 'Average'
    assert float(last['rvm_lr.pha_mad']) == pytest.approx(summary['rvm_lr']['pha_mad'])
    # the 0 of the first frame pulls the released dtSSD down
    assert summary['rvm_lr']['pha_dtssd'] < summary['strict']['pha_dtssd']


def test_resume_measures_only_what_changed(trees, monkeypatch):
    pred, true = trees
    assert run(pred, true) == 0
    first, measured = report(pred), []
    original = evaluate.evaluate_clip
    monkeypatch.setattr(evaluate, 'evaluate_clip', lambda *args: measured.append(str(args[1])) or original(*args))
    assert run(pred, true) == 0
    assert measured == [] and report(pred) == first
    shutil.copy(true / 'shifted/0000/pha/0000.png', pred / 'shifted/0000/pha/0000.png')
    store = pred / 'pred.clips.jsonl'
    store.write_text(store.read_text() + '{"set_name": "plain", "cl')                   # killed while writing
    assert run(pred, true) == 0
    assert measured == ['shifted/0000']
    assert len(read_store(store)) == 2
    assert run(pred, true) == 0
    assert measured == ['shifted/0000']                                                 # nothing was lost to that line


def test_png_against_jpg_and_messddt(trees, write_clip):
    pred, true = trees
    shutil.rmtree(true / 'plain')
    write_clip(true / 'plain' / '0000', suffix='.jpg')
    assert run(pred, true, '--metrics', 'pha_mad', 'pha_messddt', 'pha_sad') == 0
    summary = report(pred)['summary']['strict']
    assert 0 < summary['pha_mad'] < 30 and summary['pha_messddt'] > 0


def test_frames_without_foreground_are_a_note(trees):
    pred, true = trees
    for root in trees:
        cv2.imwrite(str(root / 'plain/0000/pha/0001.png'), np.zeros((48, 64), np.uint8))
    assert run(pred, true) == 0
    clip = report(pred)['clips'][0]
    assert clip['values']['rvm_lr']['fgr_mse'][1] is None and clip['values']['rvm_lr']['fgr_mse'][2] == 0
    assert clip['notes'] == ['no foreground in the truth of 0001: no fgr metrics there']


@pytest.mark.parametrize('damage, message', [
    (lambda p: (p / '0001.png').unlink(), '1 of 4 frames have no predicted alpha: 0001'),
    (lambda p: shutil.copy(p / '0001.png', p / '0009.png'), '1 predicted frames have no truth: 0009'),
    (lambda p: (p / '0002.png').write_bytes(b'no image'), '0002.png: damaged, or not an image'),
    (lambda p: (p / '0002.png').write_bytes(b''), '0002.png: damaged, or not an image'),
    (lambda p: ((p / '0002.png').unlink(), (p / '0002.png').symlink_to('gone.png')), 'cannot read '),
    (lambda p: cv2.imwrite(str(p / '0003.png'), np.zeros((24, 32), np.uint8)),
     'frame 0003: predicted alpha is 32x24, the truth 64x48'),
    (lambda p: shutil.copy(p / '0000.png', p / '0000.jpg'), '0000.jpg and 0000.png are the same frame: delete one'),
    (lambda p: shutil.rmtree(p), 'no alpha in the prediction: expected frames in'),
    (lambda p: shutil.rmtree(p.parent), 'no prediction of this clip'),
], ids=['missing', 'extra', 'damaged', 'empty file', 'dead link', 'size', 'twice', 'no alpha', 'no clip'])
def test_damage_costs_only_what_it_touches(trees, capsys, damage, message):
    pred, true = trees
    shutil.rmtree(true / 'plain/0000/com')                 # with it, frame 0009 would be a source without a truth
    damage(pred / 'plain/0000/pha')
    assert run(pred, true) == 2
    clips = {clip['set']: clip for clip in report(pred)['clips']}
    assert any(message in line for line in clips['plain']['problems'])
    assert message in capsys.readouterr().out
    assert clips['shifted']['problems'] == [] and None not in clips['shifted']['values']['rvm_lr']['pha_mad']
    if clips['plain']['values']:
        assert sum(x is not None for x in clips['plain']['values']['strict']['pha_mad']) >= 3


def test_a_gap_is_not_bridged(trees):
    """The frame after a missing one has no predecessor: strict leaves its dtSSD out."""
    pred, true = trees
    (pred / 'plain/0000/pha/0001.png').unlink()
    assert run(pred, true) == 2
    values = report(pred)['clips'][0]['values']['strict']
    assert values['pha_mad'] == [0, None, 0, 0]
    assert values['pha_dtssd'] == [None, None, None, 0]


def test_sparse_truth_is_a_note(trees):
    """Truth for every second frame (as CRGNN-R): measured where it is, no dtSSD across the gaps."""
    pred, true = trees
    for t in (1, 3):
        (true / f'plain/0000/pha/000{t}.png').unlink()
    assert run(pred, true) == 0
    clip = report(pred)['clips'][0]
    assert clip['notes'] == ['2 source frames have no truth: 0001, 0003']
    assert clip['values']['strict']['pha_mad'] == [0, None, 0, None]
    assert clip['values']['strict']['pha_dtssd'] == [None] * 4


def test_truncated_png_is_reported(trees):
    pred, true = trees
    path = pred / 'plain/0000/pha/0002.png'
    path.write_bytes(path.read_bytes()[:-40])
    assert run(pred, true) == 2
    assert 'damaged' in report(pred)['clips'][0]['problems'][0]


def test_whole_tree_wrong(trees, tmp_path, capsys):
    pred, true = trees
    (tmp_path / 'empty').mkdir()
    for arguments, message in (((tmp_path / 'none', true), 'none: no such folder; expected <set>/<clip>/pha'),
                               ((pred, tmp_path / 'empty'), 'no clips in'),
                               ((pred, true, '--metrics', 'pha_madd'), 'metrics must be among')):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
    shutil.rmtree(true / 'shifted')
    assert run(pred, true) == 2
    assert report(pred)['clips'][-1]['problems'] == ['predicted clip without a truth: not measured']


def test_missing_package_keeps_csv_and_json(trees, monkeypatch, capsys):
    pred, true = trees
    monkeypatch.setitem(sys.modules, 'xlsxwriter', None)
    assert run(pred, true) == 2
    assert 'pip install -r requirements/evaluation.txt' in capsys.readouterr().err
    assert report(pred)['summary'] and (pred / 'pred.csv').is_file()


@pytest.mark.parametrize('script', ['evaluate_lr', 'evaluate_hr'])
def test_released_command_line(trees, script):
    pred, true = trees
    done = subprocess.run([sys.executable, ROOT / 'evaluation' / f'{script}.py', '--pred-dir', pred,
                           '--true-dir', true, '--num-workers', '2', '--metrics', 'pha_mad', 'pha_grad'],
                          capture_output=True, text=True, cwd=pred)
    assert done.returncode == 0, done.stderr
    assert script.replace('evaluate', 'rvm') in done.stdout and 'pha_grad' in done.stdout
