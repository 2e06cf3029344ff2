"""The passes of matting with a plate: the coarse network on small frames, the refine network on large ones.

Paper: Real-Time High-Resolution Background Matting, arXiv 2012.07810, section 5.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metrics import alpha_metrics
from model.background import MattingBase, MattingRefine
from train_loss import clamp_with_slope, plate_base_loss, plate_refine_loss
from training.passes import Batches, Pass, Terms, Turn
from training.validation import Forward, Strip

BASE_OUTPUTS = 'pha', 'fgr', 'err'
REFINE_OUTPUTS = 'pha', 'fgr', 'pha_sm', 'fgr_sm', 'err_sm'
Prepare = Callable[[tuple, Turn], tuple[Tensor, Tensor, Tensor, Tensor]]
PARTS = 'backbone', 'aspp', 'decoder', 'refiner'


def learning_rates(config) -> dict[str, float]:
    """Child of the network -> the learning rate that the settings give it."""
    rates = {part: f'learning_rate_{part}' for part in PARTS}
    return {part: getattr(config, name) for part, name in rates.items() if hasattr(config, name)}


class StagedNetwork(nn.Module):
    """What passes call: the whole network, or its coarse part alone."""

    def __init__(self, network: MattingBase):
        super().__init__()
        self.network = network

    def forward(self, src: Tensor, plate: Tensor, coarse: bool = False, **settings) -> tuple[Tensor, ...]:
        """Frames and plates (B, 3, H, W) -> outputs of `MattingBase` without hid, or those of `MattingRefine`, whose
        settings may be given."""
        for name, value in settings.items():
            setattr(self.network, name, value)
        return self.coarse(src, plate) if coarse else self.network(src, plate)

    def coarse(self, src: Tensor, plate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `MattingBase` without hid, which no loss asks for: five of the last convolution's 37 channels, a fifth of
        the time."""
        network, x = self.network, torch.cat([src, plate], dim=1)
        f1, f2, f3, f4 = network.backbone(x)
        last = network.decoder.conv4
        x = network.decoder.features(network.aspp(f4), f3, f2, f1, x)
        x = F.conv2d(x, last.weight[:5], last.bias[:5], padding=1)
        pha, residual, err = x.split([1, 3, 1], dim=1)
        return tuple(map(clamp_with_slope, (pha, residual + src, err)))


class PlatePass(Pass):
    """Frames with plates, one stage.

    Args:
        prepare: (batch, turn) -> src, plate, fgr (B, 3, H, W), pha (B, 1, H, W), on the device.
        coarse: the coarse network alone.
        how: see `train_loss.plate_terms`.
    """

    def __init__(self, name: str, stream: Batches, prepare: Prepare, coarse: bool, **how):
        super().__init__(name, stream)
        self.prepare, self.coarse, self.how = prepare, coarse, how

    def losses(self, batch: tuple[Tensor, ...], turn: Turn) -> Terms:
        src, plate, fgr, pha = self.prepare(batch, turn)
        pred = predict(turn.forward, src, plate, self.coarse, **self.settings(pha, turn))
        turn.show('train', pred_pha=pred['pha'][:, None], pred_fgr=pred['fgr'][:, None], true_src=src[:, None],
                  pred_com=(pred['fgr'] * pred['pha'])[:, None], true_bgr=plate[:, None],
                  pred_err=pred['err' if self.coarse else 'err_sm'][:, None])
        return (plate_base_loss if self.coarse else plate_refine_loss)(pred, fgr, pha, **self.how)

    def settings(self, pha: Tensor, turn: Turn) -> dict[str, float]:
        """Of the refine network in this turn; none: those it has."""
        return {}

    def counted(self, batch: tuple[Tensor, ...]) -> tuple[int, int]:
        """Frames."""
        return len(batch[0]), len(batch[0])


class PlateMeasure:
    """Loss and alpha metrics of validation frames: src, plate, fgr, pha; `settings` of the refine network.

    In single precision, whatever the training runs in.
    """

    def __init__(self, network: MattingBase, coarse: bool, **settings):
        self.staged, self.coarse, self.settings = StagedNetwork(network), coarse, settings

    def __call__(self, forward: Forward, batch: list[Tensor]) -> tuple[dict[str, float], Strip]:
        src, plate, fgr, pha = batch
        pred = predict(self.staged, src, plate, self.coarse, **self.settings)
        terms = (plate_base_loss if self.coarse else plate_refine_loss)(pred, fgr, pha)
        numbers = {name: float(value) for name, value in terms.items()} | alpha_metrics(pred['pha'][None], pha[None])
        return numbers, {'src': src, 'plate': plate, 'true_pha': pha, 'pred_pha': pred['pha']}


def predict(forward: Forward, src: Tensor, plate: Tensor, coarse: bool, **settings) -> dict[str, Tensor]:
    """Outputs by name."""
    outputs = forward(src, plate, coarse=coarse, **settings)
    return dict(zip(BASE_OUTPUTS if coarse else REFINE_OUTPUTS, outputs, strict=False))


def stand_still(network: MattingRefine) -> None:
    """Train the refiner alone: a few large frames have no batch statistics worth keeping, and the coarse network, which
    takes most of the time, is then the same that the refiner learns to follow."""
    for part in (network.backbone, network.aspp, network.decoder):
        part.requires_grad_(False)
        part.eval()


def move_again(network: MattingRefine) -> None:
    """Undo `stand_still`."""
    network.requires_grad_(True).train()
