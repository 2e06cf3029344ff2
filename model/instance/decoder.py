"""Decoder of the instance network: dense to stride 8, people apart at stride 8, details near their edges."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dense_decoder import up_layer
from .detail import BUDGET, INACTIVE, DetailLayers
from .fusion import fuse
from .instance_decoder import STRIDE, InstanceDecoder, alpha_of, logits_of
from .regions import REGION_WIDTH, dilate, keep_near, uncertain
from .temporal import ChangeHead, InstanceGRU, propagate

FUSION_WIDTHS_DRAWN = (26, 14)    # [px] in training
TRUST = 3.      # of masks at first, as a logit: 0.998 inside, so that details are looked for near their edges alone
SURE = 0.95     # in clips, alpha at stride 8 from here on is 1


class InstanceMattingDecoder(DetailLayers):
    """
    Args:
        channels: at strides 2, 4, 8, 16, 32.
        slots: most people at a time.
        video: carry a state from frame to frame.
        change: with the published head that sees changes; only for clips.
        bleed: interpolate the alpha of stride 4 as published, where the border of each region is pulled to 0; ours
            weighs by what was computed.
        begins: each step adds to the logits of the one before, and the first to those of the masks.
    """

    def __init__(self, channels: tuple[int, ...], slots: int, video: bool, change: bool, bleed: bool,
                 begins: bool = False):
        c2, c4, c8, c16, c32 = channels
        super().__init__((c2, c2, c4, c4))
        self.layer1, self.layer2 = up_layer(c32, c16, 2), up_layer(c16, c8, 3)
        self.refine_OS8 = InstanceDecoder(c8, c4, slots)
        self.os8_temp_module = InstanceGRU(c8) if video else None
        self.diff_module = ChangeHead(c4) if change else None
        self.trust = nn.Parameter(torch.tensor(TRUST)) if begins else None
        self.bleed, self.budget = bleed, BUDGET

    def forward(self, x: Tensor, shortcuts: list[Tensor], msk: Tensor, rec: Tensor | None = None,
                true_pha: Tensor | None = None, use_truth: bool = False) -> dict[str, Tensor]:
        """
        Args:
            x: (B*T, C, H/32, W/32) after the ASPP.
            shortcuts: (B*T, C, H/s, W/s) at strides s = 1, 2, 4, 8, 16.
            msk: (B, T, N, H, W) of 0 and 1, N the number of slots.
            rec: state before the first frame, or None.
            true_pha: (B, T, N, H, W), in training: the region of details may follow it.
            use_truth: let the region follow it everywhere, not only where the prediction is empty.
        Returns:
            As `InstanceMattingNetwork`.
        """
        B, T, N, H, W = msk.shape
        s1, s2, s4, s8, s16 = shortcuts
        x = self.layer2(self.layer1(x) + s16) + s8
        features, tokens, attention = self.refine_OS8.exchange(x.view(B, T, *x.shape[1:]), msk)
        enriched = self.refine_OS8.enrich(features)
        out = {}
        coarse = enriched
        if self.os8_temp_module is not None:
            carried, states = self.os8_temp_module(features, rec)
            coarse = self.refine_OS8.enrich(carried)
            out['states'] = states
        logits = logits_of(tokens, coarse)
        if self.trust is not None:
            inside = F.avg_pool2d(msk.flatten(0, 1), STRIDE).view_as(logits)
            logits = logits + self.trust * (2 * inside - 1)
        begun = F.interpolate(logits.flatten(0, 1), (H, W), mode='bilinear').view(B, T, N, H, W)
        os8 = alpha_of(begun)
        present = (msk.sum((1, 3, 4), keepdim=True) > 0).to(os8)                           # (B, 1, N, 1, 1)
        os8 = os8 * present
        keep = present
        if self.os8_temp_module is not None and not self.training:
            os8 = torch.where(os8 >= SURE, 1, os8)
            keep = keep_near(os8) * present
            os8 = os8 * keep
        region = self.region(os8, true_pha, use_truth) * keep
        where = (s1, s2, s4), enriched.flatten(0, 1), tokens.repeat_interleave(T, 0), region.flatten(0, 1)
        # A graph has no boxes: the same operations, everywhere.
        raw4, raw1 = self.detail_everywhere(*where) if torch.jit.is_tracing() else \
            self.detail_in_boxes(*where, self.budget)
        if self.trust is not None:
            raw4, raw1 = (added(raw.view(B * T, N, *raw.shape[-2:]), begun.flatten(0, 1)) for raw in (raw4, raw1))
        os4 = self.enlarge(raw4).view_as(os8) * keep
        os1 = torch.where(region > 0, alpha_of(raw1.view_as(os8)), 0)
        widths = None
        if self.training:       # of both steps, drawn for each map, as the detail branch must not rely on them
            widths = tuple(torch.randint(1, most + 1, (os8[..., 0, 0].numel(),)) for most in FUSION_WIDTHS_DRAWN)
        pha, w4, w1 = fuse(os8, os4, os1, region, widths)
        out |= {'pha': pha, 'pha_os8': os8, 'pha_os4': os4, 'pha_os1': os1, 'region': region, 'w4': w4, 'w1': w1,
                'logits_os8': logits, 'attention': torch.stack(attention, 1)}
        if self.diff_module is not None:
            forward, backward = self.diff_module.both_ways(enriched)
            out |= {'change_forward': forward, 'change_backward': backward}
            if not self.training:
                out['pha_propagated'] = propagate(pha, forward.sigmoid(), backward.sigmoid())
        return out

    def region(self, os8: Tensor, true_pha: Tensor | None, use_truth: bool) -> Tensor:
        """1 where the detail branch is to run."""
        guide = os8.detach()
        if true_pha is not None:
            empty = guide.sum() == 0
            guide = true_pha if use_truth else torch.where(empty, true_pha, guide)
        region = dilate(uncertain(guide), REGION_WIDTH)
        if self.training:
            # Every layer must see a site in every step, or ranks would wait for gradients: a square, where none is.
            H, W = region.shape[-2:]
            square = torch.zeros_like(region)
            square[..., H // 4:H // 4 + 50, W // 4:W // 4 + 50] = 1
            region = torch.where(region.sum() == 0, square, region)
        return region

    def enlarge(self, raw: Tensor) -> Tensor:
        """(B, N, H/4, W/4) raw values, `INACTIVE` where nothing was computed -> (B, N, H, W) alpha."""
        if self.bleed:
            alpha = alpha_of(F.interpolate(raw, scale_factor=4, mode='bilinear'))
            return alpha
        active = (raw > INACTIVE).to(raw)
        weight = F.interpolate(active, scale_factor=4, mode='bilinear')
        value = F.interpolate(raw * active, scale_factor=4, mode='bilinear') / weight.clamp(min=1e-3)
        return torch.where(weight > 0, alpha_of(value), 0)


def added(raw: Tensor, begun: Tensor) -> Tensor:
    """Raw values (B, N, h, w) added to logits (B, N, H, W) where there are any."""
    if begun.shape[-2:] != raw.shape[-2:]:
        begun = F.avg_pool2d(begun, 4)
    return torch.where(raw > INACTIVE, raw + begun, raw)
