"""A matte for each person from the matte of everybody."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.matter import Matter
from engine.people import PeopleMatter, person_colour

H, W = 60, 100


class Bright(nn.Module):
    """Takes what is bright for a person."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.calls = 0

    def forward(self, src, r1=None, r2=None, r3=None, r4=None, downsample_ratio=1):
        self.calls += 1
        return [src, src.mean(-3, keepdim=True), *(torch.zeros(1, 1, 1, 1) for _ in range(4))]


class Sides:
    """Two people: left and right half, the second one only from frame 1 on."""

    people = ('anna', 'ben')

    def at(self, frame, size):
        masks = np.zeros((2, size[1], size[0]), bool)
        masks[0, :, :size[0] // 2] = True
        masks[1, :, size[0] // 2:] = frame > 0
        return masks


def frame() -> np.ndarray:
    pixels = np.zeros((H, W, 3), np.uint8)
    pixels[20:40, 10:90] = 255
    return pixels


def test_each_person_gets_their_part():
    matter = PeopleMatter(Matter(Bright(), 1.), Sides())
    fgr, pha = matter.step(frame())
    assert fgr.shape == (3, H, W) and pha.shape == (2, H, W)
    assert pha[1].max() == 0                                          # not there yet
    assert pha[0, 30, 20] > 0.99 and pha[0, 30, 80] == 0              # far from anybody's mask: nobody's
    _, pha = matter.step(frame())
    assert pha[1, 30, 80] > 0.99 and pha[0, 30, 80] < 1e-3
    matter.reset()
    assert matter.step(frame())[1][1].max() == 0                      # the first frame again


def test_masks_with_every_call():
    matter = PeopleMatter(Matter(Bright(), 1.))
    _, pha = matter.step(frame(), Sides().at(1, (W, H))[::-1])
    assert pha[0, 30, 80] > 0.99
    with pytest.raises(ValueError, match=r'masks must be \(N, 60, 100\) as the frame is, got \[2, 5, 5\]'):
        matter.step(frame(), np.zeros((2, 5, 5), bool))
    with pytest.raises(ValueError, match='no masks'):
        matter.step(frame())


def test_views_of_one_prediction():
    matter = PeopleMatter(Matter(Bright(), 1.), Sides())
    _, prediction = matter.predict([frame(), frame()])
    everybody = prediction.rows(0, H, ('fgr', 'pha', 'labels'))
    parts = [prediction.person(n).rows(0, H)['pha'] for n in range(2)]
    torch.testing.assert_close(sum(parts), everybody['pha'])
    assert prediction.rows(10, 30)['pha'].shape == (1, 20, W)
    assert prediction.person(0).small_alpha().shape == (H, W)
    # who is who: a person's colour where they are, the picture elsewhere
    red, green, blue = person_colour(0)
    assert everybody['labels'][:, 30, 20].tolist() == pytest.approx([0.4 + 0.6 * c for c in (red, green, blue)])
    assert everybody['labels'][:, 5, 5].tolist() == [0, 0, 0]
    assert matter.interface.outputs == ('fgr', 'pha', 'labels')


def test_any_number_of_people():
    masks = np.zeros((12, H, W), bool)
    for n in range(12):
        masks[n, :, n * 8:n * 8 + 8] = True
    _, pha = PeopleMatter(Matter(Bright(), 1.)).step(frame(), masks)
    assert pha.shape[0] == 12 and pha.sum(0).max() <= 1 + 1e-5
    assert PeopleMatter(Matter(Bright(), 1.)).step(frame(), masks[:0])[1].shape == (0, H, W)


def test_colours_differ():
    colours = [person_colour(n) for n in range(6)]
    assert min(sum(abs(a - b) for a, b in zip(x, y)) for i, x in enumerate(colours) for y in colours[:i]) > 0.2
