"""The decoder of the large-kernel derivative of RVM: wavelet source, and a dense 9x9 convolution at stride 2.

Differs from decoder.py in three places: strides 8 and 4 do not see the source, stride 2 sees a learned mixture of its
Haar bands, and the convolution there is a large kernel. Names are those of the weights its authors publish.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .decoder import BottleneckBlock, OutputBlock, UpsamplingBlock, upsample_to
from .time_axis import fold_time, unfold_time
from .unireplknet import DilatedReparamBlock

KERNEL_SIZE = 9


class HaarWavelet(nn.Module):
    """One level of the Haar transform; filters are buffers because the published files hold them."""

    def __init__(self):
        super().__init__()
        for axis, shape in ('col', (1, 1, 2, 1)), ('row', (1, 1, 1, 2)):
            # tensors of their own: views of one memory cannot be written to safetensors
            self.register_buffer(f'h0_{axis}', torch.tensor([1., 1.]).div(2 ** 0.5).reshape(shape))
            self.register_buffer(f'h1_{axis}', torch.tensor([1., -1.]).div(2 ** 0.5).reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4C, ceil(H/2), ceil(W/2)): mean band, then differences of rows, of columns, of both."""
        B, C, H, W = x.shape
        x = F.pad(x, [0, W % 2, 0, H % 2])
        columns = torch.cat([self.h0_col, self.h1_col, self.h0_col, self.h1_col])  # (4, 1, 2, 1)
        rows = torch.cat([self.h0_row, self.h0_row, self.h1_row, self.h1_row])     # (4, 1, 1, 2)
        bands = F.conv2d(x.flatten(0, 1).unsqueeze(1), columns * rows, stride=2)   # (B*C, 4, H/2, W/2)
        return bands.unflatten(0, (B, C)).transpose(1, 2).flatten(1, 2)


class WaveletSource(nn.Module):
    """The source at stride 2: 1x1 mixture of its Haar bands."""

    def __init__(self):
        super().__init__()
        self.wt = HaarWavelet()
        self.conv_bn_relu = nn.Sequential(nn.Conv2d(12, 3, 1), nn.BatchNorm2d(3), nn.ReLU(True))

    def forward(self, src: Tensor) -> Tensor:
        """(B*T, 3, H, W) -> mixed bands at half the size."""
        return self.conv_bn_relu(self.wt(src))


class FeatureUpsamplingBlock(UpsamplingBlock):
    """An upsampling step that joins the encoder feature alone."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int):
        super().__init__(in_channels, skip_channels, 0, out_channels)

    def forward(self, x: Tensor, f: Tensor, T: int, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """To the size of `f`, then half of the channels recur."""
        x = upsample_to(x, f)
        return self.gru.on_half(self.conv(torch.cat([x, f], dim=1)), T, h)


class LargeKernelUpsamplingBlock(UpsamplingBlock):
    """An upsampling step whose convolution is a dense 9x9, trained with dilated branches."""

    def __init__(self, in_channels: int, skip_channels: int, src_channels: int, out_channels: int):
        super().__init__(in_channels, skip_channels, src_channels, out_channels)
        self.conv = nn.Sequential(
            DilatedReparamBlock(in_channels + skip_channels + src_channels, out_channels, KERNEL_SIZE, groups=1),
            nn.BatchNorm2d(out_channels), nn.ReLU(True))


class LargeKernelDecoder(nn.Module):
    """From encoder features to full-size hidden features; arguments as in `RecurrentDecoder`."""

    def __init__(self, feature_channels: tuple[int, int, int, int], decoder_channels: tuple[int, int, int, int]):
        super().__init__()
        f1, f2, f3, f4 = feature_channels
        d3, d2, d1, d0 = decoder_channels
        self.down = WaveletSource()
        self.decode4 = BottleneckBlock(f4)
        self.decode3 = FeatureUpsamplingBlock(f4, f3, d3)
        self.decode2 = FeatureUpsamplingBlock(d3, f2, d2)
        self.decode1 = LargeKernelUpsamplingBlock(d2, f1, 3, d1)
        self.decode0 = OutputBlock(d1, 3, d0)

    def forward(self, src: Tensor, f1: Tensor, f2: Tensor, f3: Tensor, f4: Tensor,
                r1: Tensor | None, r2: Tensor | None, r3: Tensor | None, r4: Tensor | None) -> list[Tensor]:
        """src (B, [T,] 3, H, W), features at strides 2..16, states -> [hid (B, [T,] d0, H, W), r1, r2, r3, r4]."""
        s0, T = fold_time(src)
        x, r4 = self.decode4(fold_time(f4)[0], T, r4)
        x, r3 = self.decode3(x, fold_time(f3)[0], T, r3)
        x, r2 = self.decode2(x, fold_time(f2)[0], T, r2)
        x, r1 = self.decode1(x, fold_time(f1)[0], self.down(s0), T, r1)
        return [unfold_time(self.decode0(x, s0), T), r1, r2, r3, r4]
