"""Everything of a composition that is not a person: what lies behind people, and things before them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .composing import Composing, Draw, frame_grid, lay_before, sample


class SceneLayer(Composing):
    """Pictures or generated backgrounds, cut-out things and outlines."""

    def _background(self, draw: Draw, B: int, camera: Tensor) -> Tensor:
        """(B, T, 3, S, S), mirrored at its borders so that no motion shows an edge."""
        config = self.config
        source = self._pictures(draw, B)
        zoom = 1 / draw.uniform((B, 1), 1, 1.8)
        centre = draw.uniform((B, 2), -1, 1) * (1 - zoom)
        zoom = zoom * torch.stack([draw.sign(B), torch.ones(B)], 1)
        grid = frame_grid(self._motion(draw, B, config.background_motion) @ camera, config.size, self.device)
        grid = grid * draw.move(zoom)[:, None, None, None] + draw.move(centre)[:, None, None, None]
        if source.size(-1) >= 4 * config.size:  # small frames would alias
            source = F.avg_pool2d(source.float(), source.size(-1) // (2 * config.size)).round().to(torch.uint8)
        return self._add_objects(draw, self._jitter(draw, sample(source, grid, 'reflection')), camera)

    def _pictures(self, draw: Draw, B: int) -> Tensor:
        """(B, 3, h, w) uint8, real or generated."""
        generated = draw.uniform(B) < self.config.generated
        if self.backgrounds is None:
            return self._generate(draw, B)
        pictures = self.backgrounds.pictures[draw.move(draw.weighted(B, self.backgrounds.weights))]
        new = torch.nonzero(generated).squeeze(1)
        if len(new):
            pictures[draw.move(new)] = self._generate(draw, len(new))
        return pictures

    def _generate(self, draw: Draw, B: int) -> Tensor:
        """(B, 3, side, side) uint8: a colour, and smooth to fine variations of random strength around it."""
        side = 2 * self.config.size if self.backgrounds is None else self.backgrounds.pictures.size(-1)
        picture = draw.move(draw.uniform((B, 3, 1, 1), 0.1, 0.9)).expand(B, 3, side, side)
        for cells in (2, 5, 12, 40):
            strength = draw.move(draw.uniform((B, 1, 1, 1)) ** 2 * 0.3)
            grain = F.interpolate(draw.noise((B, 3, cells, cells)), (side, side), mode='bicubic', align_corners=True)
            picture = picture + strength * grain
        return (picture.clamp(0, 1) * 255).round().to(torch.uint8)

    def _add_objects(self, draw: Draw, bgr: Tensor, camera: Tensor) -> Tensor:
        """One or two things that are not people. Without them a network learns that whatever stands out of the
        background is a person."""
        B, config = len(bgr), self.config
        there = draw.uniform(B) < config.objects
        for layer in (there, there & (draw.uniform(B) < config.another)):
            whole = draw.uniform(B) < (0 if self.objects is None else config.cut_outs)
            self._add_outlines(draw, bgr, camera, torch.nonzero(layer & ~whole).squeeze(1))
            if self.objects is not None:
                self._add_cut_outs(draw, bgr, camera, torch.nonzero(layer & whole).squeeze(1))
        return bgr

    def _add_cut_outs(self, draw: Draw, bgr: Tensor, camera: Tensor, there: Tensor) -> None:
        """Pictures of things on the clips `there`, from a fifth of the frame to larger than it. In place."""
        thing = self._cut_outs(draw, len(bgr), camera, there, (0.2, 1.3))
        if len(there):
            at = draw.move(there)
            bgr[at] = bgr[at].lerp(thing[:, :, :3], thing[:, :, 3:])

    def _cut_outs(self, draw: Draw, B: int, camera: Tensor, there: Tensor, sizes: tuple[float, float]) -> Tensor:
        """Things (b, T, 4, S, S) for the clips `there` of B, as large as these shares of the frame; most upright."""
        H, W = self.objects.levels[0].shape[-2:]
        picked = draw.integers(B, len(self.objects))
        left, top, right, bottom = self.objects.boxes[picked].T
        side = torch.maximum(right - left, bottom - top) / draw.uniform(B, *sizes)  # of the frame, in canvas pixels
        angle = draw.uniform(B, -math.pi, math.pi) * torch.where(draw.uniform(B) < 0.2, 1., 0.1)
        moving = self._place(draw, angle, torch.ones(B)) @ self._motion(draw, B, self.config.person_motion) @ camera
        zoom = torch.stack([side * draw.sign(B) / W, side / H], 1)
        centre = torch.stack([(left + right) / W - 1, (top + bottom) / H - 1], 1)
        bend = self._bend(draw, B)
        if not len(there):
            return torch.empty(0, self.config.seq_length, 4, self.config.size, self.config.size, device=self.device)
        grid = frame_grid(moving[there], self.config.size, self.device)
        self._add_bend(draw, grid, bend, there)
        grid = grid * draw.move(zoom[there])[:, None, None, None] + draw.move(centre[there])[:, None, None, None]
        thing = self._sample(self.objects, picked[there], grid, side[there] / self.config.size)
        return torch.cat([self._jitter(draw, thing[:, :, :3]), thing[:, :, 3:]], 2)

    def _things_in_front(self, draw: Draw, fgr: Tensor, pha: Tensor, bgr: Tensor,
                         camera: Tensor) -> tuple[Tensor, Tensor]:
        """Things before people: alpha is 0 on them, and the background takes their colour, so that compositing still
        gives the picture. Without them whatever touches a person belongs to him."""
        B, config = len(pha), self.config
        if self.objects is not None:
            there = torch.nonzero(draw.uniform(B) < config.in_front).squeeze(1)
            thing = self._cut_outs(draw, B, camera, there, (0.1, 0.6))
            if len(there):
                at = draw.move(there)
                pha[at], bgr[at] = lay_before(thing[:, :, :3], thing[:, :, 3:], fgr[at], pha[at], bgr[at])
        there = torch.nonzero(draw.uniform(B) < config.desk).squeeze(1)
        edge, slope = draw.uniform(B, 0.2, 0.9), draw.uniform(B, -0.15, 0.15)
        surface = self._pictures(draw, len(there)) if len(there) else None
        if surface is not None:
            at, S = draw.move(there), config.size
            grid = frame_grid(torch.eye(3).expand(len(there), config.seq_length, 3, 3), S, self.device)
            colours = self._jitter(draw, sample(surface, grid, 'reflection'))
            x, y = grid[:, :1, :, :, 0], grid[:, :1, :, :, 1]         # (b, 1, S, S)
            below = y - draw.move(edge[there]).view(-1, 1, 1, 1) - draw.move(slope[there]).view(-1, 1, 1, 1) * x
            alpha = (below * S / 2 + 0.5).clamp(0, 1)[:, :, None].expand(-1, config.seq_length, -1, -1, -1)
            pha[at], bgr[at] = lay_before(colours, alpha, fgr[at], pha[at], bgr[at])
        return pha, bgr

    def _add_outlines(self, draw: Draw, bgr: Tensor, camera: Tensor, there: Tensor) -> None:
        """Things with the outline of somebody, turned and bent, and the surface of another background, on the clips
        `there`. In place."""
        B = len(bgr)
        angle, scale = draw.uniform(B, -math.pi, math.pi), draw.uniform(B, 0.7, 2.2)
        moving = self._place(draw, angle, scale) @ self._motion(draw, B, self.config.person_motion) @ camera
        bend = self._bend(draw, B)
        outlines = self.photos.levels[1][draw.move(draw.integers(B, len(self.photos)))[draw.move(there)], 3:]
        surfaces = self._pictures(draw, len(there))
        if not len(there):
            return
        at = draw.move(there)
        grid = frame_grid(moving[there], self.config.size, self.device)
        self._add_bend(draw, grid, bend, there)
        surface = self._jitter(draw, sample(surfaces, grid, 'reflection'))
        bgr[at] = bgr[at].lerp(surface, sample(outlines, grid, 'zeros'))
