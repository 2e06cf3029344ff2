"""People of a composition: framed, moved, bent, with gaps between arm and body."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from . import colour
from .composing import Composing, Draw, cut_gap, frame_grid


class PeopleLayer(Composing):
    """One to three people from the bank."""

    def _people(self, draw: Draw, B: int, camera: Tensor) -> tuple[Tensor, Tensor]:
        """The first person, then the others behind: (B, T, 3, S, S) and (B, T, 1, S, S)."""
        config = self.config
        count = 1 + (draw.uniform(B)[:, None] > torch.tensor(config.people).cumsum(0)[:-1]).sum(1)
        framing = draw.uniform(B)                   # the people of one clip are about as large
        fgr = pha = None
        for k in range(len(config.people)):
            picked = draw.weighted(B, self.photos.weights)
            zoom, centre = self._window(draw, picked, framing, k)
            moving = self._turn(draw, ~self.photos.cut[picked]) @ self._motion(draw, B, config.person_motion) @ camera
            bend = self._bend(draw, B)
            gaps = self._gaps(draw, picked)
            there = torch.nonzero(count > k).squeeze(1)
            if not len(there):
                continue
            grid = frame_grid(moving[there], config.size, self.device)  # (b, T, S, S, 2)
            self._add_bend(draw, grid, bend, there)
            pixels = zoom[there, 1] * self.photos.levels[0].size(-2) / config.size  # of the canvas per frame pixel
            grid = grid * draw.move(zoom[there])[:, None, None, None] + draw.move(centre[there])[:, None, None, None]
            person = self._sample(self.photos, picked[there], grid, pixels)
            colours, alpha = self._dye(draw, self._jitter(draw, person[:, :, :3])), person[:, :, 3:]
            for gap in gaps:
                cut_gap(alpha, grid, gap[there])
            if fgr is None:
                fgr, pha = colours, alpha
                continue
            at = draw.move(there)
            front, behind = pha[at], alpha * (1 - pha[at])
            both = front + behind
            mixed = (fgr[at] * front + colours * behind) / both.clamp(min=1e-3)
            fgr[at], pha[at] = torch.where(both > 1e-3, mixed, fgr[at]), both
        pha[draw.move(draw.chosen(B, config.empty))] = 0
        return fgr.clamp_(0, 1), pha.clamp_(0, 1)

    def _dye(self, draw: Draw, clip: Tensor) -> Tensor:
        """Gives some people clothes of one colour, flat or with their folds; (b, T, 3, S, S).

        What people of a few photo sets wear is mostly dark, so a yellow jumper is cut out of its wearer.
        """
        b = len(clip)
        value, saturation = draw.uniform((b, 1), 0.25, 1), draw.uniform((b, 1)) ** 0.5
        hue = draw.uniform((b, 3))
        tint = value * (1 - saturation * (1 - hue / hue.amax(1, keepdim=True)))     # the brightest channel is `value`
        depth, amount = draw.uniform((b, 1), 0.2, 1), draw.uniform((b, 1), 0.6, 1)
        at = draw.chosen(b, self.config.dyed)
        if not len(at):
            return clip
        tint, depth, amount = (draw.move(x[at])[:, None, :, None, None] for x in (tint, depth, amount))
        clip, at = clip.clone(), draw.move(at)
        clip[at] = colour.dye(clip[at], tint, depth, amount)
        return clip

    def _window(self, draw: Draw, picked: Tensor, framing: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The part of the canvas that fills the frame, as (B, 2) scale and (B, 2) centre, canvas being -1..1.

        Where the photo's edge cuts a body, the frame ends above it, with room to move.
        """
        B, (H, W) = len(picked), self.photos.levels[0].shape[-2:]
        left, top, right, bottom = self.photos.boxes[picked].T
        cut, tall = self.photos.cut[picked], bottom - top
        config = self.config
        smallest = torch.where(cut, 2 * config.smallest, config.smallest)
        share = smallest * (config.largest / smallest) ** framing          # log-uniform
        share = share * (1 if k == 0 else draw.uniform(B, 0.65, 1.5))
        # a picture of less than a quarter of the frame's pixels would be a blur
        side = (tall / share).clamp(min=min(H, config.size) / 3.5)
        by_head = top - side * draw.uniform(B, -0.12, 0.35)
        small = (top + bottom - side) / 2 + draw.uniform(B, -0.6, 0.6) * (side - tall).abs()
        inside = top - 0.2 * side + draw.uniform(B) * (tall - 0.4 * side).clamp(min=0)
        anywhere = torch.where(side > tall, small, inside)
        start = torch.where(draw.uniform(B) < config.by_head, by_head, anywhere)
        start = torch.where(cut, torch.minimum(start, bottom - 1.06 * side), start)
        apart = draw.uniform(B, -0.3, 0.3) if k == 0 else draw.uniform(B, 0.2, 0.65) * draw.sign(B)
        x, y = (left + right) / 2 + apart * side, start + side / 2
        squeeze = draw.uniform(B, 0.9, 1.1) * draw.sign(B)  # a negative scale mirrors
        return torch.stack([side * squeeze / W, side / H], 1), torch.stack([2 * x / W - 1, 2 * y / H - 1], 1)

    def _turn(self, draw: Draw, whole: Tensor) -> Tensor:
        """(B, 1, 3, 3) rotation about the middle of the frame, by any angle for some of the `whole` people: others
        would show where their photo ends."""
        B = len(whole)
        angle = draw.uniform(B, -math.pi, math.pi) * ((draw.uniform(B) < self.config.turned) & whole)
        cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros(B), torch.ones(B)
        return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1).view(B, 1, 3, 3)

    def _bend(self, draw: Draw, B: int) -> tuple[Tensor, Tensor]:
        """Coarse displacements (B, 2, 4, 4) on the device, for `_add_bend`, and their swing (B, T), up to 5 % of the
        frame; 0 where nothing bends."""
        config = self.config
        coarse = draw.noise((B, 2, 4, 4))
        time = torch.linspace(0, 1, config.seq_length) if config.seq_length > 1 else torch.zeros(1)
        phase = 2 * math.pi * (draw.uniform((B, 1)) + draw.uniform((B, 1), 0.3, 1.5) * time)
        swing = draw.uniform((B, 1), 0, 0.05) * (draw.uniform((B, 1)) < config.bend)
        return coarse, phase.sin() * swing

    def _add_bend(self, draw: Draw, grid: Tensor, bend: tuple[Tensor, Tensor], there: Tensor) -> None:
        """Displace the grids (b, T, S, S, 2) of the clips `there`, in place; the smooth fields of those alone that
        bend are made large."""
        coarse, swing = bend
        bent = torch.nonzero((swing[there] != 0).any(1)).squeeze(1)
        if not len(bent):
            return
        fields = F.interpolate(coarse[draw.move(there[bent])], (self.config.size,) * 2, mode='bicubic',
                               align_corners=True).permute(0, 2, 3, 1)                  # (n, S, S, 2)
        grid[draw.move(bent)] += draw.move(swing[there[bent]])[..., None, None, None] * fields[:, None]

    def _gaps(self, draw: Draw, picked: Tensor) -> Tensor:
        """Up to two wedges per person for `cut_gap`, (2, B, 6): beside the middle, from the shoulders to the hips.

        In the photos arms hang close to the body: without these, whatever an arm encloses is filled.
        """
        B, (H, W) = len(picked), self.photos.levels[0].shape[-2:]
        left, top, right, bottom = self.photos.boxes[picked].T
        tall, sides = bottom - top, draw.sign(B)
        wedges = []
        for chance, side in ((self.config.gaps, sides), (self.config.gaps / 2, -sides)):
            there = draw.uniform(B) < chance
            x = (left + right) / 2 + side * draw.uniform(B, 0.1, 0.4) * (right - left)
            y = top + tall * draw.uniform(B, 0.2, 0.55)
            length, width = tall * draw.uniform(B, 0.04, 0.17), tall * draw.uniform(B, 0.006, 0.045) * there
            lean = -side * draw.uniform(B, -0.1, 0.4)
            wedges.append(torch.stack([2 * x / W - 1, 2 * y / H - 1, 2 * width / W, 2 * length / H, lean,
                                       (H / W) * torch.ones(B)], 1))
        return torch.stack(wedges)
