"""Selective scan for CUDA in Triton, forward and backward; nothing to compile at installation.

One program handles one channel of one sequence and walks over it in chunks; a chunk is an associative scan of
(a1, b1) * (a2, b2) = (a1 a2, a2 b1 + b2), and the state is carried from chunk to chunk. The forward pass keeps the
state at every chunk's start, so the backward pass computes states again, chunk by chunk from the end.
Arithmetic is float32 whatever the inputs are. Definitions: selective_scan.py.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

CHUNK = 256  # steps; a compromise between registers (chunk x states) and serial chunks


@triton.jit
def _combine(a1, b1, a2, b2):
    return a1 * a2, a2 * b1 + b2


@triton.jit
def _softplus(x):
    e = tl.exp(tl.minimum(x, 20.0))
    w = 1 + e
    # log(1 + e) with the digits that 1 + e has rounded away put back (Kahan); trained step sizes may be this small
    log1p = tl.where(w == 1, e, tl.log(w) * (e / tl.where(w == 1, 1.0, w - 1)))
    return tl.where(x > 20, x, log1p)


@triton.jit
def _load_dt(delta, bias, t, length, SOFTPLUS: tl.constexpr):
    """Step sizes at positions t, and the inputs of their softplus; 0 past the end, where nothing may change."""
    raw = tl.load(delta + t, mask=t < length, other=0.0).to(tl.float32) + bias
    dt = _softplus(raw) if SOFTPLUS else raw
    return tl.where(t < length, dt, 0.0), raw


@triton.jit
def _forward(u, delta, A, B, C, bias, y, starts, length, channels, per_group, N,
             STATES: tl.constexpr, CHUNK: tl.constexpr, SOFTPLUS: tl.constexpr):
    sequence, channel = tl.program_id(0), tl.program_id(1)
    row = (sequence * channels + channel).to(tl.int64)
    groups = channels // per_group
    shared = (sequence * groups + channel // per_group).to(tl.int64) * N * length  # B and C of this channel's group
    n = tl.arange(0, STATES)
    step = tl.arange(0, CHUNK)
    A_n = tl.load(A + channel * N + n, mask=n < N, other=0.0).to(tl.float32)
    bias_c = tl.load(bias + channel).to(tl.float32)
    chunks = tl.cdiv(length, CHUNK)
    state = tl.zeros([STATES], tl.float32)
    for chunk in range(chunks):
        t = chunk * CHUNK + step
        inside = (n < N)[:, None] & (t < length)[None, :]
        at = shared + n[:, None] * length + t[None, :]
        tl.store(starts + (row * chunks + chunk) * N + n, state, mask=n < N)
        dt, _ = _load_dt(delta + row * length, bias_c, t, length, SOFTPLUS)
        u_t = tl.load(u + row * length + t, mask=t < length, other=0.0).to(tl.float32)
        B_t = tl.load(B + at, mask=inside, other=0.0).to(tl.float32)
        C_t = tl.load(C + at, mask=inside, other=0.0).to(tl.float32)
        a = tl.exp(dt[None, :] * A_n[:, None])
        decay, h = tl.associative_scan((a, (dt * u_t)[None, :] * B_t), 1, _combine)
        h += decay * state[:, None]
        tl.store(y + row * length + t, tl.sum(h * C_t, axis=0), mask=t < length)
        state = tl.sum(tl.where((step == CHUNK - 1)[None, :], h, 0.0), axis=1)


@triton.jit
def _backward(gy, u, delta, A, B, C, bias, starts, gu, gdelta, gA, gB, gC, length, channels, per_group, N,
              STATES: tl.constexpr, CHUNK: tl.constexpr, SOFTPLUS: tl.constexpr):
    sequence, channel = tl.program_id(0), tl.program_id(1)
    row = (sequence * channels + channel).to(tl.int64)
    groups = channels // per_group
    shared = (sequence * groups + channel // per_group).to(tl.int64) * N * length
    n = tl.arange(0, STATES)
    step = tl.arange(0, CHUNK)
    A_n = tl.load(A + channel * N + n, mask=n < N, other=0.0).to(tl.float32)
    bias_c = tl.load(bias + channel).to(tl.float32)
    chunks = tl.cdiv(length, CHUNK)
    later = tl.zeros([STATES], tl.float32)  # gradient of the state that enters the next chunk, times its decay
    gA_n = tl.zeros([STATES], tl.float32)
    for index in range(chunks):
        chunk = chunks - 1 - index
        t = chunk * CHUNK + step
        inside = (n < N)[:, None] & (t < length)[None, :]
        at = shared + n[:, None] * length + t[None, :]
        dt, raw = _load_dt(delta + row * length, bias_c, t, length, SOFTPLUS)
        u_t = tl.load(u + row * length + t, mask=t < length, other=0.0).to(tl.float32)
        gy_t = tl.load(gy + row * length + t, mask=t < length, other=0.0).to(tl.float32)
        B_t = tl.load(B + at, mask=inside, other=0.0).to(tl.float32)
        C_t = tl.load(C + at, mask=inside, other=0.0).to(tl.float32)
        a = tl.exp(dt[None, :] * A_n[:, None])
        b = (dt * u_t)[None, :] * B_t
        state = tl.load(starts + (row * chunks + chunk) * N + n, mask=n < N, other=0.0)
        decay, h = tl.associative_scan((a, b), 1, _combine)
        h += decay * state[:, None]
        # g_t = C_t gy_t + a_{t+1} g_{t+1}: inside the chunk with its own decays, its last step from the next chunk
        last = (step == CHUNK - 1)[None, :]
        dt_next, _ = _load_dt(delta + row * length, bias_c, t + 1, length, SOFTPLUS)
        a_next = tl.exp(dt_next[None, :] * A_n[:, None])
        g = C_t * gy_t[None, :] + tl.where(last, later[:, None], 0.0)
        _, g = tl.associative_scan((a_next, g), 1, _combine, reverse=True)
        later = tl.sum(tl.where((step == 0)[None, :], a * g, 0.0), axis=1)
        of_decay = g * (h - b)  # g_t * a_t * h_{t-1}, the gradient of dt_t * A
        g_dt_u = tl.sum(g * B_t, axis=0)
        gdt = tl.sum(of_decay * A_n[:, None], axis=0) + g_dt_u * u_t
        if SOFTPLUS:
            gdt *= tl.sigmoid(raw)
        tl.store(gu + row * length + t, g_dt_u * dt, mask=t < length)
        tl.store(gdelta + row * length + t, gdt, mask=t < length)
        gA_n += tl.sum(of_decay * dt[None, :], axis=1)
        # channels of a group add up; the order is not fixed, so the last bits differ from run to run
        tl.atomic_add(gB + at, g * (dt * u_t)[None, :], mask=inside)
        tl.atomic_add(gC + at, gy_t[None, :] * h, mask=inside)
    tl.store(gA + row * N + n, gA_n, mask=n < N)


def _launch(u: Tensor, B: Tensor) -> tuple[tuple[int, int], tuple[int, int, int, int], dict]:
    sequences, channels, length = u.shape
    groups, N = B.shape[1:3]
    states = triton.next_power_of_2(N)
    chunk = min(max(CHUNK // states, 32), triton.next_power_of_2(length))
    return (sequences, channels), (length, channels, channels // groups, N), {'STATES': states, 'CHUNK': chunk}


@torch.library.custom_op('matting::selective_scan', mutates_args=())
def _scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, bias: Tensor,
          softplus: bool) -> tuple[Tensor, Tensor]:
    """y (B, K*D, L) float32 and the state at the start of every chunk (B, K*D, chunks, N)."""
    u, delta, A, B, C, bias = (x.contiguous() for x in (u, delta, A, B, C, bias))
    grid, sizes, constants = _launch(u, B)
    y = torch.empty(u.shape, dtype=torch.float32, device=u.device)
    starts = y.new_empty(*u.shape[:2], triton.cdiv(u.size(2), constants['CHUNK']), B.size(2))
    _forward[grid](u, delta, A, B, C, bias, y, starts, *sizes, SOFTPLUS=softplus, **constants)
    return y, starts


@_scan.register_fake
def _(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, bias: Tensor, softplus: bool):
    chunk = _launch(u, B)[2]['CHUNK']
    y = torch.empty(u.shape, dtype=torch.float32, device=u.device)
    return y, y.new_empty(*u.shape[:2], (u.size(2) + chunk - 1) // chunk, B.size(2))


@torch.library.custom_op('matting::selective_scan_backward', mutates_args=())
def _scan_backward(gy: Tensor, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, bias: Tensor,
                   starts: Tensor, softplus: bool) -> list[Tensor]:
    inputs = (u, delta, A, B, C, bias)
    gy, u, delta, A, B, C, bias = (x.contiguous() for x in (gy, *inputs))
    grid, sizes, constants = _launch(u, B)
    gu, gdelta = torch.empty_like(gy), torch.empty_like(gy)
    gA = gy.new_empty(u.size(0), *A.shape)  # per sequence, added up below
    gB, gC = gy.new_zeros(B.shape), gy.new_zeros(C.shape)
    _backward[grid](gy, u, delta, A, B, C, bias, starts, gu, gdelta, gA, gB, gC, *sizes, SOFTPLUS=softplus,
                    **constants)
    gradients = (gu, gdelta, gA.sum(0), gB, gC, gdelta.sum((0, 2)))
    return [g.to(x.dtype) for g, x in zip(gradients, inputs, strict=True)]


@_scan_backward.register_fake
def _(gy: Tensor, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, bias: Tensor, starts: Tensor,
      softplus: bool) -> list[Tensor]:
    return [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (u, delta, A, B, C, bias)]


def _setup_context(ctx, inputs, output) -> None:
    *tensors, ctx.softplus = inputs
    ctx.save_for_backward(*tensors, output[1])


def _gradient(ctx, gy: Tensor, gstarts: Tensor | None):
    return *_scan_backward(gy.float(), *ctx.saved_tensors, ctx.softplus), None


_scan.register_autograd(_gradient, setup_context=_setup_context)


def selective_scan_triton(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, delta_bias: Tensor | None,
                          delta_softplus: bool) -> Tensor:
    """Arguments as `selective_scan`, without D. CUDA tensors (CPU tensors under TRITON_INTERPRET=1).

    Returns:
        (B, K*D, L) float32.
    """
    bias = A.new_zeros(A.size(0)) if delta_bias is None else delta_bias
    return _scan(u, delta, A, B, C, bias, delta_softplus)[0]
