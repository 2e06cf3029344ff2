"""dataset/jpeg.py against a real encoder."""

import cv2
import numpy as np
import pytest
import torch

from dataset.jpeg import jpeg
from dataset.synthetic import figure, scenery


def real_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize('quality', [15, 40, 75, 95])
def test_equals_a_real_encoder(quality):
    fgr, pha = figure(0, 0, 208, 200)
    image = np.where(pha[..., None] > 127, fgr, scenery(0, 0, 208, 200))
    source = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    ours = jpeg(source, torch.tensor([quality]))
    real = torch.from_numpy(real_jpeg(image, quality).copy()).permute(2, 0, 1)[None] / 255
    damage = (real - source).abs().mean()
    assert (ours - real).abs().mean() < 1.5 / 255    # integer arithmetic and another filter for colour differ a little
    assert abs((ours - source).abs().mean() - damage) < 0.12 * damage


def test_each_picture_has_its_quality_and_any_size():
    source = torch.rand(2, 1, 37, 50, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    both = jpeg(source, torch.tensor([10, 100]))
    assert both.shape == source.shape and both.min() >= 0 and both.max() <= 1
    assert torch.allclose(both[:1], jpeg(source[:1], torch.tensor([10])), atol=1e-6)
    change = (both - source).abs().mean(dim=(1, 2, 3))
    assert change[0] > 0.1 and change[1] < 0.01
