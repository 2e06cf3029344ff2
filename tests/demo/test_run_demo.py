"""The demo, as `make demo` runs it."""

import subprocess
import sys
from pathlib import Path

import av
import cv2
import pytest

ROOT = Path(__file__).resolve().parents[2]


def demo(*arguments):
    return subprocess.run([sys.executable, '-W', 'ignore', str(ROOT / 'demo/run_demo.py'), *map(str, arguments)],
                          capture_output=True, text=True, timeout=300)


def test_offline_with_our_own_weights(tmp_path):
    pytest.importorskip('skimage', reason='the sample clip needs scikit-image: pip install -r requirements/demo.txt')
    done = demo('--output', tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ('composition.mp4', 'alpha.mp4'):
        assert str(tmp_path / name) in done.stdout
        with av.open(str(tmp_path / name)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 75
    sheet = cv2.imread(str(tmp_path / 'contact_sheet.png'))
    assert sheet is not None and sheet.std() > 30


def test_a_missing_checkpoint_is_one_line(tmp_path):
    done = demo('--output', tmp_path, '--checkpoint', 'missing.pth')
    assert done.returncode == 2 and "error: checkpoint 'missing.pth'" in done.stderr
    assert done.stderr.count('\n') == 1
