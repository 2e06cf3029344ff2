"""A network run by PyTorch itself, made ready for inference: merged, folded, in the layout that its device likes."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.interface import INFERENCE_SIZE, interface_of

from ..base import Engine


class TorchEngine(Engine):
    """
    Args:
        network: is copied and stays as it is; see `prepare_network`.
    """

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype):
        super().__init__(f'PyTorch on {device}, {str(dtype).removeprefix("torch.")}', interface_of(network),
                         inference_size=getattr(network, 'inference_size', INFERENCE_SIZE))
        self.device, self.dtype = device, dtype
        self.network = prepare_network(network, device, dtype)
        self.coefficients = getattr(self.network, 'coefficients', None)

    def forward(self, *arguments) -> list:
        return self.network(*arguments)


def prepare_network(model: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A copy of `model` for inference only, batch norms folded, with channels-last weights on CPUs and CUDA.

    Blocks that offer `merge_branches` (MobileOne, UniRepLKNet) are merged: the same function, several times faster.
    Scripted and frozen modules, which cannot be taken apart, are only put in eval mode and moved.
    """
    if isinstance(model, torch.jit.ScriptModule):
        has_tensors = any(True for _ in model.parameters())
        return (model.eval().to(device, dtype) if has_tensors else model)
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for block in list(model.modules()):
        if hasattr(block, 'merge_branches'):
            block.merge_branches()
    fold_batch_norms(model)
    if device.type in ('cpu', 'cuda'):
        model = model.to(memory_format=torch.channels_last)
    return model.to(device, dtype)


def fold_batch_norms(module: nn.Module) -> None:
    """Fold each batch norm that follows a convolution in a Sequential into it, in place."""
    for child in module.children():
        fold_batch_norms(child)
    if isinstance(module, nn.Sequential):
        for index in range(len(module) - 1):
            conv, norm = module[index], module[index + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[index], module[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
