"""Numeric cases of the published RVM networks: names, shapes, outputs, refiners alone."""

import json
import re

import numpy as np
import pytest
import torch

from model import MattingNetwork
from model.deep_guided_filter import DeepGuidedFilterRefiner
from model.fast_guided_filter import FastGuidedFilterRefiner

NETWORKS = [('mobilenetv3', 'deep'), ('mobilenetv3', 'fast'), ('resnet50', 'deep')]
CASES = ['single_97x131', 'sequence_2x3x48x64', 'sequence_ratio050', 'carry_ratio025', 'carry_ratio0375',
         'segmentation', 'segmentation_sequence']
FAST_CASES = ['single_97x131', 'sequence_ratio050', 'carry_ratio025', 'carry_ratio0375']


def golden_network(golden, variant: str, refiner: str) -> tuple[MattingNetwork, np.lib.npyio.NpzFile, dict]:
    z = np.load(golden.path(f'rvm_{variant}_{refiner}.npz'))
    meta = json.loads(str(z['meta']))
    net = MattingNetwork(variant, f'{refiner}_guided_filter').eval()
    net.load_state_dict(filled_state(golden, net, meta))
    return net, z, meta


def filled_state(golden, net, meta):
    state = golden.reference_fill(net.state_dict(), seed=meta['seed'])
    for pattern, mul, add in meta['rules']:
        for name in state:
            if re.fullmatch(pattern, name):
                state[name] = state[name] * mul + add
    return state


def assert_close(z, key: str, output: torch.Tensor, stride: int):
    reference = z[key]
    tolerance = 2e-3 if reference.dtype == np.float16 else 1e-4
    sampled = output if reference.dtype == np.float16 else output[..., ::stride, ::stride]
    torch.testing.assert_close(sampled, torch.from_numpy(reference).float(), atol=tolerance, rtol=0,
                               msg=lambda m: f'{key}: {m}')
    mean, std, low, high = z[f'{key}.stats']
    # the statistics are of the full tensor, so they also watch the pixels that the stride skips
    assert output.double().mean().item() == pytest.approx(mean, abs=1e-4)
    assert output.double().std(correction=0).item() == pytest.approx(std, abs=1e-4)
    assert (output.min().item(), output.max().item()) == pytest.approx((low, high), abs=2e-3)


@pytest.mark.parametrize('variant, refiner', [*NETWORKS, ('resnet50', 'fast')])
def test_state_dict_is_the_published_file_format(golden, variant, refiner):
    listing = json.loads(golden.path(f'keys_rvm_{variant}_{refiner}.json').read_text())
    net = MattingNetwork(variant, f'{refiner}_guided_filter')
    parameters = {name for name, _ in net.named_parameters()}
    ours = [[name, list(tensor.shape), str(tensor.dtype).removeprefix('torch.'),
             'parameter' if name in parameters else 'buffer'] for name, tensor in net.state_dict().items()]
    assert ours == listing['tensors']
    assert sum(p.numel() for p in net.parameters()) == listing['parameters']


@pytest.mark.parametrize('variant, refiner, case', [(*network, case) for network in NETWORKS for case in CASES
                                                    if network[1] == 'deep' or case in FAST_CASES])
@torch.no_grad()
def test_outputs(golden, variant, refiner, case):
    net, z, meta = golden_network(golden, variant, refiner)
    spec = meta['cases'][case]
    rec, compared = [None] * 4, 0
    for index, name in enumerate(spec['inputs'], start=1):
        prefix = f'{case}.call{index}.' if spec['kind'] == 'carry' else f'{case}.'
        src = golden.reference_input(name, tuple(spec['shape']))
        *out, r1, r2, r3, r4 = net(src, *rec, spec['downsample_ratio'], spec['segmentation_pass'])
        rec = [r1, r2, r3, r4]
        names = (['seg'] if spec['segmentation_pass'] else ['fgr', 'pha']) + ['r1', 'r2', 'r3', 'r4']
        for output, tensor in zip(names, [*out, *rec], strict=True):
            if prefix + output in z:
                assert_close(z, prefix + output, tensor, spec['stride'])
                compared += 1
    assert compared == sum(key.startswith(f'{case}.') and not key.endswith('.stats') for key in z.files)


@pytest.mark.parametrize('kind, build', [('deep', DeepGuidedFilterRefiner), ('fast', FastGuidedFilterRefiner)])
@torch.no_grad()
def test_refiners_alone(golden, kind, build):
    z = np.load(golden.path('rvm_refiners.npz'))
    meta = json.loads(str(z['meta']))
    refiner = build().eval()
    filled = golden.reference_fill({f'refiner.{k}': v for k, v in refiner.state_dict().items()}, seed=meta['seed'])
    refiner.load_state_dict({k.removeprefix('refiner.'): v for k, v in filled.items()})
    lead, small, full = meta['lead'], meta['lr'], meta['hr']
    shapes = {'fine_src': (*lead, 3, *full), 'base_src': (*lead, 3, *small), 'base_fgr': (*lead, 3, *small),
              'base_pha': (*lead, 1, *small), 'base_hid': (*lead, 16, *small)}
    inputs = [golden.reference_input(f'{meta["prefix"]}_{name}', shape) for name, shape in shapes.items()]
    inputs[2] = inputs[2] - 0.5
    for name, tensor in zip(['fgr', 'pha'], refiner(*inputs), strict=True):
        reference = torch.from_numpy(z[f'{kind}.{name}'])
        torch.testing.assert_close(tensor, reference, atol=1e-4, rtol=0)
