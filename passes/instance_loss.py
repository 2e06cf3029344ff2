"""Losses of the instance network, as pure functions of tensors.

Paper: Masked Guided Gradual Human Instance Matting, arXiv 2404.16035, section 3.4. Maps are (B, T, N, H, W).
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from train_loss import SMALLEST_SIDE, laplacian_pyramid, sobel

STRIDES = {'os1': 2., 'os4': 1., 'os8': 1.}      # each prediction by its weight
LEVELS = 3
UNSURE = 1 / 255


@dataclass(frozen=True)
class InstanceLossWeights:
    """Weight of each term in `total`. The release's Laplacian is three times itself by a slip: 0.15 is its 0.05."""

    l1: float = 1.0
    laplacian: float = 0.15
    gradient: float = 0.05
    dtssd: float = 1.0          # of clips; one frame has none
    attention: float = 5.0
    change: float = 1.0         # of networks with a head for it

    def __post_init__(self):
        for field in fields(self):
            if not 0 <= getattr(self, field.name) < float('inf'):
                raise ValueError(f'loss weight {field.name} must be at least 0, got {getattr(self, field.name)}')


def instance_loss(pred: dict[str, Tensor], true_pha: Tensor, valid: Tensor, weights: dict[str, Tensor],
                  factors: InstanceLossWeights | None = None, attention: Tensor | None = None,
                  change: tuple[Tensor, Tensor] | None = None, true_change: Tensor | None = None) -> dict[str, Tensor]:
    """Compare the three predictions with the truth.

    Args:
        pred: 'os1', 'os4', 'os8' -> alpha.
        true_pha: alpha.
        valid: (B, N) bool, slots that count; predictions of the others are not looked at.
        weights: 'os1', 'os4', 'os8' -> where and how much each counts.
        attention: (B, L, N, T*h*w) maps of tokens on features.
        change: logits of both directions, (B, T, 1, H, W). true_change: (B, T, 1, H, W) of 0 and 1.
    Returns:
        Scalars by name, unweighted, and 'total'.
    """
    factors = InstanceLossWeights() if factors is None else factors
    with torch.autocast(true_pha.device.type, enabled=False):
        # Zeros would count alike, and cost as much as people. Where nobody is, they keep the gradient's way open.
        counts = valid[:, None, :, None, None].to(true_pha)
        chosen = valid if valid.any() else torch.ones_like(valid)
        true, *rest = ((x.float() * counts).transpose(1, 2)[chosen][:, :, None]
                       for x in (true_pha, *pred.values(), *(weights[stride] for stride in pred)))
        terms: dict[str, Tensor] = {}
        for stride, own, weight in zip(pred, rest, rest[len(pred):]):
            for name, value in map_terms(own, true, weight, factors).items():
                terms[name] = terms.get(name, 0) + STRIDES[stride] * value
        if attention is not None:
            terms['attention'] = attention_loss(attention.float(), true_pha, valid)
        if change is not None:
            terms['change'] = change_loss(*(logits.float() for logits in change), true_change)
        terms['total'] = sum(getattr(factors, name) * term for name, term in terms.items())
    return terms


def map_terms(pred: Tensor, true: Tensor, weight: Tensor, factors: InstanceLossWeights) -> dict[str, Tensor]:
    """Those that count."""
    terms = {'l1': weighted_l1(pred, true, weight)}
    if factors.laplacian and min(pred.shape[-2:]) >= SMALLEST_SIDE << (LEVELS - 1):
        terms['laplacian'] = weighted_laplacian(pred, true, weight)
    if factors.gradient:
        terms['gradient'] = weighted_gradient(pred, true, weight)
    if factors.dtssd and pred.size(1) > 1:
        terms['dtssd'] = weighted_dtssd(pred, true, weight)
    return terms


def region_weights(pred_os8: Tensor, true_pha: Tensor) -> Tensor:
    """What counts at stride 8: every pixel of people who are there once, uncertain ones, true or predicted, twice."""
    there = (true_pha.sum((-2, -1), keepdim=True) > 0).to(true_pha)
    unsure = unsure_inclusive(true_pha) | unsure_inclusive(pred_os8.detach())
    return there.expand_as(true_pha) + unsure


def unsure_inclusive(pha: Tensor) -> Tensor:
    return (pha >= UNSURE) & (pha <= 1 - UNSURE)


def weighted_l1(pred: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    return (weight * (pred - true)).abs().sum() / (weight.sum() + 1e-8)


def weighted_laplacian(pred: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Sum over three levels of the weighted mean absolute difference; coarse levels weigh no more."""
    H, W = pred.shape[-2:]
    loss = 0
    weight = weight.reshape(-1, 1, H, W)
    for band in laplacian_pyramid((pred - true).reshape(-1, 1, H, W), LEVELS):      # of the difference: it is linear
        own = weight[..., :band.size(-2), :band.size(-1)]
        loss = loss + (band.abs() * own).sum() / (own.sum() + 1e-6)
        weight = own[..., ::2, ::2]
    return loss


def weighted_gradient(pred: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    H, W = pred.shape[-2:]
    a, b = (sobel((x * weight).reshape(-1, 1, H, W)) for x in (pred, true))
    return (a - b).abs().sum() / (weight.sum() + 1e-6)


def weighted_dtssd(pred: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared difference of frame differences; the weight is that of the later frame."""
    later = weight[:, 1:]
    return ((pred.diff(dim=1) - true.diff(dim=1)).square() * later).sum() / (later.sum() + 1e-6)


def attention_loss(attention: Tensor, true_pha: Tensor, valid: Tensor) -> Tensor:
    """How much of each token's attention lies outside of its person, summed over people, mean over layers.

    Args:
        attention: (B, L, N, T*h*w), rows of sum 1.
    """
    B, T, N, H, W = true_pha.shape
    cells = attention.size(-1) // T
    stride = round((H * W / cells) ** 0.5)
    size = -(-H // stride), -(-W // stride)
    inside = F.adaptive_max_pool2d((true_pha.flatten(0, 1) > 0).to(attention), size)
    return attention_outside(attention, inside.unflatten(0, (B, T)).transpose(1, 2).flatten(2), valid) / T


def attention_outside(attention: Tensor, inside: Tensor, valid: Tensor) -> Tensor:
    """As `attention_loss`, of (B, L, N, K) and (B, N, K) of 0 and 1, not divided by T."""
    outside = 1 - (attention * inside[:, None]).sum(-1)                                    # (B, L, N)
    return (outside * valid[:, None]).sum(2).mean((0, 1))


def change_loss(forward: Tensor, backward: Tensor, true_change: Tensor) -> Tensor:
    """A quarter of cross-entropy and dtSSD of both directions.

    Args:
        forward, backward: (B, T, 1, H, W) logits of the change since the frame before and until the next one; the first
            of the former and the last of the latter say nothing.
        true_change: (B, T, 1, H, W) of 0 and 1, change since the frame before.
    """
    later = true_change[:, 1:].to(forward)
    loss = 0
    for logits in (forward[:, 1:], backward[:, :-1]):
        loss = loss + F.binary_cross_entropy_with_logits(logits, later)
        if later.size(1) > 1:
            loss = loss + (logits.sigmoid().diff(dim=1) - later.diff(dim=1)).square().mean()
    return loss / 4
