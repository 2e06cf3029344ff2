"""Numeric cases of the published networks with a plate: names, shapes, outputs of every mode, the refiner alone."""

import json

import numpy as np
import pytest
import torch

from model.background import MattingBase, MattingRefine
from model.background.refiner import Refiner

BASE = ['mobilenetv2', 'resnet50', 'mobilenetv3_joycexjl']
REFINE = ['full_k3', 'full_k1', 'sampling_k3', 'sampling_k1', 'thresholding_k3', 'thresholding_k1', 'half_sampling_b2',
          'resnet50_sampling', 'mobilenetv3_joycexjl']
TOLERANCE = 5e-4


def fill(golden, network, z):
    """The recipe of golden/README.md."""
    state = golden.reference_fill(network.state_dict(), int(z['seed']))
    for head in ('decoder', 'refiner'):
        if f'{head}_conv4_scale' in z:
            state[f'{head}.conv4.weight'] *= float(z[f'{head}_conv4_scale'])
            state[f'{head}.conv4.bias'] = torch.from_numpy(np.array(z[f'{head}_conv4_bias'], dtype=np.float32))
    network.load_state_dict(state)
    return network.eval()


def inputs(golden, z):
    pictures = np.load(golden.path('bgm_inputs.npz'))
    return [torch.from_numpy(pictures[f'{z["inputs"]}.{name}_u8'][:int(z['batch'])]).float() / 255
            for name in ('src', 'bgr')]


def assert_close(z, name: str, output: torch.Tensor):
    expected = torch.from_numpy(z[name]).float()
    stride = next(s for s in (1, 2, 3, 5) if output[..., ::s, ::s].shape == expected.shape)
    torch.testing.assert_close(output[..., ::stride, ::stride], expected, atol=TOLERANCE, rtol=0,
                               msg=lambda m: f'{name}: {m}')
    mean, std, low, high = z[f'{name}.stats']
    measured = output.mean(), output.std(correction=0), output.min(), output.max()
    assert [float(x) for x in measured] == pytest.approx([mean, std, low, high], abs=TOLERANCE)


@pytest.mark.parametrize('backbone', ['mobilenetv2', 'mobilenetv3', 'resnet50', 'resnet101'])
def test_state_dicts_are_the_published_file_format(golden, backbone):
    listing = json.loads(golden.path(f'keys_bgm_{backbone}.json').read_text())
    with torch.device('meta'):
        shapes = [(name, list(tensor.shape)) for name, tensor in MattingBase(backbone).state_dict().items()]
        assert shapes == list(listing['base'].items())
        for kernel_size in (1, 3):
            refine = MattingRefine(backbone, refine_kernel_size=kernel_size).state_dict()
            expected = listing['base'] | {f'refiner.{name.removeprefix("refiner.")}': shape for name, shape
                                          in listing[f'refiner_kernel{kernel_size}'].items()}
            assert [(name, list(tensor.shape)) for name, tensor in refine.items()] == list(expected.items())


@pytest.mark.parametrize('case', BASE)
@torch.no_grad()
def test_base(golden, case):
    z = np.load(golden.path(f'bgm_base_{case}.npz'))
    network = fill(golden, MattingBase(str(z['backbone'])), z)
    src, bgr = inputs(golden, z)
    features = network.backbone(torch.cat([src, bgr], dim=1))
    for index, feature in enumerate(features, start=1):
        assert list(feature.shape) == z[f'feat{index}.shape'].tolist()
        step = max(1, feature.size(1) // 8)
        deviation = float(z[f'feat{index}.stats'][1])
        torch.testing.assert_close(feature[:, ::step, ::3, ::3] / deviation,
                                   torch.from_numpy(z[f'feat{index}']) / deviation, atol=TOLERANCE, rtol=0)
    pha, fgr, err, hid = network(src, bgr)
    for name, output in (('pha', pha), ('fgr', fgr), ('err', err)):
        assert_close(z, name, output)
    torch.testing.assert_close(hid[:, ::4, ::5, ::5], torch.from_numpy(z['hid']), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize('case', REFINE)
@torch.no_grad()
def test_refine(golden, case):
    z = np.load(golden.path(f'bgm_refine_{case}.npz'))
    network = fill(golden, MattingRefine(**json.loads(str(z['config']))), z)
    *outputs, ref = network(*inputs(golden, z))
    for name, output in zip(('pha', 'fgr', 'pha_sm', 'fgr_sm', 'err_sm'), outputs, strict=True):
        assert_close(z, name, output)
    assert torch.equal(ref, torch.from_numpy(z['ref_sm']).float())


@pytest.mark.parametrize('kernel_size', [3, 1])
@pytest.mark.parametrize('case', ['full', 'sampling', 'thresholding', 'none'])
@torch.no_grad()
def test_refiner_alone(golden, case, kernel_size):
    z = np.load(golden.path('bgm_refiner.npz'))
    H, W, h, w = (int(side) for side in z['size'])
    prefix = str(z['prefix'])

    def draw(name, *shape):
        return golden.reference_input(f'{prefix}.{name}', shape)
    src, bgr, pha, fgr, hid, err = (draw('src', 2, 3, H, W), draw('bgr', 2, 3, H, W), draw('pha', 2, 1, h, w),
                                    draw('fgr', 2, 3, h, w) - 0.5, draw('hid', 2, 32, h, w), draw('err', 2, 1, h, w))
    err = (1.6 * err - 0.8).clamp(0, 1)
    err[1] *= draw('hole', 1, h, w) > 0.85
    refiner = Refiner(kernel_size).eval()
    refiner.load_state_dict(golden.reference_fill(refiner.state_dict(), int(z['seed'])))
    key = f'{case}_k{kernel_size}'
    out_pha, out_fgr, ref = refiner(src, bgr, pha, fgr, err, hid, 'thresholding' if case == 'none' else case,
                                    int(z[f'{key}.pixels']), float(z[f'{key}.threshold']), True)
    assert torch.equal(ref, torch.from_numpy(z[f'{key}.ref']).float())
    for name, output in (('pha', out_pha), ('fgr', out_fgr)):
        torch.testing.assert_close(output[..., ::3, ::3], torch.from_numpy(z[f'{key}.{name}']), atol=TOLERANCE, rtol=0)
    stats = [out_pha.mean(), out_pha.std(correction=0), out_fgr.mean(), out_fgr.std(correction=0)]
    assert [float(x) for x in stats] == pytest.approx(z[f'{key}.stats'].tolist(), abs=TOLERANCE)
