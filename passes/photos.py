"""The passes of train_photos.py: composed clips up to stride 4 or to full size, and natural photos as they are.

The recipe is explained in documentation/default_weights.md.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dataset.draws import item_draws
from metrics import alpha_metrics
from model import MattingNetwork
from model.coarse_head import coarse_pass, pool_quarter
from train_loss import LossWeights, clamp_with_slope, edge_loss, masked_mean, matting_loss, segmentation_loss
from training.ahead import Ahead
from training.clips import channels_last, untracked_statistics
from training.clock import Budget
from training.passes import Pass, Terms, Turn
from training.validation import Forward, Strip

EDGE_WEIGHT = 0.15       # of the edge term where the refiner is trained
WHOLE_WARM_UP = 2        # last frames of a warm-up, which also fill the state at stride 2; those before are cheap
WEIGHTS = LossWeights()


@dataclass(frozen=True)
class Phase:
    """Part of a run."""

    share: float                  # of the time budget
    batches: tuple[tuple[int, int], ...]  # used in turn: side of the clips [px], clips
    seq_length: int               # frames
    coarse: bool = False          # only up to stride 4
    ratios: tuple[float, float] = (1., 1.)  # downsample ratio, drawn between; below 1 the refiner is trained
    natural: int = 0              # natural photos beside the clips, a pass of their own
    natural_size: int = 256       # side of their crops [px]
    warm_up: int = 0              # up to so many frames before the clip that only fill the memory

    def batch(self, step: int) -> tuple[int, int]:
        """Side and number of the clips of a step."""
        return self.batches[step % len(self.batches)]


@dataclass(frozen=True)
class PhotoRun:
    """What the passes of a run share.

    Args:
        network: with a coarse head.
        autocast: makes the context that it computes in.
        seed: of what is drawn for a step.
    """

    network: MattingNetwork
    phases: Sequence[Phase]
    clock: Budget
    autocast: Callable[[], AbstractContextManager]
    seed: int = 0

    @property
    def phase(self) -> Phase:
        """That the clock says."""
        return self.phases[self.clock.part]


@torch.no_grad()
def warmed_up(run: PhotoRun, phase: Phase, src: Tensor, ratio: float, longest: int,
              draws: random.Random) -> Sequence[Tensor | None]:
    """States (r1, r2, r3, r4) after up to `longest` frames of the same clips, to and fro, at times of others before
    them: what a network remembers after a minute, or from before a cut, without the gradient's price."""
    rec = run.network.interface.first_states()
    frames = draws.randint(1, longest) if longest and draws.random() < 0.7 else 0
    if not frames:
        return rec
    T = src.size(1)
    to_and_fro = [*range(T), *range(T - 2, 0, -1)]
    order = [to_and_fro[k % len(to_and_fro)] for k in range(frames)][::-1]
    before = draws.randint(0, frames) if draws.random() < 0.4 else 0     # frames of another clip
    own = order[before:]
    whole = 0 if phase.coarse else len(own) if ratio < 1 else min(WHOLE_WARM_UP, len(own))
    parts = ((src.roll(1, 0), order[:before], phase.coarse or ratio == 1), (src, own[:len(own) - whole], True),
             (src, own[len(own) - whole:], False))
    with untracked_statistics(run.network):
        for clip, part, coarse in parts:
            if part:
                shown = channels_last(clip[:, part])
                with run.autocast():
                    rec = [None, *coarse_pass(run.network, shown, *rec[1:])[3:]] if coarse else \
                        run.network(shown, *rec, downsample_ratio=ratio)[2:]
    return rec


def shaken(src: Tensor, draws: random.Random) -> Tensor:
    """Photos (B, 1, C, H, W) as clips (B, 4, C, H, W) of a hand-held camera: the photo, then three shifted by up to 3 %
    of its side, edges repeated."""
    H, W = src.shape[-2:]
    reach = max(1, round(0.03 * min(H, W)))
    padded = F.pad(src[:, 0], (reach,) * 4, mode='replicate')
    shifts = [(reach, reach)] + [(draws.randint(0, 2 * reach), draws.randint(0, 2 * reach)) for _ in range(3)]
    return torch.stack([padded[..., y:y + H, x:x + W] for y, x in shifts], 1)


class ClipPass(Pass):
    """Composed clips (src, fgr, pha), each (B, T, C, H, W)."""

    def __init__(self, stream: Ahead, run: PhotoRun):
        super().__init__('clips', stream)
        self.run = run

    def losses(self, batch: tuple[Tensor, Tensor, Tensor], turn: Turn) -> Terms:
        """At stride 4 or at full size, after frames that only fill the memory."""
        src, fgr, pha = batch
        src, phase = channels_last(src), self.run.phase
        draws = item_draws(self.run.seed, 1, turn.step)
        ratio = draws.uniform(*phase.ratios)
        rec = warmed_up(self.run, phase, src, ratio, phase.warm_up, draws)
        if phase.coarse:
            return self.coarse_losses(src, fgr, pha, rec)
        with self.run.autocast():
            answer = self.run.network.unclamped(src, *rec, downsample_ratio=ratio)[:2]
        pred_fgr, pred_pha = (clamp_with_slope(pred.float()) for pred in answer)
        terms = matting_loss(pred_fgr, pred_pha, fgr, pha, WEIGHTS)
        if ratio < 1:
            terms['edge'] = edge_loss(pred_pha, pha)
            terms['total'] = terms['total'] + EDGE_WEIGHT * terms['edge']
        return terms

    def coarse_losses(self, src: Tensor, fgr: Tensor, pha: Tensor, rec: Sequence[Tensor | None]) -> Terms:
        """At stride 4, with segmentation beside."""
        fgr, pha = pool_quarter(fgr), pool_quarter(pha)
        with self.run.autocast():
            pred_fgr, pred_pha, logits, *_ = coarse_pass(self.run.network, src, *rec[1:])
        pred_fgr, pred_pha = (clamp_with_slope(pred.float()) for pred in (pred_fgr, pred_pha))
        terms = matting_loss(pred_fgr, pred_pha, fgr, pha, WEIGHTS)
        terms['segmentation'] = segmentation_loss(logits.float(), pha)
        terms['total'] = terms['total'] + terms['segmentation']
        return terms

    def counted(self, batch: tuple[Tensor, ...]) -> tuple[int, int]:
        """Clips and frames."""
        return batch[0].size(0), batch[0].size(0) * batch[0].size(1)

    def logged(self, terms: Terms) -> Terms:
        """Without the name of the pass."""
        return {f'train_{name}': term for name, term in terms.items()}


class NaturalPass(Pass):
    """Natural photos (src, seg, known) in the update of the clips, where their masks are sure."""

    def __init__(self, stream: Ahead, run: PhotoRun):
        super().__init__('natural', stream, joins=True)
        self.run = run

    def due(self, step: int) -> bool:
        """In phases that have natural photos."""
        return self.run.phase.natural > 0

    def losses(self, batch: tuple[Tensor, Tensor, Tensor], turn: Turn) -> Terms:
        """Cross-entropy of the logits, L1 of alpha; in phases with memory after frames of the photo, shaken."""
        src, seg, known = batch
        src, network, phase = channels_last(src), self.run.network, self.run.phase
        rec = warmed_up(self.run, phase, shaken(src, turn.draws), 1., phase.warm_up // 2, turn.draws)
        with self.run.autocast():
            if phase.coarse:
                seg, known = pooled_mask(seg, known)
                _, pred_pha, logits, *_ = coarse_pass(network, src, *rec[1:])
            else:
                hid = network.hidden(src, *rec)[0]
                pred_pha = network.project_mat(hid)[..., 3:, :, :]
                logits = network.project_seg(hid)
        terms = {'segmentation': masked_mean(
            F.binary_cross_entropy_with_logits(logits.float(), seg, reduction='none'), known),
            'pha_l1': masked_mean((clamp_with_slope(pred_pha.float()) - seg).abs(), known)}
        return terms | {'total': terms['segmentation'] + terms['pha_l1']}

    def counted(self, batch: tuple[Tensor, ...]) -> tuple[int, int]:
        """Frames."""
        return 0, batch[0].size(0)


def pooled_mask(seg: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """A mask and where it is sure, at stride 4."""
    return pool_quarter(seg), (pool_quarter(known) > 0.99).float()


@dataclass(frozen=True)
class PhotoMeasure:
    """Alpha of clips: at stride 4 in coarse phases, else at full size, ratio 1. MAD and MSE x 1000, dtSSD x 100."""

    run: PhotoRun

    def __call__(self, forward: Forward, batch: list[Tensor]) -> tuple[dict[str, float], Strip]:
        src, _, pha = (part[0] for part in batch)
        pred, coarse = predicted(self.run, src), self.run.phase.coarse
        numbers = alpha_metrics(pred, pool_quarter(pha) if coarse else pha)
        return {name: value * (100 if name == 'dtssd' else 1000) for name, value in numbers.items()}, {}


@dataclass(frozen=True)
class NaturalMeasure:
    """Held-out natural photos: IoU of people x 100, mean alpha of photos without any x 1000."""

    run: PhotoRun

    def __call__(self, forward: Forward, batch: list[Tensor]) -> tuple[dict[str, list[float]], Strip]:
        src, seg, known = (part[0] for part in batch)
        pred = predicted(self.run, src)
        if self.run.phase.coarse:
            seg, known = pooled_mask(seg, known)
        found, true = (pred > 0.5) * known, (seg > 0.5) * known
        both, either = (found * true).flatten(1).sum(1), (found + true).clamp(max=1).flatten(1).sum(1)
        people = true.flatten(1).sum(1) > 0
        return {'iou': (100 * both / either.clamp(min=1))[people].tolist(),
                'empty': (1000 * (pred * known).flatten(1).mean(1))[~people].tolist()}, {}


def predicted(run: PhotoRun, src: Tensor) -> Tensor:
    """Alpha as a phase trains it: (B, T, 3, H, W) -> (B, T, 1, H, W), or at stride 4, in [0, 1]."""
    src = channels_last(src)
    with run.autocast():
        pred = coarse_pass(run.network, src)[1].clamp(0, 1) if run.phase.coarse else run.network(src)[1]
    return pred.float()


def frozen_encoder(network: MattingNetwork) -> None:
    """Training mode, in which an encoder from ImageNet keeps its statistics: batches here are small and of other
    scenes."""
    network.train()
    for module in network.backbone.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
