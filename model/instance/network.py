"""The instance network: a picture or a clip and a rough mask of each person -> a soft matte of each person.

Paper: Masked Guided Gradual Human Instance Matting (MaGGIe), arXiv 2404.16035. Attribute names are those of the
released weights. Where we depart from the release, the comment beside it says so; documentation/instance_matting.md
lists all of it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .aspp import InstanceASPP
from .decoder import InstanceMattingDecoder
from .encoder import InstanceEncoder
from .spectral import fold_spectral

MULTIPLE = 32                               # [px] sides inside the network
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class InstanceForm:
    """What must be known to build a network.

    Args:
        channels: at strides 2, 4, 8, 16, 32.
        slots: most people in one pass.
        video: carries a state from frame to frame.
        change: has the published head that sees changes.
        folded: spectral norm is folded into the weights: for inference, cannot be trained on.
        bleed: interpolates at stride 4 as published.
        begins: each step begins with the answer of the one before, the first with the masks, and learns what is wrong
            with it. Not published: a narrow network learns so in an hour what it would not in a day.
    """

    channels: tuple[int, ...] = (32, 64, 128, 256, 512)
    slots: int = 10
    video: bool = True
    change: bool = False
    folded: bool = False
    bleed: bool = False
    begins: bool = False

    def __post_init__(self):
        if len(self.channels) != 5 or min(self.channels) < 2 or any(c % 2 for c in self.channels):
            raise ValueError(f'channels must be five even numbers, at strides 2 to 32, got {self.channels}')
        if self.slots < 1:
            raise ValueError(f'slots must be at least 1 person, got {self.slots}')
        if self.change and not self.video:
            raise ValueError('change needs video: a picture has no frame before it')

    @classmethod
    def narrow(cls, width: float, **others) -> 'InstanceForm':
        """The published network with its channels multiplied by `width`, in eights."""
        return cls(tuple(max(8, round(c * width / 8) * 8) for c in cls.channels), **others)

    def words(self) -> str:
        """What tells it from others, for messages."""
        return (f'channels {self.channels}, {self.slots} slots{", folded" if self.folded else ""}'
                f'{", begins" if self.begins else ""}')

    def build(self) -> 'InstanceMattingNetwork':
        """An untrained network."""
        network = InstanceMattingNetwork(self)
        return fold_spectral(network).eval() if self.folded else network


class InstanceMattingNetwork(nn.Module):
    """Mattes of all people in one pass.

    Attributes:
        trained_size: [px] long side of 16:9 frames that the weights were trained for; None: the published rule.
    """

    trained_size: int | None = None

    def __init__(self, form: InstanceForm | None = None):
        super().__init__()
        self.form = InstanceForm() if form is None else form
        channels = self.form.channels
        self.encoder = InstanceEncoder(channels, self.form.slots)
        self.aspp = InstanceASPP(channels[4], channels[4] // 2)
        self.decoder = InstanceMattingDecoder(channels, self.form.slots, self.form.video, self.form.change,
                                              self.form.bleed, self.form.begins)

    @property
    def slots(self) -> int:
        """People it can tell apart."""
        return self.form.slots

    def describe(self) -> str:
        """One line for logs."""
        count = sum(p.numel() for p in self.parameters()) / 1e6
        return f'instance network ({"video" if self.form.video else "image"}), {count:.1f} M parameters'

    def forward(self, src: Tensor, msk: Tensor, rec: Tensor | None = None, true_pha: Tensor | None = None,
                use_truth: bool = False) -> dict[str, Tensor]:
        """
        Args:
            src: (B, T, 3, H, W) RGB in [0, 1], any size.
            msk: (B, T, N, h, w) of 0 and 1, N at most the number of slots; enlarged to (H, W) where smaller.
            rec: (B, C, H/8, W/8) state before the first frame, as `states[:, t]` of an earlier call; None at first.
            true_pha: (B, T, N, H, W) in training, see `InstanceMattingDecoder`.
            use_truth: the same.
        Returns:
            'pha' (B, T, N, H, W) in [0, 1], the answer; 'pha_os8', 'pha_os4', 'pha_os1', what it is fused from;
            'region' of 0 and 1 where details were computed, 'w4' and 'w1' where they were taken; 'logits_os8'
            (B, T, slots, h, w) and 'attention' (B, 3, slots, T*h*w) for the loss; with video 'states' (B, T, C, h, w)
            after each frame; with change 'change_forward', 'change_backward' (B, T, 1, H, W) logits, in evaluation
            'pha_propagated'.
        Raises:
            ValueError: more people than slots.
        """
        B, T, _, H, W = src.shape
        N = msk.size(2)
        if self.slots < N:
            raise ValueError(f'msk must have at most {self.slots} people, got {N}: call once for each group of people')
        if msk.shape[-2:] != (H, W):
            msk = F.interpolate(msk.flatten(0, 1), (H, W), mode='nearest').unflatten(0, (B, T))
        # To whole cells: the picture's border goes on, nobody is there.
        right, bottom = -W % MULTIPLE, -H % MULTIPLE
        msk = F.pad(msk, (0, right, 0, bottom, 0, self.slots - N))
        if true_pha is not None:
            true_pha = F.pad(true_pha, (0, right, 0, bottom, 0, self.slots - N))
        x = F.pad(self.normalise(src.flatten(0, 1)), (0, right, 0, bottom), mode='replicate')
        x, shortcuts = self.encoder(x, msk.flatten(0, 1))
        out = self.decoder(self.aspp(x), shortcuts, msk, rec, true_pha, use_truth)
        for name in ('pha', 'pha_os8', 'pha_os4', 'pha_os1', 'region', 'w4', 'w1', 'pha_propagated'):
            if name in out:
                out[name] = out[name][:, :, :N, :H, :W]
        for name in ('change_forward', 'change_backward'):
            if name in out:
                out[name] = out[name][..., :H, :W]
        return out

    @staticmethod
    def normalise(src: Tensor) -> Tensor:
        """By ImageNet's statistics."""
        mean, std = (torch.tensor(x, device=src.device, dtype=src.dtype).view(3, 1, 1) for x in (MEAN, STD))
        return (src - mean) / std
