"""Selective scan, the recurrence of Mamba: one readable reference, one fast form in plain torch, and kernels.

Papers: Mamba, arXiv 2312.00752, section 3; VMamba, arXiv 2401.10166, section 4.2.

For every channel with N states, and steps t of a sequence:

    dt_t = softplus(delta_t + bias)
    h_t  = exp(dt_t * A) * h_{t-1} + dt_t * u_t * B_t          h_0 = 0, A < 0
    y_t  = sum over N of C_t * h_t, plus D * u_t

The fast form works in two levels. The sequence is cut into blocks; the recurrence runs through all blocks at once,
then from block end to block end, and what enters a block is added with the product of its decays. Decays are at most
1 and nothing is divided by them, so it is stable where cumulative sums overflow. In an image the blocks are its rows
(or columns), so the scan runs along the image's own axes and no sequence is ever copied out.
"""

import functools
import importlib
import importlib.util
import logging
import math
import os
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

SCAN_PATHS = ('auto', 'torch', 'triton', 'mamba_ssm', 'loop')
MAMBA_INSTALL = 'pip install --no-build-isolation -r requirements/mamba.txt (after torch; see documentation/cluster.md)'
log = logging.getLogger(__name__)


# --- which code runs ---------------------------------------------------------------------------------------------

@functools.cache
def mamba_kernel() -> Callable | None:
    """`selective_scan_fn` of mamba-ssm, or None where the package or its compiled extension is missing."""
    try:
        importlib.import_module('selective_scan_cuda')  # present without it, the package fails only when called
        return importlib.import_module('mamba_ssm.ops.selective_scan_interface').selective_scan_fn
    except ImportError as error:
        if importlib.util.find_spec('mamba_ssm') is not None:
            log.warning('mamba-ssm is installed but unusable (%s)', error)
        return None


@functools.cache
def triton_kernel() -> Callable | None:
    """Our Triton scan, or None where Triton is missing."""
    try:
        return importlib.import_module('.selective_scan_triton', __package__).selective_scan_triton
    except ImportError:
        return None


def check_scan_path(path: str) -> str:
    """The path itself when it can run here.

    Raises:
        ValueError: unknown name.
        RuntimeError: the package is missing; the message has the install line.
    """
    if path not in SCAN_PATHS:
        raise ValueError(f'scan path must be one of {", ".join(SCAN_PATHS)}, got {path!r}')
    if path == 'mamba_ssm' and mamba_kernel() is None:
        raise RuntimeError(f'scan path mamba_ssm needs the compiled mamba-ssm package: {MAMBA_INSTALL}; '
                           'or use triton, which needs no compiler')
    if path == 'triton' and triton_kernel() is None:
        raise RuntimeError('scan path triton needs Triton: pip install triton')
    return path


def default_scan_path() -> str:
    """The environment variable MATTING_SCAN, or 'auto'."""
    return check_scan_path(os.environ.get('MATTING_SCAN', 'auto'))


@torch.compiler.assume_constant_result
def resolve_scan_path(path: str, device: str) -> str:
    """'auto' -> what runs for tensors on a device of this type: on CUDA the fastest kernel there is, else torch."""
    if path != 'auto':
        return path
    if device != 'cuda':
        return 'torch'
    return 'mamba_ssm' if mamba_kernel() is not None else 'triton' if triton_kernel() is not None else 'torch'


# --- sequences ---------------------------------------------------------------------------------------------------

def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None,
                   delta_bias: Tensor | None = None, delta_softplus: bool = True, path: str = 'torch') -> Tensor:
    """Scan sequences by the named path.

    Args:
        u, delta: (B, K*D, L), channels in K groups.
        A: (K*D, N), negative.
        B, C: (B, K, N, L), shared by the channels of a group.
        D, delta_bias: (K*D) or None.
        path: 'loop', 'torch', 'triton' or 'mamba_ssm'.
    Returns:
        (B, K*D, L) float32 (float64 if u is); mamba_ssm answers in the dtype of u.
    """
    if path == 'mamba_ssm':
        check_scan_path(path)
        delta, B, C = delta.to(u.dtype), B.to(u.dtype), C.to(u.dtype)
        D, delta_bias = (x if x is None else x.float() for x in (D, delta_bias))
        return mamba_kernel()(u.contiguous(), delta.contiguous(), A.float(), B.contiguous(), C.contiguous(), D,
                              delta_bias=delta_bias, delta_softplus=delta_softplus)
    if path == 'triton':
        check_scan_path(path)
        y = triton_kernel()(u, delta, A, B, C, delta_bias, delta_softplus)
    elif path == 'torch':
        y = _scan_sequences(u, delta, A, B, C, delta_bias, delta_softplus)
    else:
        return selective_scan_loop(u, delta, A, B, C, D, delta_bias, delta_softplus)
    return y if D is None else y + D.unsqueeze(-1).to(y.dtype) * u


def selective_scan_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None,
                        delta_bias: Tensor | None = None, delta_softplus: bool = True) -> Tensor:
    """The definition, step by step: the reference for every fast form. Arguments as in `selective_scan`."""
    u, delta, A, B, C = (x.to(torch.promote_types(u.dtype, torch.float32)) for x in (u, delta, A, B, C))
    if delta_bias is not None:
        delta = delta + delta_bias.unsqueeze(-1)
    if delta_softplus:
        delta = F.softplus(delta)
    per_group = u.size(1) // B.size(1)
    h, outputs = u.new_zeros(*u.shape[:2], A.size(1)), []
    for t in range(u.size(2)):
        dt = delta[:, :, t, None]
        B_t, C_t = (x[..., t].repeat_interleave(per_group, dim=1) for x in (B, C))  # (B, K*D, N)
        h = (dt * A).exp() * h + dt * B_t * u[:, :, t, None]
        outputs.append((h * C_t).sum(-1))
    y = torch.stack(outputs, dim=2)
    return y if D is None else y + D.unsqueeze(-1) * u


def _scan_sequences(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, delta_bias: Tensor | None,
                    delta_softplus: bool) -> Tensor:
    """Cut sequences into about sqrt(L) blocks of about sqrt(L) steps, which `scan_image` takes for rows."""
    L, K = u.size(2), B.size(1)
    steps = math.isqrt(L - 1) + 1
    rows = -(-L // steps)
    if delta_bias is None:
        delta_bias = A.new_zeros(A.size(0))

    def as_image(x: Tensor) -> Tensor:  # (B, C, L) -> (B, rows, steps, C); what is padded comes after all that counts
        return F.pad(x, [0, rows * steps - L]).transpose(1, 2).unflatten(1, (rows, steps))

    images = [scan_image(as_image(u_k), as_image(delta_k), bias_k, A_k, as_image(B_k), as_image(C_k),
                         softplus=delta_softplus)
              for u_k, delta_k, bias_k, A_k, B_k, C_k in zip(u.chunk(K, 1), delta.chunk(K, 1), delta_bias.chunk(K),
                                                             A.chunk(K), B.unbind(1), C.unbind(1), strict=True)]
    return torch.cat([image.flatten(1, 2)[:, :L].transpose(1, 2) for image in images], dim=1)


# --- images ------------------------------------------------------------------------------------------------------

def scan_image_forward(u: Tensor, delta: Tensor, delta_bias: Tensor, A: Tensor, B: Tensor, C: Tensor,
                       columns: bool, reverse: bool, softplus: bool) -> Tensor:
    """`scan_image` without its gradient: this is what TorchScript compiles."""
    if columns:
        u, delta, B, C = u.transpose(1, 2), delta.transpose(1, 2), B.transpose(1, 2), C.transpose(1, 2)
    u, dt, A, B, C = _prepare(u, delta, delta_bias, A, B, C, softplus)
    h = _recur(torch.exp(dt * A), dt * u * B, reverse)
    y = h.squeeze(-1) * C.squeeze(-1) if A.size(1) == 1 else (h * C).sum(-1)
    return y.transpose(1, 2) if columns else y


def _prepare(u: Tensor, delta: Tensor, delta_bias: Tensor, A: Tensor, B: Tensor, C: Tensor,
             softplus: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """float32 (float64 if u is), softplus, and shapes that broadcast to (B, rows, steps, D, N)."""
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    delta = delta.to(dtype) + delta_bias.to(dtype)
    if softplus:
        delta = torch.logaddexp(delta, torch.zeros_like(A[0, 0], dtype=dtype))  # softplus in half of F.softplus' time
    return (u.to(dtype).unsqueeze(-1), delta.unsqueeze(-1), A.to(dtype), B.to(dtype).unsqueeze(-2),
            C.to(dtype).unsqueeze(-2))


def _recur(a: Tensor, b: Tensor, reverse: bool) -> Tensor:
    """h_t = a_t * h_{t-1} + b_t over (B, rows, steps, ...), rows one after the other. Overwrites b with h, and a.

    Reverse starts at the last step of the last row.
    """
    rows, steps = a.size(1), a.size(2)
    a_steps, b_steps = a.unbind(2), b.unbind(2)
    for i in range(1, steps):  # all rows at once, as if each began with zero; a becomes the product of its decays
        t = steps - 1 - i if reverse else i
        before = t + 1 if reverse else t - 1
        b_steps[t].addcmul_(a_steps[t], b_steps[before])
        a_steps[t].mul_(a_steps[before])
    end = 0 if reverse else steps - 1
    a_rows, b_rows = a_steps[end].unbind(1), b_steps[end].unbind(1)
    for i in range(1, rows):  # from row end to row end
        row = rows - 1 - i if reverse else i
        before = row + 1 if reverse else row - 1
        b_rows[row].addcmul_(a_rows[row], b_rows[before])
    if reverse:  # what came in at the start of a row, everywhere but at its end, which has it already
        b[:, :-1, 1:].addcmul_(a[:, :-1, 1:], b[:, 1:, :1])
    else:
        b[:, 1:, :-1].addcmul_(a[:, 1:, :-1], b[:, :-1, -1:])
    return b


@torch.library.custom_op('matting::scan_image', mutates_args=())
def _scan_image(u: Tensor, delta: Tensor, delta_bias: Tensor, A: Tensor, B: Tensor, C: Tensor,
                columns: bool, reverse: bool, softplus: bool) -> Tensor:
    return scan_image_forward(u, delta, delta_bias, A, B, C, columns, reverse, softplus).contiguous()


@_scan_image.register_fake
def _(u: Tensor, delta: Tensor, delta_bias: Tensor, A: Tensor, B: Tensor, C: Tensor,
      columns: bool, reverse: bool, softplus: bool) -> Tensor:
    return torch.empty(u.shape, dtype=torch.promote_types(u.dtype, torch.float32), device=u.device)


@torch.library.custom_op('matting::scan_image_backward', mutates_args=())
def _scan_image_backward(gy: Tensor, u: Tensor, delta: Tensor, delta_bias: Tensor, A: Tensor, B: Tensor, C: Tensor,
                         columns: bool, reverse: bool, softplus: bool) -> list[Tensor]:
    """Gradients of the six tensors. States are computed again rather than kept: N + 3 tensors of u's size less."""
    inputs = (u, delta, delta_bias, A, B, C)
    if columns:
        gy, u, delta, B, C = (x.transpose(1, 2) for x in (gy, u, delta, B, C))
    u, dt, A, B, C = _prepare(u, delta, delta_bias, A, B, C, softplus)
    gy = gy.unsqueeze(-1)
    a, b = torch.exp(dt * A), dt * u * B
    h = _recur(a.clone(), b.clone(), reverse)
    gC = (gy * h).sum(3)
    g = _recur(_next_decay(a, reverse), gy * C, not reverse)  # gradient of h_t: what y_t and h_{t+1} ask for
    decay = g * (h - b)                                       # g_t * a_t * h_{t-1}, the gradient of dt_t * A
    g_dt_u = (g * B).sum(-1)
    gdt = (decay * A).sum(-1) + g_dt_u * u.squeeze(-1)
    gA = (decay * dt).sum((0, 1, 2))
    gB = (g * (dt * u)).sum(3)
    gu = g_dt_u * dt.squeeze(-1)
    gdelta = gdt * -torch.expm1(-dt.squeeze(-1)) if softplus else gdt  # d softplus(x) = 1 - exp(-softplus(x))
    gbias = gdelta.sum((0, 1, 2))
    if columns:
        gu, gdelta, gB, gC = (x.transpose(1, 2) for x in (gu, gdelta, gB, gC))
    return [g.to(x.dtype).contiguous() for g, x in zip((gu, gdelta, gbias, gA, gB, gC), inputs, strict=True)]


@_scan_image_backward.register_fake
def _(gy: Tensor, u: Tensor, delta: Tensor, delta_bias: Tensor, A: Tensor, B: Tensor, C: Tensor,
      columns: bool, reverse: bool, softplus: bool) -> list[Tensor]:
    return [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (u, delta, delta_bias, A, B, C)]


def _next_decay(a: Tensor, reverse: bool) -> Tensor:
    """a_{t+1} at t, in the order of the scan; nothing follows the last step."""
    order = a.flatten(1, 2)
    last = torch.zeros_like(order[:, :1])
    order = torch.cat([last, order[:, :-1]] if reverse else [order[:, 1:], last], dim=1)
    return order.unflatten(1, a.shape[1:3])


def _setup_context(ctx, inputs, output) -> None:
    *tensors, ctx.columns, ctx.reverse, ctx.softplus = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, gy: Tensor):
    return *_scan_image_backward(gy, *ctx.saved_tensors, ctx.columns, ctx.reverse, ctx.softplus), None, None, None


_scan_image.register_autograd(_backward, setup_context=_setup_context)


def scan_image(u: Tensor, delta: Tensor, delta_bias: Tensor, A: Tensor, B: Tensor, C: Tensor,
               columns: bool = False, reverse: bool = False, softplus: bool = True) -> Tensor:
    """Scan images that lie channels-last; the fast form in plain torch, with its own gradient.

    A custom operator, so that torch.compile calls it instead of unrolling its loops.

    Args:
        u, delta: (B, H, W, D).
        delta_bias: (D). A: (D, N), negative. B, C: (B, H, W, N).
        columns: run down the columns, one after the other, instead of along the rows.
        reverse: start at the last pixel.
        softplus: delta is before its softplus.
    Returns:
        (B, H, W, D) float32 (float64 if u is).
    """
    return _scan_image(u, delta, delta_bias, A, B, C, columns, reverse, softplus)
