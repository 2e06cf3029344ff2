"""Small test sets with known truth: a soft disc that moves over a striped background."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from evaluation.tree import write_image


def disc(t: int, H: int, W: int) -> np.ndarray:
    """(H, W) uint8 alpha of a soft disc, a pixel further to the right each frame."""
    y, x = np.mgrid[:H, :W]
    distance = np.hypot(y - H / 2, x - W / 3 - t)
    return np.rint(255 * np.clip((H / 4 - distance) / 4 + .5, 0, 1)).astype(np.uint8)


def make_clip(folder: Path, T: int = 4, H: int = 48, W: int = 64, shift: int = 0, suffix: str = '.png') -> None:
    """folder/{pha,fgr,com}/NNNN; `shift` moves the disc and brightens the foreground: a wrong prediction."""
    for kind in ('pha', 'fgr', 'com'):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:H, :W]
    fgr = np.stack([60 + 2 * x, 80 + 2 * y, np.full_like(x, 120 + shift)], -1).astype(np.uint8)
    bgr = np.where((x // 8 % 2)[..., None], 200, 40).astype(np.uint8).repeat(3, -1)
    for t in range(T):
        pha = disc(t + shift, H, W)
        com = cv2.convertScaleAbs(fgr * (pha[..., None] / 255.) + bgr * (1 - pha[..., None] / 255.))
        for kind, image in (('pha', pha), ('fgr', fgr), ('com', com)):
            write_image(folder / kind / f'{t:04d}{suffix}', image)


@pytest.fixture
def write_clip():
    return make_clip


@pytest.fixture
def trees(tmp_path) -> tuple[Path, Path]:
    """(predictions, truth): two sets with a clip each; the second prediction is a pixel off."""
    for number, (set_name, T) in enumerate((('plain', 4), ('shifted', 3))):
        make_clip(tmp_path / 'true' / set_name / '0000', T)
        make_clip(tmp_path / 'pred' / set_name / '0000', T, shift=number)
    return tmp_path / 'pred', tmp_path / 'true'


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny networks: on a busy machine a second thread costs seconds per frame at its barriers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
