"""Encoders for frame and plate together: 6 channels in [0, 1], not normalised, four features.

The dilations are those of Background Matting V2, arXiv 2012.07810; attribute names are the file format of published
checkpoints.
"""

import torch
from torch import nn

from ..encoder_registry import ENCODERS, EncoderSpec

IN_CHANNELS = 6     # frame, then plate

# 'mobilenetv3' is the small one, at strides 4, 8, 16, 32, as a re-implementation publishes it: nothing is read at half
# size, and the last step of the decoder enlarges four times. For training take another one.
BACKBONES: dict[str, EncoderSpec] = {name: ENCODERS[encoder] for name, encoder in {
    'resnet50': 'resnet50', 'resnet101': 'resnet101', 'mobilenetv2': 'mobilenetv2',
    'mobilenetv3': 'mobilenetv3_small', 'efficientnet_lite0': 'efficientnet_lite0'}.items()}


# The sides that a coarse network sees are filled up to multiples of this. Released weights take every size as it is;
# our own were not trained so: MAD 34.0 and filled up 18.7 at 179x100, 13.7 and 8.9 at 422x237.
GRIDS = {'efficientnet_lite0': 16}


def start_from_difference(encoder: nn.Module) -> None:
    """Set the plate's half of a first convolution that knows frames: every second filter compares frame and plate.

    ImageNet weights know nothing about a plate; a filter of the frame minus the same filter of the plate is what the
    network would learn first.
    """
    conv = next(module for module in encoder.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        conv.weight[::2, 3:] = -conv.weight[::2, :3]
