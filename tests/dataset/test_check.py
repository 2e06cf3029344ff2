"""The look before training, and the generated tree."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dataset import check, data_paths, synthetic
from dataset.paths import LAYOUTS, exists


def run(root, *arguments, capsys):
    status = check.main(['--data-root', str(root), *arguments])
    return status, *capsys.readouterr()


def test_the_generated_tree_is_ready(tree, capsys):
    paths = data_paths(tree)
    assert all(exists(paths, name, split) for name, splits in LAYOUTS.items() for split in splits)
    status, out, err = run(tree, capsys=capsys)
    assert status == 0 and err == '' and 'ready to train' in out
    assert 'videomatte (train): 2 clips, 12 frames, 6 to 6 each; 0.0 MB; looked at 12: 96x64 (12)' in out
    assert 'rgba (valid): 3 clips (1 video files), 18 frames' in out and 'imagematte (train): 2 photos' in out
    assert 'videomatteHD (train)' in out and '192x128' in out
    assert 'youtubevis (train): 2 videos with a person, 12 frames' in out
    assert 'masks cover 0.18 of the picture on average, 0 are empty' in out


def test_what_keeps_training_from_starting(branch, capsys):
    root = branch('videomatte', 'background_images')
    status, out, err = run(root, capsys=capsys)
    assert status == 2 and 'no youtubevis for the segmentation' in err and 'no coco_panoptic or spd' in err
    assert 'not there: videomatteHD' in out
    assert run(root, '--finetune', capsys=capsys)[0] == 0
    assert run(root, '--sets', 'videomatte', capsys=capsys)[0] == 0
    status, _, err = run(root, '--sets', 'imagematte', capsys=capsys)
    assert status == 2 and 'imagematte (train): ' in err and 'Expected fgr/' in err
    shutil.rmtree(root / 'background_images/train')
    status, _, err = run(root, '--finetune', capsys=capsys)
    assert status == 2 and 'no backgrounds (train)' in err
    shutil.rmtree(root / 'videomatte')
    assert 'no matting set: expected at least one of videomatte' in run(root, capsys=capsys)[2]


def test_damage_is_listed(branch, capsys):
    root = branch('videomatte', 'background_images')
    frames = sorted((root / 'videomatte/train/fgr').rglob('*.jpg'))
    frames[3].write_bytes(b'')
    status, out, err = run(root, '--finetune', capsys=capsys)
    assert f'unreadable: {frames[3]}: ' in out and status == 2
    assert '1 of 12 frames looked at are unreadable' in err  # over 5 %
    frames[3].unlink()
    assert '1 pictures have no partner' in run(root, '--finetune', capsys=capsys)[2]


@pytest.mark.parametrize('change, message', [(lambda x: 255 - x, 'it is probably inverted'),
                                             (lambda x: (x > 127).astype(np.uint8), 'values 0 and 1 instead of 0')])
def test_alpha_polarity(branch, capsys, change, message):
    root = branch('imagematte', 'background_images')
    for path in (root / 'imagematte/train/pha').iterdir():
        Image.fromarray(change(np.asarray(Image.open(path)))).save(path)
    status, _, err = run(root, '--finetune', capsys=capsys)
    assert status == 2 and message in err


def test_wrong_arguments(tmp_path, capsys):
    assert run(tmp_path / 'nowhere', capsys=capsys)[0] == 2
    status, _, err = run(tmp_path, '--sets', 'videomat', capsys=capsys)
    assert status == 2 and "unknown sets ['videomat']; known: videomatte" in err


def test_commands(tmp_path, monkeypatch, capsys):
    out = str(tmp_path / 'out')
    monkeypatch.setattr(sys, 'argv', ['dataset.synthetic', out, '--clips', '1', '--frames', '2', '--size', '40', '30'])
    synthetic.main()
    assert capsys.readouterr().out == f'wrote {out}\n'
    done = subprocess.run([sys.executable, '-m', 'dataset.check', '--data-root', out], capture_output=True, text=True)
    assert done.returncode == 0 and 'ready to train' in done.stdout, done.stderr


def test_synthetic_figure():
    fgr, pha = synthetic.figure(0, 0, 96, 64)
    assert fgr.shape == (64, 96, 3) and pha.shape == (64, 96)
    assert 0.1 < (pha > 127).mean() < 0.5 and 0.01 < ((pha > 0) & (pha < 255)).mean() < 0.3  # soft edges
