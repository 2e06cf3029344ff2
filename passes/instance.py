"""The pass of mask-guided instance matting: clips of several people with rough masks.

Paper: Masked Guided Gradual Human Instance Matting, arXiv 2404.16035, section 3 and supplement.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from metrics.instance import measure_people
from model.instance.fusion import around_uncertain
from model.instance.masked import ActiveBatchNorm2d
from model.instance.network import InstanceMattingNetwork
from model.instance.regions import dilate, uncertain
from training.distributed import Ranks
from training.passes import Batches, Pass, Terms, Turn
from training.validation import Forward, Strip

from .instance_loss import InstanceLossWeights, instance_loss, region_weights

HEADS = ('pha_os8', 'pha_os4', 'pha_os1', 'pha', 'region', 'attention')
CHANGE_HEADS = ('change_forward', 'change_backward')
FUSION_MASKS = 0.75         # probability that fine predictions count where they are used, else wherever there are any
WIDTHS = (29, 14)           # [px] largest ellipses of those masks
CHANGED = 5 / 255


class InstanceClipNetwork(nn.Module):
    """What passes call: outputs in the order of `HEADS`, then of `CHANGE_HEADS` where there is a head for change."""

    def __init__(self, network: InstanceMattingNetwork):
        super().__init__()
        self.network = network

    def forward(self, src: Tensor, msk: Tensor, true_pha: Tensor | None = None, use_truth: bool = False
                ) -> list[Tensor]:
        out = self.network(src, msk, true_pha=true_pha, use_truth=use_truth)
        return [out[name] for name in (*HEADS, *CHANGE_HEADS) if name in out]


def synchronise(network: nn.Module, ranks: Ranks) -> None:
    """Statistics of active sites over all ranks too."""
    for layer in network.modules():
        if isinstance(layer, ActiveBatchNorm2d):
            layer.synchronised = ranks.world > 1


def place_in_slots(clips: Sequence[tuple[Tensor, Tensor, Tensor]], slots: int, draws=None) -> tuple[Tensor, ...]:
    """Clips with different numbers of people as one batch.

    Args:
        clips: src (T, 3, H, W), pha and msk (T, N, H, W).
        draws: who gets which slot; in order from the first where None.
    Returns:
        src (B, T, 3, H, W), pha and msk (B, T, slots, H, W), zeros in slots that nobody has.
    """
    src = torch.stack([clip[0] for clip in clips])
    B, T, _, H, W = src.shape
    pha, msk = torch.zeros(B, T, slots, H, W), torch.zeros(B, T, slots, H, W)
    for b, (_, own_pha, own_msk) in enumerate(clips):
        N = own_pha.size(1)
        chosen = list(range(N)) if draws is None else draws.sample(range(slots), N)
        pha[b, :, chosen], msk[b, :, chosen] = own_pha, own_msk
    return src, pha, msk


class InstancePass(Pass):
    """Clips of (src (B, T, 3, H, W), pha, msk (B, T, N, H, W)).

    Args:
        warmup: iterations in which details are learnt where the truth is uncertain; for twice as many after them, in
            half of the iterations.
    """

    def __init__(self, name: str, stream: Batches, factors: InstanceLossWeights, warmup: int = 3000):
        super().__init__(name, stream)
        self.factors, self.warmup = factors, warmup

    def losses(self, batch: tuple[Tensor, ...], turn: Turn) -> Terms:
        src, pha, msk = (x.to(turn.device, non_blocking=True) for x in batch)
        pha = torch.where(pha < CHANGED, 0, pha)
        use_truth = turn.step < self.warmup or (turn.step < 3 * self.warmup and turn.draws.random() < 0.5)
        heads = turn.forward(src, msk, true_pha=pha, use_truth=use_truth)
        os8, os4, os1, pred, region, attention, *change = heads
        valid = (msk.sum((1, 3, 4)) > 0) & (pha.sum((1, 3, 4)) > 0)
        weights = {'os8': region_weights(os8, pha), **self.fine_weights(pha, region, turn.draws.random)}
        turn.show('train', true_src=src, pred_pha=pred.sum(2, keepdim=True).clamp(0, 1),
                  true_pha=pha.sum(2, keepdim=True))
        return instance_loss({'os8': os8, 'os4': os4, 'os1': os1}, pha, valid, weights, self.factors, attention,
                             tuple(change) if change else None, changes(pha) if change else None)

    def fine_weights(self, pha: Tensor, region: Tensor, random: Callable[[], float]) -> dict[str, Tensor]:
        """Where the predictions at strides 4 and 1 count."""
        if random() >= FUSION_MASKS:
            return {'os4': region, 'os1': region}
        maps = pha[..., 0, 0].numel()
        return {name: around_uncertain(pha, torch.tensor([1 + int(random() * most) for _ in range(maps)])) * region
                for name, most in zip(('os4', 'os1'), WIDTHS)}

    def counted(self, batch: tuple[Tensor, ...]) -> tuple[int, int]:
        """Clips and frames."""
        return len(batch[0]), batch[0].size(0) * batch[0].size(1)


def changes(pha: Tensor) -> Tensor:
    """(B, T, N, H, W) -> (B, T, 1, H, W): 1 near anybody's change since the frame before; ones at the first frame."""
    moved = (pha.diff(dim=1).abs() > CHANGED).float().amax(2, keepdim=True)
    return torch.cat([torch.ones_like(moved[:, :1]), dilate(moved, 9)], 1)


class InstanceMeasure:
    """Standard metrics of a validation clip, a batch of one, in single precision. The total that counts for the best is
    the error near uncertain pixels and everywhere."""

    def __init__(self, network: InstanceMattingNetwork):
        self.network = network

    def __call__(self, forward: Forward, batch: list[Tensor]) -> tuple[dict[str, float], Strip]:
        src, pha, msk = batch
        pred = self.network(src, msk)['pha']
        there = pha.sum((0, 1, 3, 4)) > 0
        own, true = pred[0][:, there].clamp(0, 1), pha[0][:, there]
        near = dilate(uncertain(true), 15)
        numbers = measure_people(own, true, metrics=('mad', 'mse', 'grad', 'iou'))
        numbers['near'] = float(((own - true).abs() * near).sum() / near.sum().clamp(min=1))
        numbers['total'] = numbers['mad'] / 1e3 + numbers['near']
        return numbers, {'src': src[0], 'true_pha': pha[0].sum(1, keepdim=True),
                         'pred_pha': pred[0].sum(1, keepdim=True).clamp(0, 1)}
