"""The refiner: full-resolution alpha and colours, computed anew where the coarse network predicts an error.

Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810, section 3.2. A patch is 4x4 pixels of the
output, 2x2 of the half-size maps (TorchScript knows no names for such numbers); its two convolutions at half and two at
full size see 13x13 pixels around it.

Patches are cut out and put back by index arithmetic on the device, in one way, for any batch and without a branch on
how many there are: no patch at all is an empty batch, and every exporter follows it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Refiner(nn.Module):
    """
    Args:
        kernel_size: of its convolutions: 3, or 1, which sees 2x2 pixels and is faster.
    Raises:
        ValueError: any other kernel size.
    """

    def __init__(self, kernel_size: int = 3):
        super().__init__()
        if kernel_size not in (1, 3):
            raise ValueError(f'refine_kernel_size must be 1 or 3, got {kernel_size}')
        self.kernel_size = kernel_size
        self.margin = kernel_size - 1            # what two convolutions without padding take away per side [px]
        self.conv1 = nn.Conv2d(36 + 6, 24, kernel_size, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.conv2 = nn.Conv2d(24, 16, kernel_size, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(16 + 6, 12, kernel_size, bias=False)
        self.bn3 = nn.BatchNorm2d(12)
        self.conv4 = nn.Conv2d(12, 4, kernel_size)

    def forward(self, src: Tensor, bgr: Tensor, pha: Tensor, residual: Tensor, err: Tensor, hid: Tensor, mode: str,
                sample_pixels: int, threshold: float, prevent_oversampling: bool) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            src, bgr: (B, 3, H, W), sides multiples of 4.
            pha, residual, err, hid: (B, 1, h, w), (B, 3, h, w), (B, 1, h, w), (B, 32, h, w) of the coarse network.
            mode, sample_pixels, threshold, prevent_oversampling: settings of `MattingRefine`.
        Returns:
            pha (B, 1, H, W) and residual (B, 3, H, W), neither clamped; ref (B, 1, H/4, W/4), 1 where refined.
        """
        H, W = src.shape[-2], src.shape[-1]
        fine = torch.cat([src, bgr], dim=1)
        coarse = torch.cat([hid, pha, residual], dim=1)
        half = torch.cat([resize(coarse, H // 2, W // 2), resize(fine, H // 2, W // 2)], dim=1)
        if mode == 'full':
            out = self.everywhere(half, fine)
            ref = torch.ones_like(err[:, :, :1, :1]).expand(-1, -1, H // 4, W // 4)
        else:
            ref = self.select(resize(err, H // 4, W // 4), mode, sample_pixels, threshold,
                              prevent_oversampling)
            out = resize(torch.cat([pha, residual], dim=1), H, W)
            patches = ref.flatten().nonzero().squeeze(1)
            if self.training and patches.size(0) == 0:       # batch statistics of nothing do not exist
                return out[:, :1], out[:, 1:], ref
            out = self.on_patches(half, fine, out, patches)
        return out[:, :1], out[:, 1:], ref

    def select(self, err: Tensor, mode: str, sample_pixels: int, threshold: float,
               prevent_oversampling: bool) -> Tensor:
        """Predicted error (B, 1, H/4, W/4) -> 1 for every patch to refine, else 0."""
        if mode == 'thresholding':
            return (err > threshold).to(err.dtype)
        if mode != 'sampling':
            raise ValueError(f'refine_mode must be sampling, thresholding or full, got {mode}')
        flat = err.flatten(1)
        count = sample_pixels // 16
        # as many places behind the map as are asked for, worse than any patch: a small picture has fewer
        padded = torch.cat([flat, torch.full_like(flat[:, :1], -1.).expand(-1, count)], dim=1)
        best = padded.topk(count, dim=1, sorted=False).indices
        ref = torch.zeros_like(padded).scatter(1, best, 1.)[:, :flat.size(1)]
        if prevent_oversampling:
            ref = ref * (flat > 0).to(ref.dtype)
        return ref.reshape(err.shape)

    def on_patches(self, half: Tensor, fine: Tensor, out: Tensor, patches: Tensor) -> Tensor:
        """`out` (B, 4, H, W) with the patches of these indices into (B, H/4, W/4) computed anew."""
        H, W = out.shape[-2] // 4, out.shape[-1] // 4
        x = crop(half, patches, H, W, 2, self.margin + self.margin // 2)
        x = self.at_half_size(x)
        x = F.interpolate(x, scale_factor=2., mode='nearest')
        x = torch.cat([x, crop(fine, patches, H, W, 4, self.margin)], dim=1)
        return replace(out, patches, self.at_full_size(x))

    def everywhere(self, half: Tensor, fine: Tensor) -> Tensor:
        """(B, 4, H, W) from the whole half-size and full-size maps."""
        x = self.at_half_size(pad(half, self.margin + self.margin // 2))
        x = F.interpolate(x, scale_factor=2., mode='nearest')
        return self.at_full_size(torch.cat([x, pad(fine, self.margin)], dim=1))

    def at_half_size(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))

    def at_full_size(self, x: Tensor) -> Tensor:
        return self.conv4(F.relu(self.bn3(self.conv3(x))))


def resize(x: Tensor, H: int, W: int) -> Tensor:
    return F.interpolate(x, size=(H, W), mode='bilinear', align_corners=False)


def pad(x: Tensor, margin: int) -> Tensor:
    return F.pad(x, (margin, margin, margin, margin))


def crop(x: Tensor, patches: Tensor, H: int, W: int, stride: int, margin: int) -> Tensor:
    """Windows of a map, black beyond its edges.

    Args:
        x: (B, C, H * stride, W * stride).
        patches: (P,) int64 indices into (B, H, W).
        margin: pixels around the patch on every side.
    Returns:
        (P, C, stride + 2 * margin, stride + 2 * margin), in channels-last layout.
    """
    side = stride + 2 * margin
    pixels = pad(x, margin).permute(0, 2, 3, 1)                     # a pixel's channels lie together
    height, width = H * stride + 2 * margin, W * stride + 2 * margin
    offsets = torch.arange(side, device=x.device)
    picture = patches // (H * W)
    row = (patches // W % H * stride).unsqueeze(1) + offsets        # (P, side)
    column = (patches % W * stride).unsqueeze(1) + offsets
    index = ((picture.unsqueeze(1) * height + row) * width).unsqueeze(2) + column.unsqueeze(1)   # (P, side, side)
    return pixels.flatten(0, 2)[index].permute(0, 3, 1, 2)


def replace(x: Tensor, patches: Tensor, values: Tensor) -> Tensor:
    """x (B, C, H, W) with values (P, C, 4, 4) in the patches of these indices into (B, H/4, W/4)."""
    B, C, H, W = x.shape
    tiles = x.reshape(B, C, H // 4, 4, W // 4, 4).permute(0, 2, 4, 1, 3, 5)
    tiles = tiles.reshape(-1, C, 4, 4).index_put([patches], values.to(x.dtype))
    tiles = tiles.reshape(B, H // 4, W // 4, C, 4, 4)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(B, C, H, W)
