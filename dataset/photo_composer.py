"""Clips of moving people made from photos, on the device: batches of fgr, pha and bgr faster than loaders can read.

One to three people from the bank, framed as by a web camera or from head to foot, move, bend and change colour over
real or generated backgrounds. Parameters are drawn on the CPU for the whole batch, a few numbers per clip; every pixel
is computed on the device in batches: the only loops are over people (3) and picture levels (3).
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from . import colour
from .composing import Draw, gaussian_blur
from .draws import item_draws, torch_generator
from .jpeg import jpeg
from .people_layer import PeopleLayer
from .picture_tone import draw_tone, tone
from .scene_layer import SceneLayer


class PhotoComposer(PeopleLayer, SceneLayer):
    """Makes batches; the batch of (seed, epoch, index) is always the same on the same kind of device.

    Arguments as of `Composing`.
    """

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

    def _add_noise(self, draw: Draw, clip: Tensor) -> None:
        """Grain of 1 to 3 pixels (one size a batch), new in every frame, mostly faint; in place."""
        B, T, _, S, _ = clip.shape
        chosen, grain = draw.chosen(B, self.config.noise), 1 + int(draw.integers(1, 3))
        strength = 0.12 * draw.uniform((B, 1, 1, 1, 1)).square()[chosen]
        if len(chosen):
            noise = draw.noise((len(chosen) * T, 3, math.ceil(S / grain), math.ceil(S / grain)))
            noise = F.interpolate(noise, (S, S), mode='bilinear', align_corners=False).unflatten(0, (-1, T))
            at = draw.move(chosen)
            clip[at] = (clip[at] + noise * draw.move(strength)).clamp(0, 1)

    def _pause(self, draw: Draw, *clips: Tensor) -> tuple[Tensor, ...]:
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
