"""From stride 32 to stride 8, for all people together."""

from torch import Tensor, nn
from torch.nn import functional as F

from .encoder import conv3x3
from .spectral import spectral

SLOPE = 0.2     # of every LeakyReLU in the decoder


class UpBlock(nn.Module):
    """A residual block; the first of a layer doubles the size."""

    def __init__(self, in_channels: int, out_channels: int, doubles: bool):
        super().__init__()
        self.conv1 = conv3x3(in_channels, in_channels)
        self.upsample = None
        if doubles:
            self.conv1 = spectral(nn.ConvTranspose2d(in_channels, in_channels, 4, 2, 1, bias=False))
            self.upsample = nn.Sequential(
                nn.UpsamplingNearest2d(scale_factor=2), spectral(nn.Conv2d(in_channels, out_channels, 1, bias=False)),
                nn.BatchNorm2d(out_channels))
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2, self.bn2 = conv3x3(in_channels, out_channels), nn.BatchNorm2d(out_channels)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C_out, 2H, 2W) where it doubles
        """(B, C, H, W) -> (B, C_out, 2H, 2W) where it doubles."""
        skip = x if self.upsample is None else self.upsample(x)
        x = F.leaky_relu(self.bn1(self.conv1(x)), SLOPE)
        return F.leaky_relu(self.bn2(self.conv2(x)) + skip, SLOPE)


def up_layer(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    """Blocks of which the first doubles the size."""
    return nn.Sequential(UpBlock(in_channels, out_channels, True),
                         *(UpBlock(out_channels, out_channels, False) for _ in range(blocks - 1)))
