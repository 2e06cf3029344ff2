"""The detail branch: alpha at strides 4 and 1, for each person, only near that person's uncertain pixels.

The released network needs a CUDA library of sparse convolutions for this. Here each region is cut out as a box and
computed by masked dense operations (`masked.py`), which is exact. Boxes that together exceed the budget are computed in
groups, and a box that alone exceeds it in tiles, whose borders overlap by more than the branch can see.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .attention import FeedForward
from .masked import ActiveBatchNorm2d, InverseConv2d, MaskedConv2d, MaskedSequential, coarser
from .regions import bounds

SLOPE = 0.2
INACTIVE = -99.     # of the raw maps where nothing was computed
BUDGET = 1 << 20    # pixels computed at a time in evaluation: about 1 GB at full width
TILE = 768          # [px] side of the tiles of a box beyond the budget
HALO = 64           # [px] overlap on each side: the branch sees fewer than 48
CELL = 8            # [px] boxes are made of whole cells of stride 8


@dataclass(frozen=True)
class Box:
    """A rectangle of one map [px], multiples of 8, ends exclusive; `inner` is what is kept of the result."""

    map: int
    top: int
    bottom: int
    left: int
    right: int
    inner: tuple[int, int, int, int]

    @property
    def area(self) -> int:
        """[px]."""
        return (self.bottom - self.top) * (self.right - self.left)


def boxes_of(region: Tensor) -> list[Box]:
    """The boxes that hold every site, at every stride, that belongs to the ones of (K, H, W)."""
    H, W = region.shape[-2:]
    boxes = []
    for index, found in enumerate(bounds(region)):
        if found is None:
            continue
        top, bottom, left, right = found
        # The last coarse site of a region stands at the end of its last cell, that is in the next one.
        edges = (top // CELL * CELL, min((bottom - 1 + CELL - 1) // CELL * CELL + CELL, H),
                 left // CELL * CELL, min((right - 1 + CELL - 1) // CELL * CELL + CELL, W))
        boxes.append(Box(index, *edges, edges))
    return boxes


def tiles_of(box: Box, height: int, width: int) -> list[Box]:
    """Overlapping parts of a box that together keep all of it; (height, width) [px] of the map."""
    tiles = []
    for top in range(box.top, box.bottom, TILE):
        for left in range(box.left, box.right, TILE):
            bottom, right = min(top + TILE, box.bottom), min(left + TILE, box.right)
            tiles.append(Box(box.map, max(top - HALO, 0), min(bottom + HALO, height),
                             max(left - HALO, 0), min(right + HALO, width), (top, bottom, left, right)))
    return tiles


def groups_of(boxes: list[Box], budget: int) -> list[list[Box]]:
    """Boxes that are computed together: similar ones side by side."""
    groups: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: (box.bottom - box.top, box.right - box.left)):
        group = [*groups[-1], box] if groups else [box]
        height, width = size_of(group)
        if groups and len(group) * height * width <= budget:
            groups[-1] = group
        else:
            groups.append([box])
    return groups


def size_of(group: list[Box]) -> tuple[int, int]:
    """(height, width) [px] that holds any of the boxes."""
    return max(box.bottom - box.top for box in group), max(box.right - box.left for box in group)


def of_one_size(group: list[Box], height: int, width: int) -> list[Box]:
    """The boxes, each enlarged inside its map of (height, width) [px] to the size that holds any of them.

    Zeros behind a box would not do: at the end of the map they would make room for coarse sites that do not exist.
    """
    h, w = size_of(group)
    tops, lefts = ([min(start, end) for start in starts] for starts, end in
                   (([box.top for box in group], height - h), ([box.left for box in group], width - w)))
    return [replace(box, top=top, bottom=top + h, left=left, right=left + w)
            for box, top, left in zip(group, tops, lefts)]


class DetailLayers(nn.Module):
    """The layers of the branch; attribute names are a file format, so the decoder owns these layers directly.

    Args:
        channels: of the shortcuts at strides 1, 2, 4; and of the features at stride 8.
    """

    def __init__(self, channels: tuple[int, int, int, int]):
        super().__init__()
        c1, c2, c4, c8 = channels
        leaky = nn.LeakyReLU(SLOPE)
        self.inst_spec_layer = FeedForward(c8, 0.1)
        self.layer3 = MaskedSequential(InverseConv2d(c8, c4), ActiveBatchNorm2d(c4), leaky, MaskedConv2d(c4, c4, 3))
        self.guidance_layer = MaskedSequential(MaskedConv2d(2 * c4, c4, 1), ActiveBatchNorm2d(c4), leaky,
                                               MaskedConv2d(c4, c4, 3, bias=True), nn.Sigmoid())
        self.layer3_smooth = smooth(c4, c4)
        self.layer4 = MaskedSequential(InverseConv2d(c4, c2), ActiveBatchNorm2d(c2), leaky, MaskedConv2d(c2, c2, 1))
        self.layer4_smooth = smooth(2 * c2, c2)
        self.layer5 = MaskedSequential(InverseConv2d(c2, c1), ActiveBatchNorm2d(c1), leaky, MaskedConv2d(c1, c1, 3))
        self.layer5_smooth = smooth(2 * c1, c1)
        self.refine_OS4, self.refine_OS1 = head(c4, c2), head(c1, c1)

    def detail(self, features: tuple[Tensor, Tensor, Tensor, Tensor], tokens: Tensor,
               region: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            features: (K, C, H/s, W/s) at strides s = 1, 2, 4, 8.
            tokens: (K, C8), one for each map.
            region: (K, 1, H, W) of 0 and 1.
        Returns:
            Raw maps (K, 1, H/4, W/4) and (K, 1, H, W), `INACTIVE` outside the region.
        """
        x1, x2, x4, x8 = features
        A1 = region
        A2 = coarser(A1)
        A4 = coarser(A2)
        A8 = coarser(A4)
        own = (x8 * tokens[:, :, None, None]).permute(0, 2, 3, 1)                          # (K, H/8, W/8, C)
        x = self.inst_spec_layer(own).permute(0, 3, 1, 2) * A8
        x = self.layer3(x, A4)
        x4 = x4 * A4
        guidance = self.guidance_layer(torch.cat([x4, x], 1), A4)
        x = self.layer3_smooth(x4 * guidance, A4)
        os4 = self.refine_OS4(x, A4)
        x = self.layer4(x, A2)
        x = self.layer4_smooth(torch.cat([x2 * A2, x], 1), A2)
        x = self.layer5(x, A1)
        x = self.layer5_smooth(torch.cat([x1 * A1, x], 1), A1)
        os1 = self.refine_OS1(x, A1)
        return os4.masked_fill(A4 == 0, INACTIVE), os1.masked_fill(A1 == 0, INACTIVE)

    def detail_everywhere(self, shortcuts: tuple[Tensor, Tensor, Tensor], enriched: Tensor, tokens: Tensor,
                          region: Tensor) -> tuple[Tensor, Tensor]:
        """As `detail_in_boxes`, in one piece: for graphs of tensors, at the price of every pixel for everybody."""
        N, (H, W) = tokens.size(1), region.shape[-2:]
        features = [x[:, None].expand(-1, N, -1, -1, -1).flatten(0, 1) for x in (*shortcuts, enriched)]
        os4, os1 = self.detail(features, tokens.flatten(0, 1), region.reshape(-1, 1, H, W))
        return os4.reshape(-1, N, H // 4, W // 4), os1.reshape(-1, N, H, W)

    def detail_in_boxes(self, shortcuts: tuple[Tensor, Tensor, Tensor], enriched: Tensor, tokens: Tensor,
                        region: Tensor, budget: int = BUDGET) -> tuple[Tensor, Tensor]:
        """As `detail`, where it is needed.

        Args:
            shortcuts: (B, C, H/s, W/s) at strides s = 1, 2, 4.
            enriched: (B, C, H/8, W/8).
            tokens: (B, N, C).
            region: (B, N, H, W) of 0 and 1.
            budget: pixels at a time in evaluation; in training everything is one group, whose sites are one batch.
        Returns:
            Raw maps (B, N, H/4, W/4) and (B, N, H, W).
        """
        B, N, H, W = region.shape
        flat = region.reshape(B * N, H, W)
        os4 = enriched.new_full((B * N, H // 4, W // 4), INACTIVE)
        os1 = enriched.new_full((B * N, H, W), INACTIVE)
        boxes = boxes_of(flat)
        if self.training:
            groups = [boxes] if boxes else []
        else:
            parts = [part for box in boxes
                     for part in (tiles_of(box, H, W) if box.area > budget else [box])]
            groups = groups_of(parts, budget)
        for group in groups:
            group = of_one_size(group, H, W)
            cut = [torch.stack([cut_out(x[box.map // N], box, stride) for box in group])
                   for x, stride in zip((*shortcuts, enriched), (1, 2, 4, 8))]
            inside = torch.stack([cut_out(flat[box.map][None], box, 1) for box in group])
            which = torch.tensor([box.map for box in group], device=tokens.device)
            raw4, raw1 = self.detail(cut, tokens.flatten(0, 1)[which], inside)
            for index, box in enumerate(group):
                put_back(os4, raw4[index, 0], box, 4)
                put_back(os1, raw1[index, 0], box, 1)
        return os4.reshape(B, N, H // 4, W // 4), os1.reshape(B, N, H, W)


def smooth(in_channels: int, out_channels: int) -> MaskedSequential:
    """A 1x1 convolution of active sites."""
    return MaskedSequential(MaskedConv2d(in_channels, out_channels, 1, bias=True), nn.ReLU(),
                            ActiveBatchNorm2d(out_channels))


def head(in_channels: int, channels: int) -> MaskedSequential:
    """From features of active sites to one logit."""
    return MaskedSequential(MaskedConv2d(in_channels, channels, 3), ActiveBatchNorm2d(channels), nn.LeakyReLU(SLOPE),
                            MaskedConv2d(channels, 1, 3, bias=True))


def cut_out(x: Tensor, box: Box, stride: int) -> Tensor:
    """The box of (C, H/stride, W/stride)."""
    top, bottom, left, right = (edge // stride for edge in (box.top, box.bottom, box.left, box.right))
    return x[:, top:bottom, left:right]


def put_back(target: Tensor, raw: Tensor, box: Box, stride: int) -> None:
    """What the box keeps of a raw (h, w) result, into its map of (K, H/stride, W/stride)."""
    top, bottom, left, right = (edge // stride for edge in box.inner)
    y, x = box.top // stride, box.left // stride
    target[box.map, top:bottom, left:right] = raw[top - y:bottom - y, left - x:right - x]
