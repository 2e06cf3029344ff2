"""The selective scan as a graph of plain operations: no loops over pixels, nothing overwritten.

With h_t = a_t * h_{t-1} + b_t, two steps are one of the same kind (a_t * a_{t-1}, a_t * b_{t-1} + b_t), so log2(L)
rounds reach L steps back. Decays are at most 1 and nothing is divided by them. As in model/selective_scan.py, rows run
side by side first, then from row end to row end. Paper: Hillis and Steele, Data parallel algorithms, 1986.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from model.ss2d import SS2D

# (a, b, dim, reverse) -> along `dim`: the product of all decays so far, and h as if everything before were zero
Recurrence = Callable[[Tensor, Tensor, int, bool], tuple[Tensor, Tensor]]


class GraphSS2D(SS2D):
    """SS2D whose scan can be traced; `make_traceable` chooses its recurrence."""

    recurrence: Recurrence

    def scan(self, x: Tensor, delta: Tensor, bias: Tensor, A: Tensor, B: Tensor, C: Tensor, columns: bool,
             reverse: bool) -> Tensor:
        """As `model.selective_scan.scan_image`: x, delta (B, H, W, D), B, C (B, H, W, N) -> (B, H, W, D) float32."""
        if columns:
            x, delta, B, C = (t.transpose(1, 2) for t in (x, delta, B, C))
        dt = F.softplus(delta.float() + bias)
        x = x.float()
        y = torch.zeros_like(x)
        for n in range(self.state_size):
            a, b = torch.exp(dt * A[:, n]), dt * x * B[..., n:n + 1].float()
            y = y + self.recur(a, b, reverse) * C[..., n:n + 1].float()
        return y.transpose(1, 2) if columns else y

    def recur(self, a: Tensor, b: Tensor, reverse: bool) -> Tensor:
        """h over (B, rows, steps, D), rows one after the other; reverse starts at the last step of the last row."""
        a, b = self.recurrence(a, b, 2, reverse)
        end = slice(0, 1) if reverse else slice(-1, None)
        carry = self.recurrence(a[:, :, end], b[:, :, end], 1, reverse)[1]
        if reverse:       # every row but the first of the scan gets what comes out of the row before
            return torch.cat([b[:, :-1] + a[:, :-1] * carry[:, 1:], b[:, -1:]], dim=1)
        return torch.cat([b[:, :1], b[:, 1:] + a[:, 1:] * carry[:, :-1]], dim=1)


def double(a: Tensor, b: Tensor, dim: int, reverse: bool) -> tuple[Tensor, Tensor]:
    """The recurrence in log2 of the side that is traced, for graphs of one size."""
    for distance in (1 << i for i in range((int(a.size(dim)) - 1).bit_length())):
        if reverse:
            first, rest, before = slice(-distance, None), slice(None, -distance), slice(distance, None)
        else:
            first, rest, before = slice(None, distance), slice(distance, None), slice(None, -distance)
        a_rest = cut(a, dim, rest)
        b = join(cut(b, dim, first), cut(b, dim, rest) + a_rest * cut(b, dim, before), dim, reverse)
        a = join(cut(a, dim, first), a_rest * cut(a, dim, before), dim, reverse)
    return a, b


def cut(x: Tensor, dim: int, part: slice) -> Tensor:
    return x[:, part] if dim == 1 else x[:, :, part]


def join(first: Tensor, rest: Tensor, dim: int, reverse: bool) -> Tensor:
    return torch.cat([rest, first] if reverse else [first, rest], dim)
