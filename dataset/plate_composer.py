"""Frames with a damaged plate, made on the device: people and things over a scene, and the scene without them."""

from dataclasses import replace

import torch
from torch import Tensor

from .composing import ComposerConfig
from .draws import item_draws, torch_generator
from .photo_bank import Backgrounds, PhotoBank
from .photo_composer import PhotoComposer
from .plate_damage import PlateDamage, damaged_pair

THINGS = 0.4          # of the frames show a thing that is foreground too; of those
ALONE = 0.4           # without anybody
NOWHERE = Backgrounds(torch.full((1, 3, 8, 8), 128, dtype=torch.uint8), torch.ones(1))   # nobody looks at it


class PlateComposer:
    """Makes batches; the batch of (seed, epoch, index) is always the same on the same kind of device.

    Args:
        photos: cut-out people. backgrounds: None: all are generated.
        size: side of the frames [px].
        objects: cut-out things: some belong to the scene and are in the plate, some are foreground as people are, so
            that the network asks the plate and not its memory.
        damage: of the plates.
    """

    def __init__(self, photos: PhotoBank, backgrounds: Backgrounds | None, size: int, seed: int = 0,
                 device: torch.device | str = 'cpu', objects: PhotoBank | None = None,
                 damage: PlateDamage | None = None):
        # noise and compression are the damage's: in a composition frame and scene would share them
        config = ComposerConfig(size=size, seq_length=1, noise=0, compressed=0, pause=0)
        self.people = PhotoComposer(photos, backgrounds, config, seed, device, objects)
        self.things = None
        if objects is not None:
            alone = replace(config, generated=0, objects=0, in_front=0, desk=0, gaps=0, turned=0.3, largest=1.5, tone=0)
            self.things = PhotoComposer(objects, NOWHERE, alone, seed + 1, device)
        self.seed, self.damage = seed, damage

    @torch.no_grad()
    def batch(self, index: int, batch_size: int, epoch: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """src, plate, fgr (B, 3, S, S), pha (B, 1, S, S), float32 in [0, 1]."""
        generator = torch_generator(item_draws(self.seed + 2, epoch, index))
        fgr, pha, bgr = (clip.squeeze(1) for clip in self.people.batch(index, batch_size, epoch))
        if self.things is not None:
            fgr, pha = self._add_things(fgr, pha, index, epoch, generator)
        src, plate = damaged_pair(fgr, pha, bgr, generator, self.damage)
        return src, plate, fgr, pha

    def _add_things(self, fgr: Tensor, pha: Tensor, index: int, epoch: int,
                    generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A thing in front of the people or behind them, or in their place."""
        B = len(pha)
        thing_fgr, thing_pha, _ = (clip.squeeze(1) for clip in self.things.batch(index, B, epoch))
        there, alone, in_front = (torch.rand(3, B, 1, 1, 1, generator=generator)
                                  < torch.tensor([THINGS, ALONE, 0.5]).view(3, 1, 1, 1, 1)).to(pha.device)
        thing_pha, pha = thing_pha * there, pha * ~(there & alone)
        front, back = torch.where(in_front, thing_fgr, fgr), torch.where(in_front, fgr, thing_fgr)
        front_pha, back_pha = torch.where(in_front, thing_pha, pha), torch.where(in_front, pha, thing_pha)
        back_pha = back_pha * (1 - front_pha)
        both = front_pha + back_pha
        mixed = (front * front_pha + back * back_pha) / both.clamp(min=1e-3)
        return torch.where(both > 1e-3, mixed, fgr), both
