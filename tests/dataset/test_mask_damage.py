"""Rough masks from true alphas."""

import random

import numpy as np

from dataset.mask_damage import MaskDamageConfig, damaged_masks, removed_people

CALM = {'downscale': 0, 'paste': 0, 'swap': 0, 'holes': 0}


def discs(T: int = 2) -> np.ndarray:
    y, x = np.mgrid[:128, :128]
    pha = np.zeros((T, 2, 128, 128), np.float32)
    pha[:, 0] = np.clip(1.5 - np.hypot(x - 40, y - 64) / 25, 0, 1)
    pha[:, 1] = np.clip(1.5 - np.hypot(x - 95, y - 64) / 25, 0, 1)
    return pha


def test_masks_are_rough_but_there():
    pha = discs()
    for seed in range(20):
        masks = damaged_masks(pha, random.Random(seed))
        assert masks.dtype == np.uint8 and set(np.unique(masks)) <= {0, 1}
        for t, n in np.ndindex(2, 2):
            true = pha[t, n] > 0.5
            assert (masks[t, n] & true).sum() > 0.05 * true.sum(), seed


def test_one_seed_one_mask():
    assert np.array_equal(damaged_masks(discs(), random.Random(3)), damaged_masks(discs(), random.Random(3)))


def test_swap_exchanges_people():
    pha, config = discs(), MaskDamageConfig(kernel=1, low=0.5, high=0.5, **CALM | {'swap': 1})
    clean = (pha > 0.5).astype(np.uint8)
    masks = damaged_masks(pha, random.Random(0), config)
    assert np.array_equal(masks.sum(1), clean.sum(1)) and not np.array_equal(masks, clean)


def test_eighths_are_blocks():
    masks = damaged_masks(discs(), random.Random(1), MaskDamageConfig(**CALM | {'downscale': 1}))
    blocks = masks.reshape(2, 2, 16, 8, 16, 8)
    assert (blocks == blocks[:, :, :, :1, :, :1]).all()


def test_removed_people():
    always = MaskDamageConfig(removed_clip=1, removed_image=1)
    gone = removed_people(6, 3, random.Random(0), always)
    assert gone.any() and (gone.any(0).sum() == 1)          # one person, on a run of frames
    assert not removed_people(1, 1, random.Random(0), always).any()     # never the only one of a picture
    assert not removed_people(6, 3, random.Random(0), MaskDamageConfig(removed_clip=0)).any()
