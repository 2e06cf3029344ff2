"""Means over fixed clips."""

import pytest
import torch

from training.validation import ValidationSet, validate

from .toys import CPU, ToyClips


def test_means_of_one_or_several_numbers_or_none():
    def measure(forward, clip):
        value = clip[0].size(1)                     # frames
        return {'total': float(value), 'several': [1., 2.] if value == 2 else [], 'never': []}, {}
    sets = {'a': ValidationSet(ToyClips(3, T=2), measure), 'b': ValidationSet(ToyClips(4, T=3), measure, clips=2)}
    numbers, strips = validate(None, sets, CPU)
    assert numbers == pytest.approx({'valid_a_total': 2, 'valid_a_several': 1.5, 'valid_a_never': 0, 'valid_b_total': 3,
                                     'valid_b_several': 0, 'valid_b_never': 0, 'valid_loss': 2.5})
    assert strips == {}


def test_clips_are_evenly_taken_and_always_the_same():
    assert ValidationSet(ToyClips(10), None, clips=4).indices() == [0, 2, 5, 7]
    assert ValidationSet(ToyClips(3), None).indices() == [0, 1, 2]
    seen = []

    def measure(forward, clip):
        seen.append(clip[0].sum())
        return {}, {'src': clip[0][0]}
    clips = ToyClips(2)
    for epoch in (0, 5):
        clips.set_epoch(epoch)
        numbers, strips = validate(None, {'a': ValidationSet(clips, measure)}, CPU)
    assert seen[0] == seen[2] and seen[1] == seen[3] and numbers == {}
    assert torch.equal(strips['a']['src'].sum(), seen[0])
