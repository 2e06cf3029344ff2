"""SS2D: a state-space layer that reads an image in four directions.

Paper: VMamba, arXiv 2401.10166, section 4. Names are those of the published checkpoints.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .selective_scan import (
    check_scan_path,
    default_scan_path,
    resolve_scan_path,
    scan_image,
    scan_image_forward,
    selective_scan,
)

FLOAT32_NAMES = ('A_logs', 'Ds', 'dt_projs_bias')
DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 1e-1, 1e-4  # range of the step size at initialisation


class SS2D(nn.Module):
    """Direction 0 reads rows from the first pixel, 1 columns, 2 and 3 the same backwards; the results are added.

    Args:
        dim: channels in and out.
        state_size: N of the scan.
        expand: inner channels over `dim`.
        gated: VMamba's first form: half of the input projection gates the output, and the convolution has a bias.
    """

    def __init__(self, dim: int, state_size: int = 1, expand: float = 1.0, gated: bool = False):
        super().__init__()
        inner, rank = int(expand * dim), math.ceil(dim / 16)
        self.inner, self.rank, self.state_size, self.gated = inner, rank, state_size, gated
        self.scan_path = default_scan_path()
        self.x_proj_weight = nn.Parameter(nn.init.trunc_normal_(torch.empty(4, rank + 2 * state_size, inner), std=0.02))
        self.A_logs = nn.Parameter(torch.arange(1, state_size + 1).float().log().repeat(4 * inner, 1))
        self.Ds = nn.Parameter(torch.ones(4 * inner))
        self.dt_projs_weight = nn.Parameter(nn.init.uniform_(torch.empty(4, inner, rank), -rank ** -0.5, rank ** -0.5))
        dt = torch.empty(4, inner).uniform_(math.log(DT_MIN), math.log(DT_MAX)).exp().clamp(min=DT_FLOOR)
        self.dt_projs_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # softplus of it is dt
        self.out_norm = nn.LayerNorm(inner)
        self.in_proj = nn.Linear(dim, 2 * inner if gated else inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=gated)
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def _apply(self, fn, recurse=True):
        """Half precision leaves the scan's own parameters in float32: an error in a decay grows along the sequence."""
        kept = {name: getattr(self, name).data for name in FLOAT32_NAMES}
        super()._apply(fn, recurse)
        for name, before in kept.items():
            after = getattr(self, name)
            if after.dtype in (torch.float16, torch.bfloat16):
                after.data = before.to(after.device)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim)."""
        x = self.in_proj(x)
        gate = x
        if self.gated:
            x, gate = x.chunk(2, dim=-1)
        x = F.silu(self.conv2d(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        if torch.jit.is_scripting():
            y = self.scan_along_axes(x)
        else:
            path = resolve_scan_path(self.scan_path, x.device.type)
            y = self.scan_along_axes(x) if path == 'torch' else self.scan_sequences(x, path)
        norm = self.out_norm
        y = F.layer_norm(y, [self.inner], norm.weight.to(y.dtype), norm.bias.to(y.dtype), norm.eps).to(x.dtype)
        if self.gated:
            y = y * F.silu(gate)
        return self.out_proj(y)

    def scan_along_axes(self, x: Tensor) -> Tensor:
        """(B, H, W, inner) -> (B, H, W, inner) float32: the four scans, each where its pixels lie."""
        N, R = self.state_size, self.rank
        # the projections see one pixel at a time, so they need no order: one product serves all directions
        low = F.linear(x, self.x_proj_weight.flatten(0, 1).to(x.dtype)).split(R + 2 * N, dim=-1)
        A = -self.A_logs.to(self.scan_dtype(x)).exp().unflatten(0, (4, self.inner))
        D = self.Ds.to(self.scan_dtype(x)).unflatten(0, (4, self.inner)).sum(0)
        y = x * D
        for k in range(4):
            dt, B, C = low[k].split([R, N, N], dim=-1)
            delta = F.linear(dt, self.dt_projs_weight[k].to(x.dtype))
            y = y + self.scan(x, delta, self.dt_projs_bias[k], A[k], B, C, columns=k % 2 == 1, reverse=k >= 2)
        return y

    def scan(self, x: Tensor, delta: Tensor, bias: Tensor, A: Tensor, B: Tensor, C: Tensor, columns: bool,
             reverse: bool) -> Tensor:
        """As `scan_image`; exporters replace it."""
        if torch.jit.is_scripting():
            return scan_image_forward(x, delta, bias, A, B, C, columns, reverse, True)
        else:
            return scan_image(x, delta, bias, A, B, C, columns, reverse)

    def scan_dtype(self, x: Tensor) -> torch.dtype:
        return torch.float64 if x.dtype == torch.float64 else torch.float32

    def scan_sequences(self, x: Tensor, path: str) -> Tensor:
        """The same through explicit sequences, the layout of kernels: (B, H, W, inner) -> (B, H, W, inner)."""
        H, W = x.size(1), x.size(2)
        xs = cross_scan(x.permute(0, 3, 1, 2))  # (B, 4, inner, L)
        low = torch.einsum('bkdl,kcd->bkcl', xs, self.x_proj_weight.to(xs.dtype))
        dt, B, C = low.split([self.rank, self.state_size, self.state_size], dim=2)
        delta = torch.einsum('bkrl,kdr->bkdl', dt, self.dt_projs_weight.to(xs.dtype))
        dtype = self.scan_dtype(x)
        y = selective_scan(xs.flatten(1, 2), delta.flatten(1, 2), -self.A_logs.to(dtype).exp(), B, C,
                           self.Ds.to(dtype), self.dt_projs_bias.flatten().to(dtype), True, path)
        return cross_merge(y.to(dtype).unflatten(1, (4, self.inner)), H, W).permute(0, 2, 3, 1)


def cross_scan(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 4, C, H*W): rows, columns, and both backwards."""
    forward = torch.stack([x.flatten(2), x.transpose(2, 3).flatten(2)], dim=1)
    return torch.cat([forward, forward.flip(-1)], dim=1)


def cross_merge(y: Tensor, H: int, W: int) -> Tensor:
    """(B, 4, C, H*W) -> (B, C, H, W): bring the four orders home and add them."""
    both = y[:, :2] + y[:, 2:].flip(-1)
    return both[:, 0].unflatten(-1, (H, W)) + both[:, 1].unflatten(-1, (W, H)).transpose(2, 3)


def select_scan(model: nn.Module, path: str) -> None:
    """Choose the scan of every SS2D layer in a model: a name in `SCAN_PATHS`.

    Raises:
        ValueError: unknown name. RuntimeError: the package is missing; the message has the install line.
    """
    check_scan_path(path)
    for module in model.modules():
        if isinstance(module, SS2D):
            module.scan_path = path
