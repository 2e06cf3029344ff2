"""benchmark.presets: quality is what it says."""

from fractions import Fraction

import av
import numpy as np

from benchmark.presets import encode, main, quality, similarity
from tests.clips import picture, write_clip


def test_more_bits_are_better_and_nothing_lost_is_best():
    frames = [av.VideoFrame.from_ndarray(picture(index, 96, 64), 'rgb24').reformat(format='yuv420p')
              for index in range(4)]
    few, many = (encode(frames, Fraction(30), 'veryfast', rate)[0] for rate in (20_000, 2_000_000))
    assert len(few) < len(many)
    assert all(low < high for low, high in zip(quality(frames, few), quality(frames, many), strict=True))
    assert quality(frames, many)[0] > 40
    grey = picture(0, 96, 64)[..., 0].astype(np.float32)
    assert similarity(grey, grey) == 1 and similarity(grey, grey[:, ::-1].copy()) < 0.9


def test_command(tmp_path, capsys):
    assert main([str(write_clip(tmp_path / 'in.mkv', 3, (96, 64))), '--mbps', '0.5']) == 0
    assert capsys.readouterr().out.count('| veryfast |') == 1
    assert main([str(tmp_path / 'in.mkv'), '--mbps', '0']) == 2
