"""Other pictures than RGB for an encoder made for it."""

import torch
from torch import nn


def widen_stem(encoder: nn.Module, in_channels: int, keep: bool) -> None:
    """Give every convolution that reads the picture another number of input channels, in place.

    Args:
        keep: the first three channels keep their weights, further ones start at zero; else all start afresh.
    """
    for module in list(encoder.modules()):
        for name, conv in list(module.named_children()):
            if not isinstance(conv, nn.Conv2d) or conv.in_channels != 3:
                continue
            wide = nn.Conv2d(in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
                             bias=conv.bias is not None)
            if keep:
                with torch.no_grad():
                    wide.weight.zero_()
                    wide.weight[:, :3] = conv.weight[:, :in_channels]
                    if conv.bias is not None:
                        wide.bias.copy_(conv.bias)
            setattr(module, name, wide)
