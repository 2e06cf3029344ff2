"""Clips of moving people made from photos, on the device: batches of fgr, pha and bgr faster than loaders can read.

One to three people from the bank, framed as by a web camera or from head to foot, move, bend and change colour over
real or generated backgrounds. Parameters are drawn on the CPU for the whole batch, a few numbers per clip; every pixel
is computed on the device in batches: the only loops are over people (3) and picture levels (3).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import colour
from .draws import item_draws, torch_generator
from .easing import CURVES, linear, progress
from .jpeg import jpeg
from .photo_bank import Backgrounds, PhotoBank
from .picture_tone import draw_tone, tone

EASINGS = [linear] * 8 + CURVES  # linear one time in five


@dataclass(frozen=True)
class ComposerConfig:
    """Size of the clips and probability of each effect, drawn per clip unless said otherwise."""

    size: int = 256
    seq_length: int = 8
    people: tuple[float, ...] = (0.62, 0.2, 0.1, 0.05, 0.03)  # probability of one, two, ... people
    empty: float = 0.06                          # nobody at all
    smallest: float = 0.15                       # body height, share of the frame's; of photos that show no legs twice
    largest: float = 4.5                         # that much: a face as large as the frame; drawn log-uniformly
    by_head: float = 0.65                        # framed by the head, else anywhere: torsos, hands, legs
    person_motion: float = 0.9                   # per person
    turned: float = 0.1                          # per person: by any angle, as raised arms and lying people are
    bend: float = 0.5                            # per person: a smooth field that swings, limbs are not rigid
    gaps: float = 0.2                            # per person: the background shows through, as between arm and body
    camera_motion: float = 0.3                   # people and background together
    background_motion: float = 0.3
    generated: float = 0.1                       # of the backgrounds
    objects: float = 0.5                         # something that is not a person, behind people; of those
    another: float = 0.4                         # a second such thing
    cut_outs: float = 0.7                        # pictures of things where there are any, else an outline and a surface
    in_front: float = 0.07                       # something that is not a person before them: a cup, a microphone
    desk: float = 0.06                           # a flat edge from side to side before them: a table, a sill
    color_jitter: float = 0.5                    # per person, and background
    tone: float = 0.6                            # exposure, gamma and white balance of the whole picture
    defocus: float = 0.3                         # background only
    blur: float = 0.05                           # people and background
    noise: float = 0.15
    grayscale: float = 0.02
    pause: float = 0.03
    compressed: float = 0.2                      # the composition, as by JPEG
    aspect: float = 0.5                          # per batch: a part of 16:9, 4:3, 3:4 or 9:16 instead of the square

    def __post_init__(self):
        if self.size < 1 or self.seq_length < 1:
            raise ValueError(f'size and seq_length must be at least 1, got {self.size} and {self.seq_length}')
        if not self.people or abs(sum(self.people) - 1) > 1e-6:
            raise ValueError(f'people must be probabilities that sum to 1, got {self.people}')


class PhotoComposer:
    """Makes batches; the batch of (seed, epoch, index) is always the same on the same kind of device.

    Args:
        photos: cut-out people. backgrounds: None: all are generated.
        objects: cut-out things that are not people, or None.
        device: where the pictures are kept and the batches are made.
    """

    def __init__(self, photos: PhotoBank, backgrounds: Backgrounds | None = None, config: ComposerConfig | None = None,
                 seed: int = 0, device: torch.device | str = 'cpu', objects: PhotoBank | None = None):
        self.config = ComposerConfig() if config is None else config
        self.objects = None if objects is None else objects.to(device)
        self.photos, self.seed, self.device = photos.to(device), seed, torch.device(device)
        self.backgrounds = None if backgrounds is None else backgrounds.to(device)
        self.eased = torch.tensor([progress(self.config.seq_length, easing) for easing in EASINGS])  # (39, T)

    def batches(self, epoch: int, steps: int, batch_size: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Batches start..steps-1 of an epoch: a resumed run continues where it stopped."""
        for index in range(start, steps):
            yield self.batch(index, batch_size, epoch)

    @torch.no_grad()
    def batch(self, index: int, batch_size: int, epoch: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """fgrs (B, T, 3, S, S), phas (B, T, 1, S, S), bgrs (B, T, 3, S, S), float32 in [0, 1], not composited."""
        config, B = self.config, batch_size
        draws = item_draws(self.seed, epoch, index)
        draw = Draw(torch_generator(draws), torch_generator(draws, self.device), self.device)
        camera = self._motion(draw, B, config.camera_motion)
        fgr, pha = self._people(draw, B, camera)
        bgr = self._background(draw, B, camera)
        pha, bgr = self._things_in_front(draw, fgr, pha, bgr, camera)
        for clips, chance, most in (((bgr,), config.defocus, 0.02), ((fgr, pha), config.blur, 0.01),
                                    ((fgr, pha, bgr), config.blur, 0.01)):
            chosen, sigma = draw.chosen(B, chance), draw.uniform(B, 0, most * config.size)
            for clip in clips if len(chosen) else ():
                clip[draw.move(chosen)] = gaussian_blur(clip[draw.move(chosen)], sigma[chosen])
        toned, drawn = draw.chosen(B, config.tone), draw_tone(B, draw.parameters)
        for clip in (fgr, bgr) if len(toned) else ():
            clip[draw.move(toned)] = tone(clip[draw.move(toned)], tuple(part[toned] for part in drawn))
        for clip in (fgr, bgr):
            self._add_noise(draw, clip)
        chosen = draw.move(draw.chosen(B, config.grayscale))
        for clip in (fgr, bgr):
            clip[chosen] = colour.grey(clip[chosen]).expand(-1, -1, 3, -1, -1)
        return self._pause(draw, fgr, pha, bgr)

    @torch.no_grad()
    def compositions(self, index: int, batch_size: int, epoch: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """A batch as a camera would deliver it: src, fgrs (B, T, 3, H, W), phas (B, T, 1, H, W), sides of at most S.
        Some are compressed, which the truth is not."""
        fgr, pha, bgr = self.batch(index, batch_size, epoch)
        src = bgr.lerp(fgr, pha)
        draws = item_draws(self.seed, epoch, index)
        draws.getrandbits(200)  # beyond those of the batch itself
        draw = Draw(torch_generator(draws), torch_generator(draws, self.device), self.device)
        quality = draw.uniform(batch_size, 25, 90)
        chosen = draw.chosen(batch_size, self.config.compressed)
        if len(chosen):
            at = draw.move(chosen)
            T = src.size(1)
            src[at] = jpeg(src[at].flatten(0, 1), quality[chosen].repeat_interleave(T)).unflatten(0, (-1, T))
        if draws.random() < self.config.aspect:
            rows, columns = draws.choice(((9, 16), (3, 4), (4, 3), (16, 9)))
            S, step = self.config.size, 16 if self.config.size >= 64 else 1
            H, W = (max(step, round(S * min(1, side / other) / step) * step)
                    for side, other in ((rows, columns), (columns, rows)))
            y, x = draws.randint(0, S - H), draws.randint(0, S - W)
            src, fgr, pha = (clip[..., y:y + H, x:x + W] for clip in (src, fgr, pha))
        return src, fgr, pha

    # ------------------------------------------------------------------------------------------------------- people

    def _people(self, draw: 'Draw', B: int, camera: Tensor) -> tuple[Tensor, Tensor]:
        """The first person, then the others behind: (B, T, 3, S, S) and (B, T, 1, S, S)."""
        config = self.config
        count = 1 + (draw.uniform(B)[:, None] > torch.tensor(config.people).cumsum(0)[:-1]).sum(1)
        framing = draw.uniform(B)                   # the people of one clip are about as large
        fgr = pha = None
        for k in range(len(config.people)):
            picked = draw.weighted(B, self.photos.weights)
            zoom, centre = self._window(draw, picked, framing, k)
            moving = self._turn(draw, ~self.photos.cut[picked]) @ self._motion(draw, B, config.person_motion) @ camera
            fields, swing = self._bend(draw, B)
            gaps = self._gaps(draw, picked)
            there = torch.nonzero(count > k).squeeze(1)
            if not len(there):
                continue
            grid = frame_grid(moving[there], config.size, self.device)  # (b, T, S, S, 2)
            grid += draw.move(swing[there])[..., None, None, None] * fields[draw.move(there)][:, None]
            pixels = zoom[there, 1] * self.photos.levels[0].size(-2) / config.size  # of the canvas per frame pixel
            grid = grid * draw.move(zoom[there])[:, None, None, None] + draw.move(centre[there])[:, None, None, None]
            person = self._sample(self.photos, picked[there], grid, pixels)
            colours, alpha = self._jitter(draw, person[:, :, :3]), person[:, :, 3:]
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

    def _window(self, draw: 'Draw', picked: Tensor, framing: Tensor, k: int) -> tuple[Tensor, Tensor]:
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

    def _motion(self, draw: 'Draw', B: int, chance: float) -> Tensor:
        """(B, T, 3, 3) from frame coordinates -1..1 to those before the motion: rotation up to 10 degrees,
        translation 10 % of the frame, scale 0.9 to 1.1, shear 5 degrees, eased between two draws."""
        ends = draw.uniform((B, 2, 1, 5), -1, 1) * torch.tensor([math.radians(10), 0.2, 0.2, 0.1, math.radians(5)])
        eased = self.eased[draw.integers(B, len(EASINGS))][..., None]  # (B, T, 1)
        angle, dx, dy, growth, lean = (ends[:, 0] + (ends[:, 1] - ends[:, 0]) * eased).unbind(-1)
        cos, sin, scale = angle.cos(), angle.sin(), 1 / (1 + growth)
        zero, one = torch.zeros_like(dx), torch.ones_like(dx)
        matrix = torch.stack([scale * cos, scale * (cos * lean.tan() - sin), dx,
                              scale * sin, scale * (sin * lean.tan() + cos), dy, zero, zero, one], -1)
        moving = draw.uniform(B) < chance
        return torch.where(moving[:, None, None, None], matrix.unflatten(-1, (3, 3)), torch.eye(3))

    def _turn(self, draw: 'Draw', whole: Tensor) -> Tensor:
        """(B, 1, 3, 3) rotation about the middle of the frame, by any angle for some of the `whole` people: others
        would show where their photo ends."""
        B = len(whole)
        angle = draw.uniform(B, -math.pi, math.pi) * ((draw.uniform(B) < self.config.turned) & whole)
        cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros(B), torch.ones(B)
        return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1).view(B, 1, 3, 3)

    def _bend(self, draw: 'Draw', B: int) -> tuple[Tensor, Tensor]:
        """Smooth displacement fields (B, S, S, 2) on the device and their swing (B, T), up to 5 % of the frame."""
        config = self.config
        coarse = draw.noise((B, 2, 4, 4))
        fields = F.interpolate(coarse, (config.size,) * 2, mode='bicubic', align_corners=True).permute(0, 2, 3, 1)
        time = torch.linspace(0, 1, config.seq_length) if config.seq_length > 1 else torch.zeros(1)
        phase = 2 * math.pi * (draw.uniform((B, 1)) + draw.uniform((B, 1), 0.3, 1.5) * time)
        swing = draw.uniform((B, 1), 0, 0.05) * (draw.uniform((B, 1)) < config.bend)
        return fields, phase.sin() * swing

    def _gaps(self, draw: 'Draw', picked: Tensor) -> Tensor:
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

    def _sample(self, bank: PhotoBank, picked: Tensor, grid: Tensor, pixels: Tensor) -> Tensor:
        """Foreground and alpha (b, T, 4, S, S) from the level that has about one pixel per pixel of the frame."""
        b, T, S = grid.shape[:3]
        level = pixels.log2().floor().clamp(0, len(bank.levels) - 1).long()
        out = torch.empty(b, T, 4, S, S, device=self.device)
        for k, pictures in enumerate(bank.levels):
            at = torch.nonzero(level == k).squeeze(1).to(self.device)
            if len(at):
                out[at] = sample(pictures[picked.to(self.device)[at]], grid[at], 'zeros')
        return out

    # --------------------------------------------------------------------------------------------------- background

    def _background(self, draw: 'Draw', B: int, camera: Tensor) -> Tensor:
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

    def _pictures(self, draw: 'Draw', B: int) -> Tensor:
        """(B, 3, h, w) uint8, real or generated."""
        generated = draw.uniform(B) < self.config.generated
        if self.backgrounds is None:
            return self._generate(draw, B)
        pictures = self.backgrounds.pictures[draw.move(draw.weighted(B, self.backgrounds.weights))]
        new = torch.nonzero(generated).squeeze(1)
        if len(new):
            pictures[draw.move(new)] = self._generate(draw, len(new))
        return pictures

    def _add_objects(self, draw: 'Draw', bgr: Tensor, camera: Tensor) -> Tensor:
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

    def _add_cut_outs(self, draw: 'Draw', bgr: Tensor, camera: Tensor, there: Tensor) -> None:
        """Pictures of things on the clips `there`, from a fifth of the frame to larger than it. In place."""
        thing = self._cut_outs(draw, len(bgr), camera, there, (0.2, 1.3))
        if len(there):
            at = draw.move(there)
            bgr[at] = bgr[at].lerp(thing[:, :, :3], thing[:, :, 3:])

    def _cut_outs(self, draw: 'Draw', B: int, camera: Tensor, there: Tensor, sizes: tuple[float, float]) -> Tensor:
        """Things (b, T, 4, S, S) for the clips `there` of B, as large as these shares of the frame; most upright."""
        H, W = self.objects.levels[0].shape[-2:]
        picked = draw.integers(B, len(self.objects))
        left, top, right, bottom = self.objects.boxes[picked].T
        side = torch.maximum(right - left, bottom - top) / draw.uniform(B, *sizes)  # of the frame, in canvas pixels
        angle = draw.uniform(B, -math.pi, math.pi) * torch.where(draw.uniform(B) < 0.2, 1., 0.1)
        moving = self._place(draw, angle, torch.ones(B)) @ self._motion(draw, B, self.config.person_motion) @ camera
        zoom = torch.stack([side * draw.sign(B) / W, side / H], 1)
        centre = torch.stack([(left + right) / W - 1, (top + bottom) / H - 1], 1)
        fields, swing = self._bend(draw, B)
        if not len(there):
            return torch.empty(0, self.config.seq_length, 4, self.config.size, self.config.size, device=self.device)
        grid = frame_grid(moving[there], self.config.size, self.device)
        grid += draw.move(swing[there])[..., None, None, None] * fields[draw.move(there)][:, None]
        grid = grid * draw.move(zoom[there])[:, None, None, None] + draw.move(centre[there])[:, None, None, None]
        thing = self._sample(self.objects, picked[there], grid, side[there] / self.config.size)
        return torch.cat([self._jitter(draw, thing[:, :, :3]), thing[:, :, 3:]], 2)

    def _things_in_front(self, draw: 'Draw', fgr: Tensor, pha: Tensor, bgr: Tensor,
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

    def _add_outlines(self, draw: 'Draw', bgr: Tensor, camera: Tensor, there: Tensor) -> None:
        """Things with the outline of somebody, turned and bent, and the surface of another background, on the clips
        `there`. In place."""
        B = len(bgr)
        angle, scale = draw.uniform(B, -math.pi, math.pi), draw.uniform(B, 0.7, 2.2)
        moving = self._place(draw, angle, scale) @ self._motion(draw, B, self.config.person_motion) @ camera
        fields, swing = self._bend(draw, B)
        outlines = self.photos.levels[1][draw.move(draw.integers(B, len(self.photos)))[draw.move(there)], 3:]
        surfaces = self._pictures(draw, len(there))
        if not len(there):
            return
        at = draw.move(there)
        grid = frame_grid(moving[there], self.config.size, self.device)
        grid += draw.move(swing[there])[..., None, None, None] * fields[at][:, None]
        surface = self._jitter(draw, sample(surfaces, grid, 'reflection'))
        bgr[at] = bgr[at].lerp(surface, sample(outlines, grid, 'zeros'))

    def _place(self, draw: 'Draw', angle: Tensor, scale: Tensor) -> Tensor:
        """(B, 1, 3, 3) from the frame to a thing that is turned, 1 / scale large, and anywhere in it."""
        B = len(angle)
        cos, sin, zero, one = scale * angle.cos(), scale * angle.sin(), torch.zeros(B), torch.ones(B)
        x, y = draw.uniform((2, B), -0.8, 0.8)
        place = torch.stack([cos, -sin, -cos * x + sin * y, sin, cos, -sin * x - cos * y, zero, zero, one], -1)
        return place.view(B, 1, 3, 3)

    def _generate(self, draw: 'Draw', B: int) -> Tensor:
        """(B, 3, side, side) uint8: a colour, and smooth to fine variations of random strength around it."""
        side = 2 * self.config.size if self.backgrounds is None else self.backgrounds.pictures.size(-1)
        picture = draw.move(draw.uniform((B, 3, 1, 1), 0.1, 0.9)).expand(B, 3, side, side)
        for cells in (2, 5, 12, 40):
            strength = draw.move(draw.uniform((B, 1, 1, 1)) ** 2 * 0.3)
            grain = F.interpolate(draw.noise((B, 3, cells, cells)), (side, side), mode='bicubic', align_corners=True)
            picture = picture + strength * grain
        return (picture.clamp(0, 1) * 255).round().to(torch.uint8)

    # ------------------------------------------------------------------------------------------------------ effects

    def _jitter(self, draw: 'Draw', clip: Tensor) -> Tensor:
        """A colour cast of its own per clip, drifting a little; (b, T, 3, S, S)."""
        b, T = clip.shape[:2]
        eased = self.eased[draw.integers(b, len(EASINGS))]
        cast, drift = (draw.normal((4, b, 1)) * amount for amount in (0.15, 0.02))
        change = draw.move((cast + drift * eased).view(4, b, T, 1, 1, 1))
        chosen = draw.move(draw.chosen(b, self.config.color_jitter))
        if not len(chosen):
            return clip
        brightness, contrast, saturation = (1 + change[:3, chosen]).clamp(min=0.1)
        hue = (change[3, chosen] * 0.1).clamp(-0.5, 0.5)
        clip = clip.clone()
        clip[chosen] = colour.jitter(clip[chosen], brightness, contrast, saturation, hue)
        return clip

    def _add_noise(self, draw: 'Draw', clip: Tensor) -> None:
        """Grain of 1 to 3 pixels (one size a batch), new in every frame; in place."""
        B, T, _, S, _ = clip.shape
        chosen, grain = draw.chosen(B, self.config.noise), 1 + int(draw.integers(1, 3))
        strength = draw.uniform((B, 1, 1, 1, 1), 0, 0.12)[chosen]
        if len(chosen):
            noise = draw.noise((len(chosen) * T, 3, math.ceil(S / grain), math.ceil(S / grain)))
            noise = F.interpolate(noise, (S, S), mode='bilinear', align_corners=False).unflatten(0, (-1, T))
            at = draw.move(chosen)
            clip[at] = (clip[at] + noise * draw.move(strength)).clamp(0, 1)

    def _pause(self, draw: 'Draw', *clips: Tensor) -> tuple[Tensor, ...]:
        """In some clips a frame stands still for a while."""
        B, T = clips[0].shape[:2]
        first = draw.integers(B, T)[:, None]
        last = first + (draw.uniform((B, 1)) * (T - first)).long()
        still = (draw.uniform((B, 1)) < self.config.pause) & (torch.arange(T) > first) & (torch.arange(T) <= last)
        if not still.any():
            return clips
        frames = draw.move(torch.where(still, first, torch.arange(T)))
        rows = torch.arange(B, device=self.device)[:, None]
        return tuple(clip[rows, frames] for clip in clips)


class Draw:
    """Random numbers: parameters from a generator on the CPU (alike on every machine), noise from one on the device."""

    def __init__(self, parameters: torch.Generator, noise: torch.Generator, device: torch.device):
        self.parameters, self._noise, self._device = parameters, noise, device

    def uniform(self, shape: int | tuple[int, ...], low: float = 0, high: float = 1) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.parameters)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self.parameters)

    def integers(self, count: int, below: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.parameters)

    def weighted(self, count: int, weights: Tensor) -> Tensor:
        """Indices, each as often as its weight says."""
        ends = weights.double().cumsum(0)
        drawn = torch.rand(count, generator=self.parameters, dtype=torch.float64) * ends[-1]
        return torch.searchsorted(ends, drawn, right=True).clamp(max=len(weights) - 1)

    def sign(self, count: int) -> Tensor:
        return (self.integers(count, 2) * 2 - 1).float()

    def chosen(self, count: int, chance: float) -> Tensor:
        """Indices of the clips that an effect falls on."""
        return torch.nonzero(self.uniform(count) < chance).squeeze(1)

    def noise(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._noise, device=self._device)

    def move(self, x: Tensor) -> Tensor:
        return x.to(self._device, non_blocking=True)


def frame_grid(matrices: Tensor, size: int, device: torch.device) -> Tensor:
    """(b, T, 3, 3) from frame coordinates to others -> (b, T, S, S, 2) where each pixel of the frame comes from."""
    b, T = matrices.shape[:2]
    thetas = matrices[:, :, :2].flatten(0, 1).to(device)
    return F.affine_grid(thetas, (b * T, 1, size, size), align_corners=False).unflatten(0, (b, T))


def sample(pictures: Tensor, grid: Tensor, padding: str) -> Tensor:
    """One uint8 picture (b, C, h, w) per clip read at (b, T, S, S, 2) -> (b, T, C, S, S) in [0, 1].

    The frames lie below each other in one tall grid, so that the picture is not repeated T times.
    """
    b, T, S = grid.shape[:3]
    flat = F.grid_sample(pictures.float() / 255, grid.reshape(b, T * S, S, 2), padding_mode=padding,
                         align_corners=False)  # (b, C, T * S, S)
    return flat.unflatten(2, (T, S)).transpose(1, 2).contiguous()


def lay_before(thing: Tensor, alpha: Tensor, fgr: Tensor, pha: Tensor, bgr: Tensor) -> tuple[Tensor, Tensor]:
    """New pha and bgr with a thing of (b, T, 3, S, S) colours and (b, T, 1, S, S) alpha before the person.

    fgr * pha + bgr * (1 - pha) of the new ones is the thing over the old composition.
    """
    left = pha * (1 - alpha)
    behind = thing * alpha + bgr * ((1 - alpha) * (1 - pha))
    rest = 1 - left
    return left, torch.where(rest > 1e-3, behind / rest.clamp(min=1e-3), bgr).clamp(0, 1)


def cut_gap(alpha: Tensor, grid: Tensor, wedges: Tensor) -> None:
    """Takes a soft wedge out of alpha (b, T, 1, S, S), in place: narrow above, wide and round below.

    Args:
        grid: (b, T, S, S, 2) where each pixel comes from, -1..1 of the canvas.
        wedges: (b, 6) x and y of the middle, half width and half length in the same units, lean [rad], height of the
            canvas per width; on the CPU. A width of 0: none.
    """
    chosen = torch.nonzero(wedges[:, 2] > 0).squeeze(1)
    if not len(chosen):
        return
    at = chosen.to(alpha.device)
    x, y, width, length, lean, tall = wedges[chosen].to(alpha.device)[:, :, None, None, None].unbind(1)
    dx, dy = (grid[at] - torch.stack([x, y], -1)).unbind(-1)
    dx, dy = dx * lean.cos() + dy * lean.sin() * tall, dy * lean.cos() - dx * lean.sin() / tall
    v = dy / length
    inside = 1 - ((dx / (width * (0.7 + 0.5 * v).clamp(min=0.05))) ** 2 + v ** 2).sqrt()  # 1: the middle, 0: the rim
    pixel = (grid[at][:, :, 1:2, 1:2] - grid[at][:, :, :1, :1]).abs().amax(-1) / width  # of the frame, in widths
    alpha[at] *= (0.5 - inside / (2.5 * pixel)).clamp(0, 1)[:, :, None]


def gaussian_blur(clip: Tensor, sigma: Tensor) -> Tensor:
    """(b, T, C, S, S) with one sigma [pixels] per clip; `sigma` on the CPU."""
    b, T, C, S = clip.shape[:4]
    radius = min(math.ceil(2.5 * float(sigma.max())), S - 1)
    if radius < 1:
        return clip
    x = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-x ** 2 / (2 * sigma.clamp(min=0.05)[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).to(clip.device)  # (b, 2 * radius + 1)
    # one channel per clip: its kernel is the same for all frames and colours
    image = clip.permute(1, 2, 0, 3, 4).reshape(T * C, b, S, S)
    image = F.pad(image, (radius,) * 4, mode='reflect')
    image = F.conv2d(image, kernel[:, None, None, :], groups=b)
    image = F.conv2d(image, kernel[:, None, :, None], groups=b)
    return image.view(T, C, b, S, S).permute(2, 0, 1, 3, 4).clamp(0, 1)
