"""Convolutions whose weight is divided by its largest singular value.

Paper: Spectral Normalization for Generative Adversarial Networks, arXiv 1802.05957. The released instance network
updates its singular vectors on every forward, evaluation included, so that the same picture gives two answers. Here
they move in training only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpectralWeight(nn.Module):
    """Weight and the running estimate of its top singular pair; names as published.

    Args:
        weight: initial weight; the matrix is `weight.flatten(1)`, also for transposed convolutions.
    """

    def __init__(self, weight: Tensor):
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer('weight_u', F.normalize(torch.randn(matrix.size(0)), dim=0))
        self.register_buffer('weight_v', F.normalize(torch.randn(matrix.size(1)), dim=0))
        self.weight_bar = nn.Parameter(weight.detach().clone())
        for _ in range(0 if weight.is_meta else 10):      # a fresh network answers sensibly, before any training
            self.power_iteration()

    def forward(self) -> Tensor:
        """The weight divided by its spectral norm."""
        if self.training:
            self.power_iteration()
        # Copies: the vectors move in place at the next forward, the backward pass of this one still needs them.
        u, v = self.weight_u.clone(), self.weight_v.clone()
        return self.weight_bar / (u @ (self.weight_bar.flatten(1) @ v))

    @torch.no_grad()
    def power_iteration(self) -> None:
        """One step towards the largest singular value."""
        matrix = self.weight_bar.flatten(1)
        self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0, eps=1e-12))
        self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=1e-12))

    @torch.no_grad()
    def settle(self) -> None:
        """Set the vectors to the exact top singular pair."""
        matrix = self.weight_bar.flatten(1).double()
        u = torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -1]       # the smaller side: much faster than an SVD
        self.weight_u.copy_(u)
        self.weight_v.copy_(F.normalize(matrix.T @ u, dim=0))


class SpectralConv2d(nn.Module):
    """As the convolution that it is given, with a spectrally normalised weight and no bias."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d):
        super().__init__()
        self.module = SpectralWeight(conv.weight)
        self.transposed = isinstance(conv, nn.ConvTranspose2d)
        self.stride, self.padding = conv.stride, conv.padding

    def forward(self, x: Tensor) -> Tensor:
        """By the normalised weight."""
        weight = self.module()
        if self.transposed:
            return F.conv_transpose2d(x, weight, None, self.stride, self.padding)
        return F.conv2d(x, weight, None, self.stride, self.padding)

    @torch.no_grad()
    def folded(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The ordinary convolution that answers alike in evaluation."""
        was_training = self.module.training
        weight = self.module.eval()()
        self.module.train(was_training)
        kind = nn.ConvTranspose2d if self.transposed else nn.Conv2d
        channels = weight.shape[:2] if self.transposed else (weight.size(1), weight.size(0))
        conv = kind(*channels, weight.shape[2:], self.stride, self.padding, bias=False)
        conv.weight.copy_(weight)
        return conv.to(weight.device, weight.dtype).train(self.training)


def spectral(conv: nn.Conv2d | nn.ConvTranspose2d) -> SpectralConv2d:
    """Xavier-initialised and normalised, as published."""
    nn.init.xavier_uniform_(conv.weight)
    return SpectralConv2d(conv)


def fold_spectral(network: nn.Module) -> nn.Module:
    """Replace every `SpectralConv2d` inside, in place, by the convolution that it is in evaluation."""
    for name, child in network.named_children():
        if isinstance(child, SpectralConv2d):
            setattr(network, name, child.folded())
        else:
            fold_spectral(child)
    return network
