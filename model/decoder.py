"""Recurrent decoder: four upsampling steps, a ConvGRU on half of the channels of each but the last.

Paper: Robust Video Matting, arXiv 2108.11515, section 4.2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .time_axis import fold_time, unfold_time


class ConvGRU(nn.Module):
    """Convolutional gated recurrent unit (arXiv 1511.06432): the only place that loops over time."""

    def __init__(self, channels: int, kernel_size: int = 3):
        super().__init__()
        padding = kernel_size // 2
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, kernel_size, padding=padding), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, kernel_size, padding=padding), nn.Tanh())

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """One frame: (B, C, H, W) and state (B, C, H, W) -> new state, which is also the output."""
        reset, update = self.ih(torch.cat([x, h], dim=1)).chunk(2, dim=1)
        candidate = self.hh(torch.cat([x, reset * h], dim=1))
        return (1 - update) * h + update * candidate

    def forward(self, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, [T,] C, H, W) and the state before it -> output of the same shape and the state after the last frame.

        The state is None before the first frame; a state with a single value per channel or fewer ((1, 1, 1, 1) zeros,
        the convention of the published ONNX files) is expanded.

        Raises:
            ValueError: if the state belongs to another batch or frame size.
        """
        frame_shape = [x.size(0), x.size(-3), x.size(-2), x.size(-1)]
        if h is None:
            h = torch.zeros(frame_shape, dtype=x.dtype, device=x.device)
        elif h.numel() == 1:
            h = h.reshape(1, 1, 1, 1).expand(frame_shape)
        elif list(h.shape) != frame_shape:
            raise ValueError(f'recurrent state has shape {list(h.shape)}, expected {frame_shape} for this input: '
                             'pass None for every state when batch, frame size or downsample_ratio changes')
        if x.dim() == 4:
            h = self.step(x, h)
            return h, h
        outputs: list[Tensor] = []
        for frame in x.unbind(dim=1):
            h = self.step(frame, h)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h

    def on_half(self, x: Tensor, T: int, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """Folded (B*T, 2C, H, W): the first half of the channels passes by, the second goes through time."""
        a, b = x.chunk(2, dim=1)
        b, h = self(unfold_time(b, T), h)
        b = fold_time(b)[0]
        if x.is_contiguous(memory_format=torch.channels_last):    # stacking frames has undone it
            b = b.contiguous(memory_format=torch.channels_last)
        return torch.cat([a, b], dim=1), h


class BottleneckBlock(nn.Module):
    """Recurrence at stride 16, without a convolution of its own."""

    def __init__(self, channels: int):
        super().__init__()
        self.gru = ConvGRU(channels // 2)

    def forward(self, x: Tensor, T: int, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B*T, C, H, W) and its state -> the same, and the state after the last frame."""
        return self.gru.on_half(x, T, h)


class UpsamplingBlock(nn.Module):
    """Upsample by 2, join the encoder feature and the pooled source of that level, convolve, recur."""

    def __init__(self, in_channels: int, skip_channels: int, src_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels + skip_channels + src_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(True))
        self.gru = ConvGRU(out_channels // 2)

    def forward(self, x: Tensor, f: Tensor, s: Tensor, T: int, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """To the size of `f` and of the small source, then half of the channels recur."""
        x = upsample_to(x, s)
        return self.gru.on_half(self.conv(torch.cat([x, f, s], dim=1)), T, h)


class OutputBlock(nn.Module):
    """Upsample to the source's size and convolve twice; no recurrence."""

    def __init__(self, in_channels: int, src_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels + src_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(True))

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """To full size, with the source."""
        return self.conv(torch.cat([upsample_to(x, s), s], dim=1))


class RecurrentDecoder(nn.Module):
    """From encoder features to full-size hidden features.

    Args:
        feature_channels: channels of f1..f4 (f4 after LR-ASPP).
        decoder_channels: output channels at strides 8, 4, 2 and 1. All but the last must be even, and f4 too.
    """

    def __init__(self, feature_channels: tuple[int, int, int, int], decoder_channels: tuple[int, int, int, int]):
        super().__init__()
        f1, f2, f3, f4 = feature_channels
        d3, d2, d1, d0 = decoder_channels
        self.decode4 = BottleneckBlock(f4)
        self.decode3 = UpsamplingBlock(f4, f3, 3, d3)
        self.decode2 = UpsamplingBlock(d3, f2, 3, d2)
        self.decode1 = UpsamplingBlock(d2, f1, 3, d1)
        self.decode0 = OutputBlock(d1, 3, d0)

    def forward(self, src: Tensor, f1: Tensor, f2: Tensor, f3: Tensor, f4: Tensor,
                r1: Tensor | None, r2: Tensor | None, r3: Tensor | None, r4: Tensor | None) -> list[Tensor]:
        """src (B, [T,] 3, H, W), features at strides 2..16, states -> [hid (B, [T,] d0, H, W), r1, r2, r3, r4]."""
        s0, T = fold_time(src)
        s1 = pool_half(s0)
        x, r2, r3, r4 = self.to_stride_4(s1, f2, f3, f4, T, r2, r3, r4)
        x, r1 = self.decode1(x, fold_time(f1)[0], s1, T, r1)
        return [unfold_time(self.decode0(x, s0), T), r1, r2, r3, r4]

    def to_stride_4(self, s1: Tensor, f2: Tensor, f3: Tensor, f4: Tensor, T: int, r2: Tensor | None, r3: Tensor | None,
                    r4: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The first three steps: source at stride 2 (B*T, 3, H/2, W/2) -> (B*T, d2, H/4, W/4), r2, r3, r4."""
        s2 = pool_half(s1)
        s3 = pool_half(s2)
        x, r4 = self.decode4(fold_time(f4)[0], T, r4)
        x, r3 = self.decode3(x, fold_time(f3)[0], s3, T, r3)
        x, r2 = self.decode2(x, fold_time(f2)[0], s2, T, r2)
        return x, r2, r3, r4


def pool_half(x: Tensor) -> Tensor:
    """2x2 mean; a partial window at an odd edge is divided by its real number of pixels. Sides become ceil(n / 2)."""
    return F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)


def upsample_to(x: Tensor, s: Tensor) -> Tensor:
    """Twice the size, bilinear, cropped at the bottom and right to the size of s."""
    x = F.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)
    return x[:, :, :s.size(2), :s.size(3)]
