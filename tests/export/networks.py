"""Networks whose random weights give an alpha that varies, and a clip to show them."""

from functools import cache

import numpy as np
import torch
from torch import nn

from model import MattingNetwork, reparameterize_model
from model.model import downsample
from tests.clips import picture

SIZE, RATIO = (96, 64), 0.5       # [px], of the exported test files


@cache
def filled_network(variant: str = 'mobilenetv3', refiner: str = 'deep_guided_filter') -> MattingNetwork:
    """Random weights, BatchNorm statistics measured on the clip, and gains that leave neither head saturated; merged.

    Statistics of real activations keep signals alive through every layer; states then differ from frame to frame.
    """
    torch.manual_seed(0)
    network = MattingNetwork(variant, refiner)
    for name, module in network.named_modules():
        # the refiner's statistics are tiny: measured, they would amplify rounding beyond what trained weights do
        if isinstance(module, nn.BatchNorm2d) and not name.startswith('refiner'):
            module.momentum = None                    # plain average over the frames below
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.
        if name.startswith('decoder') and isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    src = torch.from_numpy(np.stack(clip(2, (192, 128)))).permute(0, 3, 1, 2)[None].float() / 255
    with torch.no_grad():
        network.train()(src)      # large enough that the deepest features are more than border
        network.eval()
        for module in network.modules():      # a channel that is dead on these frames would amplify others by hundreds
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.clamp_(min=module.running_var.mean() / 4)
        out = network.project_mat(network.hidden(downsample(src, 0.5), *[None] * 4)[0])
        conv = network.project_mat.conv                # alpha around 0.5, most of it inside 0 and 1
        gain = 0.2 / out.std(dim=(0, 1, 3, 4))
        conv.weight *= gain.reshape(-1, 1, 1, 1)
        conv.bias.copy_(torch.tensor([0, 0, 0, 0.5]) + gain * (conv.bias - out.mean(dim=(0, 1, 3, 4))))
    return reparameterize_model(network)


def clip(frames: int = 8, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """(H, W, 3) uint8 frames of (width, height): a disc that moves."""
    return [picture(index * 2, *size) for index in range(frames)]
