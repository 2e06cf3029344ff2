"""Encoder of the instance network: a residual net of 29 layers with five shortcut branches, and the mask embedding."""

import torch
from torch import Tensor, nn

from .spectral import spectral


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """With spectral normalisation."""
    return spectral(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip, which averages 2x2 pixels where the block halves the size."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels)
        self.conv2, self.bn2 = conv3x3(out_channels, out_channels), nn.BatchNorm2d(out_channels)
        nn.init.zeros_(self.bn2.weight)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(2, 2), spectral(nn.Conv2d(in_channels, out_channels, 1, bias=False)),
                nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C_out, H/stride, W/stride)
        """(B, C, H, W) -> (B, C_out, H/stride, W/stride)."""
        skip = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + skip)


def residual_layer(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    """Blocks of which the first takes the stride."""
    return nn.Sequential(BasicBlock(in_channels, out_channels, stride),
                         *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))


def shortcut_branch(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two convolutions, each followed by a batch norm."""
    return nn.Sequential(conv3x3(in_channels, out_channels), nn.ReLU(), nn.BatchNorm2d(out_channels),
                         conv3x3(out_channels, out_channels), nn.ReLU(), nn.BatchNorm2d(out_channels))


class InstanceEncoder(nn.Module):
    """Picture and masks to features.

    Args:
        channels: at strides 2, 4, 8, 16, 32; the shortcut at stride 1 has as many as that at stride 2.
        slots: most people at a time.
        embedding: channels that carry who is where.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128, 256, 512), slots: int = 10, embedding: int = 3):
        super().__init__()
        c2, c4, c8, c16, c32 = channels
        self.conv1, self.bn1 = conv3x3(3 + embedding, c2, 2), nn.BatchNorm2d(c2)
        self.conv2, self.bn2 = conv3x3(c2, c2), nn.BatchNorm2d(c2)
        self.conv3, self.bn3 = conv3x3(c2, c4, 2), nn.BatchNorm2d(c4)
        self.layer1 = residual_layer(c4, c4, 3, 1)
        self.layer2 = residual_layer(c4, c8, 4, 2)
        self.layer3 = residual_layer(c8, c16, 4, 2)
        self.layer_bottleneck = residual_layer(c16, c32, 2, 2)
        self.shortcut = nn.ModuleList([
            shortcut_branch(3 + embedding, c2), *(shortcut_branch(c, c) for c in (c2, c4, c8, c16))])
        self.mask_embed_layer = nn.Embedding(slots + 1, embedding)
        with torch.no_grad():
            self.conv1.module.weight_bar[:, 3:] = 0      # a picture without masks at first: RGB weights can be loaded

    def embed_masks(self, msk: Tensor) -> Tensor:
        """(B, N, H, W) of 0 and 1 -> (B, E, H, W): mean of the rows of the people who cover a pixel, 0 where nobody."""
        rows = self.mask_embed_layer.weight[1:msk.size(1) + 1]                             # (N, E)
        return torch.einsum('bnhw,ne->behw', msk, rows) / (msk.sum(1, keepdim=True) + 1e-6)

    def forward(self, src: Tensor, msk: Tensor) -> tuple[Tensor, list[Tensor]]:
        """
        Args:
            src: (B, 3, H, W) normalised pictures, sides multiples of 32.
            msk: (B, N, H, W) of 0 and 1; slots that nobody has may be left out at the end.
        Returns:
            Features at stride 32, and the shortcuts at strides 1, 2, 4, 8, 16.
        """
        x1 = torch.cat([src, self.embed_masks(msk)], 1)
        x2 = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x1))))))
        x4 = self.layer1(torch.relu(self.bn3(self.conv3(x2))))
        x8 = self.layer2(x4)
        x16 = self.layer3(x8)
        shortcuts = [branch(x) for branch, x in zip(self.shortcut, (x1, x2, x4, x8, x16))]
        return self.layer_bottleneck(x16), shortcuts
