"""What every variant of the network must do, swept over the encoder table."""

import re
from itertools import product

import pytest
import torch

from model import REFINERS, VARIANTS, MattingNetwork
from model.model import downsample

NAMES = sorted(VARIANTS)


def swept(variants: list[str]) -> list:
    """Other sizes of a family, which differ in numbers alone, are left to `pytest -m slow`."""
    return [pytest.param(name, marks=pytest.mark.slow) if re.search(r'_(s\d|[a-z]|small)$', name) else name
            for name in variants]


@pytest.fixture(scope='module', params=swept(NAMES))
def network(request):
    torch.manual_seed(0)
    return MattingNetwork(request.param).eval()


@torch.no_grad()
def test_clip_equals_frame_by_frame(network):
    src, rec = torch.rand(2, 3, 3, 64, 48), [None] * 4
    whole_fgr, whole_pha, *whole_rec = network(src, *rec, 0.5)
    for t in range(3):
        fgr, pha, *rec = network(src[:, t], *rec, 0.5)
        torch.testing.assert_close(pha, whole_pha[:, t], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(fgr, whole_fgr[:, t], atol=1e-5, rtol=1e-4)
    for state, whole in zip(rec, whole_rec, strict=True):
        torch.testing.assert_close(state, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('size, ratio', [((1, 1), 1), ((33, 47), 1), ((97, 131), 0.6), ((64, 34), 0.375),
                                         ((7, 200), 0.5)])
@torch.no_grad()
def test_any_size_and_ratio(network, size, ratio):
    H, W = size
    fgr, pha, *rec = network(torch.rand(1, 3, H, W), *[None] * 4, ratio)
    assert fgr.shape == (1, 3, H, W) and pha.shape == (1, 1, H, W)
    h, w = int(H * ratio), int(W * ratio)
    for state in rec:
        h, w = (h + 1) // 2, (w + 1) // 2
        assert state.shape[-2:] == (h, w)
    for output in (fgr, pha):
        assert output.isfinite().all() and output.min() >= 0 and output.max() <= 1


@pytest.mark.parametrize('variant', swept(NAMES))
def test_gradients_reach_every_parameter(variant):
    torch.manual_seed(0)
    network = MattingNetwork(variant).train()
    src = torch.rand(2, 2, 3, 64, 64)
    fgr, pha, *_ = network(src, downsample_ratio=0.5)
    seg, *_ = network(src, segmentation_pass=True)
    hid, *_ = network.hidden(src, None, None, None, None)
    # the projection is taken before its clamp, which stops the gradient of a random network's saturated pixels
    (fgr.mean() + pha.mean() + seg.mean() + network.project_mat(hid).mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def scripted_pairs() -> list:
    """Refiners know nothing of encoders: one is enough for the second refiner, the rest is for `pytest -m slow`."""
    quick = [(name, 'deep_guided_filter') for name in swept(NAMES) if isinstance(name, str)]
    quick.append(('mobilenetv3', 'fast_guided_filter'))
    rest = [pair for pair in product(NAMES, sorted(REFINERS)) if pair not in quick]
    return [*quick, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in rest)]


@pytest.mark.parametrize('variant, refiner', scripted_pairs())
@torch.no_grad()
def test_scripted_equals_eager(variant, refiner):
    torch.manual_seed(0)
    network = MattingNetwork(variant, refiner).eval()
    scripted = torch.jit.freeze(torch.jit.script(network))
    src, rec, scripted_rec = torch.rand(1, 2, 3, 48, 64), [None] * 4, [None] * 4
    for ratio in (1, 1, 0.5):
        if ratio == 0.5:
            rec = scripted_rec = [None] * 4
        fgr, pha, *rec = network(src, *rec, ratio)
        scripted_fgr, scripted_pha, *scripted_rec = scripted(src, *scripted_rec, ratio)
        torch.testing.assert_close(scripted_pha, pha, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(scripted_fgr, fgr, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('variant', NAMES)
@torch.no_grad()
def test_compiled_equals_eager(variant):
    torch.manual_seed(0)
    network = MattingNetwork(variant).eval()
    compiled = torch.compile(network)
    src, rec, compiled_rec = torch.rand(1, 3, 64, 96), [None] * 4, [None] * 4
    for _ in range(2):
        _, pha, *rec = network(src, *rec, 0.5)
        _, compiled_pha, *compiled_rec = compiled(src, *compiled_rec, 0.5)
        torch.testing.assert_close(compiled_pha, pha, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_bfloat16_weights_and_autocast(network):
    src = torch.rand(1, 2, 3, 64, 64)
    reference = network(src, downsample_ratio=0.5)[1]
    with torch.autocast('cpu', torch.bfloat16):
        autocast = network(src, downsample_ratio=0.5)[1]
    half = MattingNetwork(network.variant).eval()
    half.load_state_dict(network.state_dict())
    half.bfloat16()
    fgr, pha, *rec = half(src.bfloat16(), downsample_ratio=0.5)
    assert fgr.dtype == pha.dtype == torch.bfloat16 and all(r.dtype == torch.bfloat16 for r in rec)
    assert (pha.float() - reference).abs().mean() < 0.01
    assert (autocast.float() - reference).abs().mean() < 0.01


@pytest.mark.gpu
@torch.no_grad()
def test_float16_on_gpu(network):
    if not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')
    src = torch.rand(1, 2, 3, 64, 64)
    reference = network(src, downsample_ratio=0.5)[1]
    half = MattingNetwork(network.variant).eval()
    half.load_state_dict(network.state_dict())
    half = half.cuda().half()
    pha = half(src.cuda().half(), downsample_ratio=0.5)[1]
    assert (pha.cpu().float() - reference).abs().mean() < 0.01


@pytest.mark.parametrize('refiner', sorted(REFINERS))
@torch.no_grad()
def test_refiner_statistics_stay_float32(refiner):
    """A nearly flat bright patch: in bfloat16 its variance would be a difference of equal numbers."""
    torch.manual_seed(0)
    network = MattingNetwork(refiner=refiner).eval()
    src = 0.9 + 0.004 * torch.rand(1, 3, 16, 16)
    mean_x, mean_y, cov, var = network.refiner.bfloat16().statistics(src.bfloat16(), src.new_zeros(1, 4, 16, 16))
    assert {t.dtype for t in (mean_x, mean_y, cov, var)} == {torch.float32}
    assert network.refiner.coefficients(src.bfloat16(), *(torch.zeros(1, c, 16, 16).bfloat16() for c in (3, 1, 16))
                                        ).dtype == torch.float32


@torch.no_grad()
def test_coefficients_reproduce_forward(network):
    from model.guided_filter import apply_coefficients
    src = torch.rand(1, 3, 96, 80)
    fgr, pha, *_ = network(src, downsample_ratio=0.5)
    coefficients, *_ = network.coefficients(downsample(src, 0.5))
    residual, alpha = apply_coefficients(coefficients, src)
    torch.testing.assert_close((residual + src).clamp(0, 1), fgr)
    torch.testing.assert_close(alpha.clamp(0, 1), pha)


@torch.no_grad()
def test_single_value_states_count_as_zeros(network):
    src = torch.rand(1, 3, 32, 48)
    torch.testing.assert_close(network(src, *[torch.zeros(1, 1, 1, 1)] * 4)[1], network(src)[1])


def test_errors_name_what_was_expected(network):
    src = torch.rand(1, 3, 32, 32)
    for ratio in (0, 1.5, -0.25, float('nan')):
        with pytest.raises(ValueError, match=r'downsample_ratio must be in \(0, 1\]'):
            network(src, downsample_ratio=ratio)
    with pytest.raises(ValueError, match='leaves no pixel'):
        network(torch.rand(1, 3, 1, 1), downsample_ratio=0.5)
    with pytest.raises(ValueError, match=r'src must be \(B, 3, H, W\)'):
        network(torch.rand(3, 32, 32))
    with pytest.raises(ValueError, match='pass None for every state'):
        network(src, *network(torch.rand(1, 3, 64, 64))[2:])
    with pytest.raises(ValueError, match='variant must be one of .*mobilenetv3.*got'):
        MattingNetwork('mobilenetv9')
    with pytest.raises(ValueError, match='refiner must be one of .*deep_guided_filter.*got'):
        MattingNetwork(refiner='magic')
