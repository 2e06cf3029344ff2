"""The size inside the network follows the people of a scene."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.matter import Matter
from engine.person_size import LOOK_EVERY, SizeChooser, person_share, size_factor
from tests.clips import picture


def blobs(*sides: int) -> np.ndarray:
    """(100, 100) alpha with squares of these sides [px] that do not touch."""
    alpha, x = np.zeros((100, 100), np.float32), 1
    for side in sides:
        alpha[1:1 + side, x:x + side] = 1
        x += side + 2
    return alpha


def test_the_largest_person_counts():
    assert person_share(blobs(30)) == pytest.approx(0.3) and person_share(blobs(10, 20, 5)) == pytest.approx(0.2)
    assert person_share(np.zeros((9, 16), np.float32)) == 0 == person_share(blobs(2))


def test_small_people_get_a_larger_size():
    assert [size_factor(share) for share in (0.8, 0.3, 0.2, 0.1, 0.03, 0)] == [1, 1, 1.25, 1.5, 1.5, 1]


class Stencil(nn.Module):
    """Answers with what is white in the picture; counts the sizes it saw."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.ones(1)), []

    def forward(self, src, r1=None, r2=None, r3=None, r4=None, downsample_ratio=1.):
        self.seen.append(round(src.size(-1) * downsample_ratio))
        seen = torch.zeros(1) if r1 is None else r1 + src.size(1)
        return src, src[:, :, :1], seen, seen, seen, seen


def scene(side: int, size: tuple[int, int] = (320, 180)) -> np.ndarray:
    """A white square on black."""
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    frame[20:20 + side, 30:30 + side] = 255
    return frame


def matter_on(**settings) -> tuple[Matter, list[int]]:
    matter = Matter(Stencil(), **settings)
    return matter, matter.engine.network.seen


def test_the_first_frame_is_looked_at_and_each_size_is_said():
    matter, seen = matter_on(inference_size='auto')
    matter.inference_size = 64
    for _ in range(3):
        matter.step(scene(30))
    assert seen == [64, 96, 96, 96]                          # 900 of 57,600 pixels: 1.5 times 64
    assert float(matter.rec[0]) == 2                         # what the look remembered is forgotten
    assert matter.notes == ['96x54 inside the network: people cover 1.6% of the frame']
    matter.reset()
    matter.step(scene(120))
    assert seen[4:] == [64, 64] and matter.internal_size(320, 180) == (64, 36)


def test_a_cut_is_looked_at_anew():
    matter, seen = matter_on(inference_size='auto', reset_on_cut=True)
    matter.inference_size = 64
    far, close = scene(30), picture(0, 320, 180)
    far[..., 1] = 200                                        # another scene than the picture's
    close[:] = 255
    matter.predict([far, far, close, close])
    assert seen == [64, 96, 64, 64]


def test_people_who_come_closer_are_noticed():
    matter, seen = matter_on(inference_size='auto')
    matter.inference_size = 64
    matter.predict([scene(30)])
    for _ in range(LOOK_EVERY):
        matter.predict([scene(120)])
    assert seen[:2] == [64, 96] and seen[-1] == 64 and seen.count(64) == 2
    chooser = SizeChooser()
    chooser.look(blobs(30))
    assert [chooser.is_due(100) for _ in range(6)] == [False, False, True, False, True, False]


@pytest.mark.parametrize('settings', [{'inference_size': 'portrait'}, {'inference_size': 64},
                                      {'downsample_ratio': 0.2}])
def test_what_is_asked_for_is_not_changed(settings):
    matter, seen = matter_on(**settings)
    matter.step(scene(30))
    matter.step(scene(30))
    assert len(seen) == 2 and len(set(seen)) == 1 and not matter.notes
