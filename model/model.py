"""MattingNetwork: encoder -> LR-ASPP -> recurrent decoder -> guided-filter refiner.

Paper: Robust High-Resolution Video Matting with Temporal Guidance, arXiv 2108.11515.
"""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from .deep_guided_filter import DeepGuidedFilterRefiner
from .encoder_registry import VARIANTS
from .fast_guided_filter import FastGuidedFilterRefiner
from .interface import INFERENCE_SIZE, MATTING
from .lraspp import LRASPP
from .reparameterize import is_merged
from .time_axis import fold_time, unfold_time

REFINERS: dict[str, Callable[[int], nn.Module]] = {
    'deep_guided_filter': DeepGuidedFilterRefiner,
    'fast_guided_filter': FastGuidedFilterRefiner,
}


class Projection(nn.Module):
    """1x1 convolution to the outputs."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, [T,] C, H, W) -> (B, [T,] C_out, H, W)."""
        x, T = fold_time(x)
        return unfold_time(self.conv(x), T)


class MattingNetwork(nn.Module):
    """Alpha and foreground for every frame of a video of people.

    Attribute names are the file format of published checkpoints. `inference_size` [px] is the long side of the small
    frames that its weights see people best at; the automatic downsample ratio aims at it.

    Args:
        variant: a name in `VARIANTS`.
        refiner: 'deep_guided_filter' (trained) or 'fast_guided_filter' (no weights).
        pretrained_backbone: start the encoder from its ImageNet weights: True downloads them from their publisher,
            a path names a checkpoint in the publisher's format.
    Raises:
        ValueError: for an unknown variant or refiner; the message lists the known ones. Also for ImageNet weights of
            another size; the message lists the first mismatching tensors.
    """

    interface = MATTING

    def __init__(self, variant: str = 'mobilenetv3', refiner: str = 'deep_guided_filter',
                 pretrained_backbone: bool | str | Path = False):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f'variant must be one of {", ".join(VARIANTS)}, got {variant!r}')
        if refiner not in REFINERS:
            raise ValueError(f'refiner must be one of {", ".join(REFINERS)}, got {refiner!r}')
        form = VARIANTS[variant]
        self.variant, self.refiner_name = variant, refiner
        self.inference_size = INFERENCE_SIZE    # weights may be made for another one
        self.backbone = form.spec.create(pretrained_backbone)
        self.aspp = LRASPP(form.spec.channels[3], form.aspp_channels)
        self.decoder = form.build_decoder()
        self.project_mat = Projection(form.decoder_channels[3], 4)
        self.project_seg = Projection(form.decoder_channels[3], 1)
        self.refiner = REFINERS[refiner](form.decoder_channels[3])

    def forward(self, src: Tensor,
                r1: Tensor | None = None, r2: Tensor | None = None,
                r3: Tensor | None = None, r4: Tensor | None = None,
                downsample_ratio: float = 1.0, segmentation_pass: bool = False) -> list[Tensor]:
        """One frame, or the frames of a clip in order.

        Args:
            src: (B, 3, H, W) frames or (B, T, 3, H, W) clips, RGB in [0, 1].
            r1, r2, r3, r4: states at strides 2, 4, 8, 16 as the previous call returned them, None before the first.
            downsample_ratio: in (0, 1]. Below 1 the network runs on floor(side * ratio) pixels and the refiner brings
                alpha and foreground back to full size; at 1 there is no refiner. Aim at a small size of 256 to 512.
            segmentation_pass: return segmentation logits of the small size instead (training).
        Returns:
            [fgr (B, [T,] 3, H, W), pha (B, [T,] 1, H, W), r1, r2, r3, r4], fgr and pha in [0, 1], or
            [seg (B, [T,] 1, h, w), r1, r2, r3, r4]. States belong to the last frame.
        Raises:
            ValueError: for a ratio outside (0, 1], a source of the wrong rank, or states of another size.
        """
        if segmentation_pass:
            hid, r1, r2, r3, r4 = self.hidden(downsample(src, downsample_ratio), r1, r2, r3, r4)
            return [self.project_seg(hid), r1, r2, r3, r4]
        fgr, pha, r1, r2, r3, r4 = self.unclamped(src, r1, r2, r3, r4, downsample_ratio)
        return [fgr.clamp(0., 1.), pha.clamp(0., 1.), r1, r2, r3, r4]

    def unclamped(self, src: Tensor, r1: Tensor | None, r2: Tensor | None, r3: Tensor | None, r4: Tensor | None,
                  downsample_ratio: float = 1.0) -> list[Tensor]:
        """As `forward`, but fgr and pha may be outside [0, 1], where a clamp would leave a loss without gradient."""
        base_src = downsample(src, downsample_ratio)
        hid, r1, r2, r3, r4 = self.hidden(base_src, r1, r2, r3, r4)
        fgr, pha = self.project_mat(hid).split([3, 1], dim=-3)
        if downsample_ratio != 1:
            fgr, pha = self.refiner(src, base_src, fgr, pha, hid)
        return [fgr + src, pha, r1, r2, r3, r4]

    def hidden(self, base_src: Tensor, r1: Tensor | None, r2: Tensor | None, r3: Tensor | None,
               r4: Tensor | None) -> list[Tensor]:
        """The network without heads: small source (B, [T,] 3, h, w) -> [hid (B, [T,] 16, h, w), r1, r2, r3, r4]."""
        f1, f2, f3, f4 = self.backbone(base_src)
        return self.decoder(base_src, f1, f2, f3, self.aspp(f4), r1, r2, r3, r4)

    def coefficients(self, base_src: Tensor, r1: Tensor | None = None, r2: Tensor | None = None,
                     r3: Tensor | None = None, r4: Tensor | None = None) -> list[Tensor]:
        """Everything that happens at the small size, for callers that apply the refiner's linear model themselves.

        Args:
            base_src: (B, [T,] 3, h, w), already downsampled.
        Returns:
            [coefficients (B, [T,] 8, h, w) as in `guided_filter`, r1, r2, r3, r4].
        """
        hid, r1, r2, r3, r4 = self.hidden(base_src, r1, r2, r3, r4)
        fgr, pha = self.project_mat(hid).split([3, 1], dim=-3)
        return [self.refiner.coefficients(base_src, fgr, pha, hid), r1, r2, r3, r4]

    def facts(self) -> dict[str, str]:
        """What files of this network say about it."""
        return {'family': 'matting', 'variant': self.variant, 'refiner': self.refiner_name,
                'form': 'merged' if is_merged(self) else 'train', 'inference_size': str(self.inference_size)}

    def describe(self) -> str:
        """One line for logs: what was built, in which form, and what the encoder adds about itself."""
        parameters = sum(p.numel() for p in self.parameters())
        parts = [self.variant, self.refiner_name, f'{parameters / 1e6:.2f} M parameters']
        if is_merged(self):
            parts.append('merged')
        if hasattr(self.backbone, 'describe'):
            parts.append(self.backbone.describe())
        return ', '.join(parts)


def downsample(src: Tensor, ratio: float) -> Tensor:
    """Bilinear, without antialiasing; sample positions follow the given ratio, not the ratio of the rounded sizes.

    Args:
        src: (B, [T,] C, H, W).
        ratio: in (0, 1]; 1 returns `src` itself.
    Returns:
        (B, [T,] C, floor(H * ratio), floor(W * ratio)).
    """
    if src.dim() != 4 and src.dim() != 5:
        raise ValueError(f'src must be (B, 3, H, W) or (B, T, 3, H, W), got shape {list(src.shape)}')
    if not 0 < ratio <= 1:
        raise ValueError(f'downsample_ratio must be in (0, 1], got {ratio}')
    if ratio == 1:
        return src
    if min(src.size(-2), src.size(-1)) * ratio < 1:
        raise ValueError(f'downsample_ratio {ratio} leaves no pixel of a {src.size(-1)}x{src.size(-2)} frame: '
                         'use a larger ratio')
    src, T = fold_time(src)
    src = F.interpolate(src, scale_factor=ratio, mode='bilinear', align_corners=False, recompute_scale_factor=False)
    return unfold_time(src, T)
