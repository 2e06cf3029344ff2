"""MattingBase, the coarse network, and MattingRefine, which sharpens it at full size.

Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810, section 3. The foreground is never predicted:
the network predicts what to add to the frame, which can be enlarged without blurring colours.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from ..interface import INFERENCE_SIZE, PLATE_BASE, PLATE_REFINE
from .backbones import BACKBONES, GRIDS, IN_CHANNELS
from .refiner import Refiner, resize

OUTPUTS = 1 + 3 + 1 + 32        # alpha, residual of the colours, error, hidden
ASPP_CHANNELS = 256
REFINE_MODES = ('sampling', 'thresholding', 'full')


class Decoder(nn.Module):
    """Enlarge to the next feature's size, join, convolve: four times, the last time with the input itself."""

    def __init__(self, channels: tuple[int, int, int, int], in_channels: int, out_channels: int):
        super().__init__()
        f1, f2, f3, _ = channels
        self.conv1 = nn.Conv2d(ASPP_CHANNELS + f3, 128, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(128)
        self.conv2 = nn.Conv2d(128 + f2, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64 + f1, 48, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(48)
        self.conv4 = nn.Conv2d(48 + in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor, f3: Tensor, f2: Tensor, f1: Tensor, f0: Tensor) -> Tensor:
        """Deepest feature, those at strides 8, 4, 2, and the input (B, 6, H, W) -> (B, out_channels, H, W)."""
        return self.conv4(self.features(x, f3, f2, f1, f0))

    def features(self, x: Tensor, f3: Tensor, f2: Tensor, f1: Tensor, f0: Tensor) -> Tensor:
        """What the last convolution sees."""
        x = F.relu(self.bn1(self.conv1(join(x, f3))))
        x = F.relu(self.bn2(self.conv2(join(x, f2))))
        x = F.relu(self.bn3(self.conv3(join(x, f1))))
        return join(x, f0)


def join(x: Tensor, skip: Tensor) -> Tensor:
    x = F.interpolate(x, size=skip.shape[-2:], mode='bilinear', align_corners=False)
    return torch.cat([x, skip], dim=1)


class MattingBase(nn.Module):
    """The coarse network. Takes any size.

    In train mode the ASPP's pooled branch normalises over the batch alone: it needs two pictures or more.

    Args:
        backbone: a name in `BACKBONES`.
        pretrained_backbone: start the encoder from ImageNet weights: True, or a path.
    Raises:
        ValueError: unknown backbone.
    """

    interface = PLATE_BASE

    def __init__(self, backbone: str, pretrained_backbone: bool | str | Path = False):
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f'backbone must be one of {", ".join(BACKBONES)}, got {backbone!r}')
        spec = BACKBONES[backbone]
        self.variant, self.inference_size = backbone, INFERENCE_SIZE
        self.grid = GRIDS.get(backbone, 1)
        self.backbone = spec.create(pretrained_backbone, IN_CHANNELS, normalize=False)
        self.aspp = ASPP(spec.channels[3], [3, 6, 9], ASPP_CHANNELS)
        self.decoder = Decoder(spec.channels, IN_CHANNELS, OUTPUTS)

    def forward(self, src: Tensor, bgr: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """
        Args:
            src: (B, 3, H, W) frames, RGB in [0, 1].
            bgr: (B, 3, H, W) the same scene without what is foreground.
        Returns:
            pha (B, 1, H, W), fgr (B, 3, H, W), err (B, 1, H, W) how wrong alpha may be here, all in [0, 1],
            hid (B, 32, H, W) at least 0.
        Raises:
            ValueError: shapes differ or are no frames.
        """
        pha, residual, err, hid = self.coarse(src, bgr)
        return pha, (residual + src).clamp(0, 1), err, hid

    def facts(self) -> dict[str, str]:
        """What files of this network say about it."""
        return {'family': 'background_base', 'variant': self.variant, 'inference_size': str(self.inference_size)}

    def describe(self) -> str:
        """One line for logs."""
        kind = f'refiner of kernel {self.refiner.kernel_size}' if hasattr(self, 'refiner') else 'coarse alone'
        parameters = sum(p.numel() for p in self.parameters())
        return f'{self.variant} with a plate, {kind}, {parameters / 1e6:.2f} M parameters'

    def coarse(self, src: Tensor, bgr: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `forward`, but the colours are still the residual, which is not bounded."""
        if src.dim() != 4 or src.shape != bgr.shape:
            raise ValueError(f'src and bgr must both be (B, 3, H, W), got {list(src.shape)} and {list(bgr.shape)}')
        H, W = src.shape[-2], src.shape[-1]
        x = fill_up(torch.cat([src, bgr], dim=1), self.grid)
        f1, f2, f3, f4 = self.backbone(x)
        x = self.decoder(self.aspp(f4), f3, f2, f1, x)[:, :, :H, :W]
        pha, residual, err, hid = x.split([1, 3, 1, 32], dim=1)
        return pha.clamp(0, 1), residual, err.clamp(0, 1), F.relu(hid)


class MattingRefine(MattingBase):
    """The coarse network on small frames, and a refiner for the 4x4 patches where it predicts the largest errors.

    Settings may be changed at any time, in TorchScript files too; `refine_kernel_size` is part of the weights.

    Args:
        backbone, pretrained_backbone: as in `MattingBase`.
        backbone_scale: share of the sides that the coarse network sees, in (0, 1]. Above one half it sees enough: its
            answer is enlarged, nothing is refined.
        refine_mode: 'sampling' refines a fixed number of pixels per picture, 'thresholding' those with an error above
            `refine_threshold`, 'full' all.
        refine_sample_pixels: of 'sampling', at most; a picture with fewer is refined everywhere.
        refine_kernel_size: 3, or 1, which is faster.
        refine_prevent_oversampling: in 'sampling' leave patches without any predicted error alone.
    Raises:
        ValueError: a setting is out of range.
    """

    interface = PLATE_REFINE
    settings = ('backbone_scale', 'refine_mode', 'refine_sample_pixels', 'refine_threshold',
                'refine_prevent_oversampling')      # may be changed after construction, and in TorchScript files

    def __init__(self, backbone: str, backbone_scale: float = 0.25, refine_mode: str = 'sampling',
                 refine_sample_pixels: int = 80_000, refine_threshold: float = 0.1, refine_kernel_size: int = 3,
                 refine_prevent_oversampling: bool = True, pretrained_backbone: bool | str | Path = False):
        super().__init__(backbone, pretrained_backbone)
        if not 0 < backbone_scale <= 1:
            raise ValueError(f'backbone_scale must be in (0, 1], got {backbone_scale}')
        if refine_mode not in REFINE_MODES:
            raise ValueError(f'refine_mode must be one of {", ".join(REFINE_MODES)}, got {refine_mode!r}')
        if refine_sample_pixels < 0 or not refine_threshold >= 0:
            raise ValueError('refine_sample_pixels and refine_threshold must be at least 0, got '
                             f'{refine_sample_pixels} and {refine_threshold}')
        self.backbone_scale = float(backbone_scale)
        self.refine_mode = refine_mode
        self.refine_sample_pixels = refine_sample_pixels
        self.refine_threshold = float(refine_threshold)
        self.refine_prevent_oversampling = refine_prevent_oversampling
        self.refiner = Refiner(refine_kernel_size)

    def forward(self, src: Tensor, bgr: Tensor, downsample_ratio: float | None = None,
                ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """
        Args:
            src, bgr: as in `MattingBase`, of any size: sides are filled up to multiples of 4 by repeating the edge.
            downsample_ratio: instead of `backbone_scale`.
        Returns:
            pha (B, 1, H, W), fgr (B, 3, H, W); of the coarse network pha_sm (B, 1, h, w), fgr_sm (B, 3, h, w) and
            err_sm (B, 1, h, w) with h = floor(H * backbone_scale) of the filled sides; ref_sm (B, 1, H/4, W/4), 1 where
            a patch was refined, H/4 rounded up. All in [0, 1].
        """
        scale = self.backbone_scale if downsample_ratio is None else downsample_ratio
        if not 0 < scale <= 1:
            raise ValueError(f'downsample_ratio must be in (0, 1], got {scale}')
        H, W = src.shape[-2], src.shape[-1]
        src, bgr = fill_up(src, 4), fill_up(bgr, 4)
        src_sm, bgr_sm = shrink(src, scale), shrink(bgr, scale)
        pha_sm, residual_sm, err_sm, hid_sm = self.coarse(src_sm, bgr_sm)
        if scale > 0.5:
            h, w = src.shape[-2], src.shape[-1]
            pha, residual = resize(pha_sm, h, w), resize(residual_sm, h, w)
            ref_sm = torch.zeros_like(resize(pha_sm, h // 4, w // 4))
        else:
            pha, residual, ref_sm = self.refiner(
                src, bgr, pha_sm, residual_sm, err_sm, hid_sm, self.refine_mode, self.refine_sample_pixels,
                self.refine_threshold, self.refine_prevent_oversampling)
        pha = pha.clamp(0, 1)[:, :, :H, :W]
        fgr = (residual + src).clamp(0, 1)[:, :, :H, :W]
        return pha, fgr, pha_sm, (residual_sm + src_sm).clamp(0, 1), err_sm, ref_sm

    def facts(self) -> dict[str, str]:
        """What files of this network say about it."""
        kernel_size = str(self.refiner.kernel_size)
        return super().facts() | {'family': 'background', 'refine_kernel_size': kernel_size}


def shrink(x: Tensor, scale: float) -> Tensor:
    """(B, C, H, W) -> (B, C, floor(H * scale), floor(W * scale)); sample positions follow the rounded sizes."""
    return F.interpolate(x, scale_factor=scale, mode='bilinear', align_corners=False, recompute_scale_factor=True)


def fill_up(x: Tensor, grid: int) -> Tensor:
    """(B, C, H, W) -> both sides a multiple of `grid`, the last row and column repeated.

    Always by the same index arithmetic, whatever the size: a branch would be frozen into an exported file.
    """
    H, W = x.shape[-2], x.shape[-1]
    rows = torch.arange((H + grid - 1) // grid * grid, device=x.device).clamp(max=H - 1)
    columns = torch.arange((W + grid - 1) // grid * grid, device=x.device).clamp(max=W - 1)
    return x.index_select(2, rows).index_select(3, columns)
