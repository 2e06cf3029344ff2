"""Structural re-parameterisation: parallel branches of the training form become one convolution for inference.

Papers: RepVGG, arXiv 2101.03697, section 3.3; MobileOne, arXiv 2206.04040; UniRepLKNet, arXiv 2311.15599, section 3.1.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MergeableBlock(nn.Module):
    """A block with branches. Subclasses write `merge`, which replaces them in place; names in the state dict change."""

    def __init__(self):
        super().__init__()
        self.merged = False

    def merge(self) -> None:
        """Replace the branches by one convolution, in place."""
        raise NotImplementedError

    def merge_branches(self) -> None:
        """Merge once; a merged block stays as it is."""
        if not self.merged:
            with torch.no_grad():
                self.merge()
            self.merged = True


def reparameterize_model(model: nn.Module) -> nn.Module:
    """A merged copy in eval mode that computes the same as `model.eval()`; the model itself stays as it is.

    Works on any module tree; where nothing is to merge, the copy is plain. The copy is for inference: BatchNorm
    statistics are gone, so it cannot be trained on, and optimizers of the original do not know it.
    """
    merged = copy.deepcopy(model).eval()
    for block in list(merged.modules()):
        if isinstance(block, MergeableBlock):
            block.merge_branches()
    return merged


def is_merged(model: nn.Module) -> bool:
    """Whether the model has blocks with branches and all of them are merged."""
    blocks = [module for module in model.modules() if isinstance(module, MergeableBlock)]
    return bool(blocks) and all(block.merged for block in blocks)


def fold_batch_norm(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight (C_out, ...) and bias (C_out) of a layer with the following BatchNorm in it, both float64."""
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() if bias is None else bias.double() - norm.running_mean.double()
    folded = weight.double() * scale.reshape(-1, *[1] * (weight.dim() - 1))
    return folded, norm.bias.double() + shift * scale


def pad_kernel(weight: Tensor, size: int) -> Tensor:
    """Centre a (C_out, C_in, k, k) kernel in zeros of `size` x `size`."""
    margin = (size - weight.size(-1)) // 2
    return F.pad(weight, [margin] * 4)


def undilate(weight: Tensor, dilation: int) -> Tensor:
    """(C_out, C_in, k, k) with a dilation -> the same kernel with its zeros written out, side dilation * (k-1) + 1."""
    size = dilation * (weight.size(-1) - 1) + 1
    dense = weight.new_zeros(*weight.shape[:2], size, size)
    dense[:, :, ::dilation, ::dilation] = weight
    return dense


def merged_convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution with `weight` and `bias`, with the geometry, dtype and device of `like`."""
    conv = nn.Conv2d(like.in_channels, like.out_channels, like.kernel_size, like.stride, like.padding, like.dilation,
                     like.groups, device=like.weight.device, dtype=like.weight.dtype)
    conv.weight.copy_(weight)
    conv.bias.copy_(bias)
    return conv.requires_grad_(False)
