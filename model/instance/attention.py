"""Attention between a token of each person and the features of a clip.

One head, post-norm. Parameter names are those of `nn.MultiheadAttention`; it is written out here because the loss needs
the attention map, and because no check of values (a wait for the GPU) belongs inside a layer.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """One-head attention of width `channels`."""

    def __init__(self, channels: int):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, closed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """
        Args:
            q: (B, Q, C); k, v: (B, K, C).
            closed: (B, K) True where a key must not be looked at; not all of them.
        Returns:
            (B, Q, C), and the attention (B, Q, K), each row of sum 1.
        """
        Wq, Wk, Wv = self.in_proj_weight.chunk(3)
        bq, bk, bv = self.in_proj_bias.chunk(3)
        q, k, v = F.linear(q, Wq, bq), F.linear(k, Wk, bk), F.linear(v, Wv, bv)
        logits = q @ k.transpose(1, 2) * q.size(-1) ** -0.5
        if closed is not None:
            logits = logits.masked_fill(closed[:, None], float('-inf'))
        share = logits.softmax(-1)
        return self.out_proj(share @ v), share


class CrossAttention(nn.Module):
    """x = norm(x + attention of x on a memory)."""

    def __init__(self, channels: int):
        super().__init__()
        self.multihead_attn, self.norm = Attention(channels), nn.LayerNorm(channels)

    def forward(self, x: Tensor, x_position: Tensor, memory: Tensor, memory_position: Tensor,
                closed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens x look at `memory`; also their shares. `closed` is True where they must not look."""
        update, share = self.multihead_attn(x + x_position, memory + memory_position, memory, closed)
        return self.norm(x + update), share


class SelfAttention(nn.Module):
    """x = norm(x + attention of x on itself)."""

    def __init__(self, channels: int):
        super().__init__()
        self.self_attn, self.norm = Attention(channels), nn.LayerNorm(channels)

    def forward(self, x: Tensor, position: Tensor, closed: Tensor | None = None) -> Tensor:
        """Tokens look at each other."""
        return self.norm(x + self.self_attn(x + position, x + position, x, closed)[0])


class FeedForward(nn.Module):
    """x = norm(x + two linear layers of x)."""

    def __init__(self, channels: int, dropout: float = 0.):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Each token alone."""
        update = self.linear2(self.dropout(torch.relu(self.linear1(x))))
        return self.norm(x + self.dropout(update))


class Projection(nn.Module):
    """One linear layer; the list in its name is a file format."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(in_channels, out_channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Each token alone."""
        return self.layers[0](x)
