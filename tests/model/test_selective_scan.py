"""The selective scan: fast forms equal the loop, forward and backward; stiff sequences; which path runs."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from model import selective_scan as module
from model.selective_scan import check_scan_path, resolve_scan_path, scan_image, selective_scan, selective_scan_loop

ROOT = Path(__file__).resolve().parents[2]


def draw(batch=2, groups=2, channels=3, states=2, length=23, dtype=torch.float64, device='cpu'):
    """u, delta, A, B, C, D, bias of a scan."""
    torch.manual_seed(0)
    wide = (batch, groups * channels, length)
    narrow = (batch, groups, states, length)
    tensors = [torch.randn(wide), torch.randn(wide), -4 * torch.rand(wide[1], states), torch.randn(narrow),
               torch.randn(narrow), torch.randn(wide[1]), torch.randn(wide[1])]
    return [x.to(device, dtype) for x in tensors]


@pytest.mark.parametrize('path', ['loop', 'torch'])
@pytest.mark.parametrize('case', ['scan_n1', 'scan_n16', 'scan_plain', 'scan_stiff'])
def test_goldens(golden, case, path):
    z = np.load(golden.path('enc_blocks.npz'))
    has_bias, softplus, has_D = z[f'{case}.flags']
    u, delta, A, B, C = (torch.from_numpy(z[f'{case}.{name}']) for name in ['u', 'delta', 'A', 'B', 'C'])
    D = torch.from_numpy(z[f'{case}.D']) if has_D else None
    bias = torch.from_numpy(z[f'{case}.delta_bias']) if has_bias else None
    y = selective_scan(u, delta, A, B, C, D, bias, bool(softplus), path)
    reference = torch.from_numpy(z[f'{case}.out'])
    assert (y - reference).abs().max() / reference.abs().max() < 1e-5


@pytest.mark.parametrize('states', [1, 3])
@pytest.mark.parametrize('length', [1, 2, 3, 16, 23])
def test_torch_equals_loop(states, length):
    arguments = draw(states=states, length=length)
    torch.testing.assert_close(selective_scan(*arguments, path='torch'), selective_scan_loop(*arguments),
                               atol=1e-12, rtol=1e-12)


def test_long_and_stiff_stays_finite_where_cumulative_sums_do_not():
    u, delta, A, B, C, D, bias = draw(1, 1, 2, 16, 2304, torch.float32)
    A = -torch.arange(1., 17.).repeat(2, 1)
    y = selective_scan(u, 4 * delta.abs(), A, B, C, D, bias, path='torch')
    torch.testing.assert_close(y, selective_scan_loop(u, 4 * delta.abs(), A, B, C, D, bias), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('softplus', [True, False])
def test_gradients(softplus):
    """Against finite differences, and against autograd through the loop."""
    u, delta, A, B, C, D, bias = draw(length=7)
    arguments = [x.requires_grad_() for x in (u, delta if softplus else delta.abs(), A, B, C, D)]
    arguments.append(bias.requires_grad_() if softplus else None)

    def by(path):
        return lambda *inputs: selective_scan(*inputs, delta_softplus=softplus, path=path)
    torch.autograd.gradcheck(by('torch'), arguments)
    inputs = [x for x in arguments if x is not None]
    weights = torch.randn(u.shape, dtype=u.dtype)
    fast, loop = (torch.autograd.grad(by(path)(*arguments), inputs, weights) for path in ('torch', 'loop'))
    for a, b in zip(fast, loop, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize('columns', [False, True])
@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('size', [(1, 1), (1, 4), (3, 1), (3, 4)])
def test_image_axes(columns, reverse, size):
    """A direction is the loop over its pixels in order; finite differences agree with the gradient."""
    torch.manual_seed(0)
    H, W = size
    u, delta = torch.randn(2, 2, H, W, 3).double()
    B, C = torch.randn(2, 2, H, W, 2).double()
    A, bias = -torch.rand(3, 2).double(), torch.randn(3).double()

    def sequence(x):  # (B, H, W, C) -> (B, C, L) in the order of the scan
        x = (x.transpose(1, 2) if columns else x).flatten(1, 2).transpose(1, 2)
        return x.flip(-1) if reverse else x
    y = scan_image(u, delta, bias, A, B, C, columns, reverse)
    reference = selective_scan_loop(sequence(u), sequence(delta), A, sequence(B)[:, None], sequence(C)[:, None],
                                    delta_bias=bias)
    torch.testing.assert_close(sequence(y), reference, atol=1e-12, rtol=1e-12)
    inputs = [x.requires_grad_() for x in (u, delta, bias, A, B, C)]
    torch.autograd.gradcheck(lambda *x: scan_image(*x, columns, reverse), inputs, fast_mode=True)


@pytest.mark.slow
def test_operator_is_registered_in_full():
    """Fake kernel, autograd and schema agree, which torch.compile and torch.export rely on."""
    torch.manual_seed(0)
    u, delta = torch.randn(2, 1, 3, 4, 3)
    B, C = torch.randn(2, 1, 3, 4, 2)
    inputs = [x.requires_grad_() for x in (u, delta, torch.randn(3), -torch.rand(3, 2), B, C)]
    torch.library.opcheck(module._scan_image, (*inputs, True, False, True))


def test_half_inputs_scan_in_float32():
    u, delta, A, B, C, D, bias = draw(length=200, dtype=torch.float32)
    halves = [x.bfloat16() for x in (u, delta, B, C)]
    y = selective_scan(halves[0], halves[1], A, halves[2], halves[3], D, bias, path='torch')
    assert y.dtype == torch.float32
    rounded = [x.float() for x in halves]
    torch.testing.assert_close(y, selective_scan_loop(rounded[0], rounded[1], A, rounded[2], rounded[3], D, bias),
                               atol=1e-4, rtol=1e-4)


# --- Triton ------------------------------------------------------------------------------------------------------

def compare_triton(device: str) -> None:
    """Forward and backward against the loop; several chunks, padding of states and steps, groups."""
    for states, length, softplus in [(1, 270, True), (3, 70, True), (16, 40, False)]:
        arguments = draw(1, 2, 2, states, length, torch.float32, device)
        if not softplus:
            arguments[1] = arguments[1].abs()
        inputs = [x.requires_grad_() for x in arguments]
        weights = torch.randn_like(arguments[0])
        fast, loop = (selective_scan(*inputs, softplus, path) for path in ('triton', 'loop'))
        gradients = [torch.autograd.grad(y, inputs, weights) for y in (fast, loop)]
        for a, b in [(fast, loop), *zip(*gradients, strict=True)]:
            assert (a - b).abs().max() <= 1e-5 * b.abs().max().clamp(min=1), (states, length, a.shape)


def test_triton_in_its_interpreter():
    """In a process of its own: Triton reads the variable when it is imported."""
    pytest.importorskip('triton')
    code = 'from test_selective_scan import compare_triton; compare_triton("cpu"); print("agrees")'
    environment = os.environ | {'TRITON_INTERPRET': '1', 'OMP_NUM_THREADS': '1',
                                'PYTHONPATH': f'{ROOT}:{ROOT / "tests/model"}'}
    run = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout.strip() == 'agrees', run.stderr


@pytest.mark.parametrize('kernel', ['_forward', '_backward'])
def test_triton_compiles_for_gpus(kernel):
    """Down to machine code for an A100, which needs no GPU; the interpreter does not see what the compiler refuses."""
    triton = pytest.importorskip('triton')
    from triton.backends.compiler import GPUTarget

    from model import selective_scan_triton
    kernel = getattr(selective_scan_triton, kernel)
    kinds = dict.fromkeys(['u', 'delta', 'B', 'C'], '*fp16')
    kinds |= dict.fromkeys(['length', 'channels', 'per_group', 'N'], 'i32')
    constants = {'STATES': 1, 'CHUNK': 256, 'SOFTPLUS': True}
    signature = {name: 'constexpr' if name in constants else kinds.get(name, '*fp32') for name in kernel.arg_names}
    source = triton.compiler.ASTSource(kernel, signature, constants)
    assert triton.compile(source, target=GPUTarget('cuda', 80, 32)).asm['cubin']


@pytest.mark.gpu
def test_triton_on_gpu():
    if not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')
    compare_triton('cuda')


@pytest.mark.gpu
def test_mamba_ssm_on_gpu():
    if not torch.cuda.is_available() or module.mamba_kernel() is None:
        pytest.skip('needs a CUDA device and mamba-ssm')
    arguments = draw(2, 2, 2, 16, 300, torch.float32, 'cuda')
    torch.testing.assert_close(selective_scan(*arguments, path='mamba_ssm'), selective_scan_loop(*arguments),
                               atol=1e-4, rtol=1e-4)


# --- which path --------------------------------------------------------------------------------------------------

def test_missing_mamba_names_the_install_line(monkeypatch):
    monkeypatch.setattr(module, 'mamba_kernel', lambda: None)
    with pytest.raises(RuntimeError, match='pip install --no-build-isolation -r requirements/mamba.txt'):
        check_scan_path('mamba_ssm')
    with pytest.raises(RuntimeError, match='pip install --no-build-isolation -r requirements/mamba.txt'):
        selective_scan(*draw(), path='mamba_ssm')
    with pytest.raises(ValueError, match='scan path must be one of auto, torch, triton, mamba_ssm, loop, got'):
        check_scan_path('cuda')


def test_auto_takes_the_fastest_there_is(monkeypatch):
    assert resolve_scan_path('auto', 'cpu') == 'torch'
    assert resolve_scan_path('loop', 'cuda') == 'loop'
    found = {'mamba_ssm': print, 'triton': print}
    monkeypatch.setattr(module, 'mamba_kernel', lambda: found.get('mamba_ssm'))
    monkeypatch.setattr(module, 'triton_kernel', lambda: found.get('triton'))
    for expected in ('mamba_ssm', 'triton', 'torch'):
        assert resolve_scan_path('auto', 'cuda') == expected
        found.pop(expected, None)


def test_unusable_mamba_is_reported(monkeypatch, tmp_path, caplog):
    """The package without its compiled extension, as its development branch installs it."""
    (tmp_path / 'mamba_ssm').mkdir()
    (tmp_path / 'mamba_ssm' / '__init__.py').write_text('')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, 'selective_scan_cuda', None)
    module.mamba_kernel.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert module.mamba_kernel() is None
    finally:
        module.mamba_kernel.cache_clear()
    assert 'mamba-ssm is installed but unusable' in caplog.text


def test_environment_variable(monkeypatch):
    monkeypatch.setenv('MATTING_SCAN', 'loop')
    assert module.default_scan_path() == 'loop'
    monkeypatch.setenv('MATTING_SCAN', 'fast')
    with pytest.raises(ValueError, match='scan path must be one of'):
        module.default_scan_path()
