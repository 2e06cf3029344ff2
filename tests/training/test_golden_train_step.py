"""Gradients and running statistics of the published training step."""

import json

import numpy as np
import pytest
import torch

from model import MattingNetwork
from tests.model.test_golden_rvm import filled_state
from train_loss import matting_loss, segmentation_loss
from training.clips import ClipNetwork

PARTS = ('backbone', 'aspp', 'decoder', 'project_mat', 'project_seg', 'refiner')


@pytest.mark.parametrize('case', ['lr', 'hr', 'seg'])
def test_train_step(golden, case):
    z = np.load(golden.path('rvm_train_step.npz'))
    meta = json.loads(str(z['meta']))
    network = MattingNetwork(meta['variant'], meta['refiner'])
    network.load_state_dict(filled_state(golden, network, meta))
    module = ClipNetwork(network.train())
    B, T, H, W = meta['shapes'][case]

    def draw(name, channels):
        return golden.reference_input(f'{meta["prefix"]}_{case}_{name}', (B, T, channels, H, W))

    if case == 'seg':
        logits, = module(draw('img', 3), heads=1, segmentation_pass=True)
        terms = {'total': segmentation_loss(logits, (draw('seg', 1) > 0.6).float())}
    else:
        fgr, bgr, pha = draw('fgr', 3), draw('bgr', 3), (2 * draw('pha', 1) - 0.5).clamp(0, 1)
        pred_fgr, pred_pha = module(fgr * pha + bgr * (1 - pha), downsample_ratio=meta['downsample_ratio'][case])
        terms = matting_loss(pred_fgr, pred_pha, fgr, pha)
    terms['total'].backward()

    for key in [key for key in z.files if key.startswith(f'{case}.loss.')]:
        assert terms[key.rsplit('.', 1)[1]].item() == pytest.approx(z[key].item(), rel=1e-3), key
    for part in PARTS:
        gradients = [p.grad for p in getattr(network, part).parameters() if p.grad is not None]
        expected = z[f'{case}.grad_l2.{part}'].item()
        if np.isnan(expected):
            assert not gradients, part
        else:
            assert torch.nn.utils.get_total_norm(gradients).item() == pytest.approx(expected, rel=1e-3), part
    buffers = dict(network.named_buffers())
    keys = [key for key in z.files if key.startswith(f'{case}.buffer.')]
    assert len(keys) == 7
    for key in keys:
        torch.testing.assert_close(buffers[key.removeprefix(f'{case}.buffer.')], torch.from_numpy(z[key]), rtol=1e-3,
                                   atol=1e-5, msg=lambda m, key=key: f'{key}: {m}')
