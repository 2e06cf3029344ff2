"""The passes of recurrent video matting: what an iteration of train.py does with clips and with masks.

Paper: Robust High-Resolution Video Matting with Temporal Guidance, arXiv 2108.11515, section 5: a low-resolution pass,
a high-resolution pass through the refiner, and a segmentation pass on videos and images in turns.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from metrics import alpha_metrics
from training.clips import channels_last, resize_height
from training.passes import Batches, Pass, Terms, Turn
from training.validation import Forward, Strip

# child of the network -> whose learning rate it takes
PARTS = {'backbone': 'backbone', 'aspp': 'aspp', 'decoder': 'decoder', 'project_mat': 'decoder',
         'project_seg': 'decoder', 'coarse': 'decoder', 'refiner': 'refiner'}


def learning_rates(config) -> dict[str, float]:
    """Child of the network -> the learning rate that the settings give it."""
    return {name: getattr(config, f'learning_rate_{part}') for name, part in PARTS.items()}


@dataclass(frozen=True)
class Preparation:
    """From a loaded clip to what the network is given.

    Args:
        crop: (*clips, generator) -> the same random crop of each.
        height: resize crops to this share of their width; 0: do not.
        channels_last: memory layout of what the network is given.
    """

    crop: Callable[..., list[Tensor]]
    height: float = 0.
    channels_last: bool = False

    def __call__(self, clips: tuple[Tensor, ...], turn: Turn) -> list[Tensor]:
        """Clips (B, T, C, H, W), on the device and cropped alike."""
        clips = self.crop(*(x.to(turn.device, non_blocking=True) for x in clips), generator=turn.draws)
        return resize_height(*clips, share=self.height) if self.height else clips

    def laid_out(self, src: Tensor) -> Tensor:
        """In the memory layout that the network wants."""
        return channels_last(src) if self.channels_last else src


class MattingPass(Pass):
    """Clips of (fgr (B, T, 3, H, W), pha (B, T, 1, H, W), bgr (B, T, 3, H, W)), composed after the crop.

    Args:
        tag: 'lr' or 'hr'.
        loss: pred_fgr, pred_pha, true_fgr or None, true_pha, bgr -> terms.
        downsample_ratio: below 1 through the refiner.
    """

    def __init__(self, tag: str, stream: Batches, loss: Callable[..., Terms], prepare: Preparation,
                 downsample_ratio: float = 1.):
        super().__init__(f'matting_{tag}', stream, tag)
        self.loss, self.prepare, self.downsample_ratio = loss, prepare, downsample_ratio

    def losses(self, batch: tuple[Tensor, ...], turn: Turn) -> Terms:
        """Resized mattes and colours belong together because composition comes last."""
        fgr, pha, bgr = self.prepare(batch, turn)
        src = fgr * pha + bgr * (1 - pha)
        pred_fgr, pred_pha = turn.forward(self.prepare.laid_out(src), downsample_ratio=self.downsample_ratio)
        turn.show(f'train_{self.tag}', pred_fgr=pred_fgr, pred_pha=pred_pha, true_fgr=fgr, true_pha=pha, true_src=src)
        return self.loss(pred_fgr, pred_pha, fgr if self.stream.dataset.has_foreground else None, pha, bgr=bgr)

    def counted(self, batch: tuple[Tensor, ...]) -> tuple[int, int]:
        """Clips and frames."""
        return len(batch[0]), batch[0].size(0) * batch[0].size(1)


class SegmentationPass(Pass):
    """Videos (B, T, 3, H, W) or images (N, 3, H, W) with masks; images become clips of one frame.

    Args:
        loss: logits, mask -> scalar.
        turn: of the two passes that take turns.
    """

    def __init__(self, name: str, stream: Batches, loss: Callable[..., Tensor], prepare: Preparation, turn: int):
        super().__init__(name, stream, every=2, turn=turn)
        self.loss, self.prepare = loss, prepare

    def losses(self, batch: tuple[Tensor, Tensor], turn: Turn) -> Terms:
        """Cross-entropy of the logits."""
        img, seg = batch
        if img.dim() == 4:
            img, seg = img.unsqueeze(1), seg.unsqueeze(1)
        img, seg = self.prepare((img, seg), turn)
        logits, = turn.forward(self.prepare.laid_out(img), heads=1, segmentation_pass=True)
        turn.show(self.tag, pred_seg=logits.sigmoid(), true_seg=seg, true_img=img)
        return {'total': self.loss(logits, seg)}

    def logged(self, terms: Terms) -> Terms:
        """Its only term, as the published training calls it."""
        return {f'{self.tag}_loss': terms['total']}


@dataclass(frozen=True)
class MattingMeasure:
    """Losses and alpha metrics of a validation clip (fgr, pha, bgr), each (1, T, C, H, W)."""

    loss: Callable[..., Terms]
    has_foreground: bool
    downsample_ratio: float = 1.

    def __call__(self, forward: Forward, clip: list[Tensor]) -> tuple[dict[str, float], Strip]:
        fgr, pha, bgr = clip
        src = fgr * pha + bgr * (1 - pha)
        pred_fgr, pred_pha = forward(src, downsample_ratio=self.downsample_ratio)[:2]
        terms = self.loss(pred_fgr, pred_pha, fgr if self.has_foreground else None, pha, bgr=bgr)
        numbers = {name: value.item() for name, value in terms.items()} | alpha_metrics(pred_pha, pha)
        return numbers, {'src': src[0], 'true_pha': pha[0], 'pred_pha': pred_pha[0],
                         'pred_com': (pred_fgr * pred_pha + 1 - pred_pha)[0]}
