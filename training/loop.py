"""The training loop of recurrent matting networks.

Paper: Robust High-Resolution Video Matting with Temporal Guidance, arXiv 2108.11515, section 5.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor, nn

from .checkpoint import Checkpoints
from .clips import ClipNetwork, channels_last, resize_height, seeded
from .distributed import Ranks
from .log import Log, Meter
from .optimization import Terms, Updater
from .sampler import Stream
from .signals import StopRequest
from .validation import ValidationSet, validate

AUTOCAST = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


@dataclass
class Streams:
    """Where clips come from; one is None when its pass is off."""

    matting_lr: Stream
    matting_hr: Stream | None = None
    seg_video: Stream | None = None
    seg_image: Stream | None = None

    def present(self) -> dict[str, Stream]:
        return {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) is not None}

    def waited(self) -> float:
        return sum(stream.waited for stream in self.present().values())


@dataclass(frozen=True)
class Losses:
    """Pure functions of tensors, each without knowledge of the trainer."""

    matting: Callable[..., Terms]         # pred_fgr, pred_pha, true_fgr or None, true_pha, bgr -> terms
    segmentation: Callable[..., Tensor]   # logits, mask -> scalar


class Trainer:
    """Trains one stage.

    Args:
        network: on its device, with the weights to start from.
        config: a StageConfig.
        crop: (*clips, generator) -> the same random crop of each.
        precision: 'fp32', 'bf16' or 'fp16'.
        validation: name ('lr', 'hr') -> what to validate on.
    """

    def __init__(self, network: nn.Module, config, streams: Streams, losses: Losses, crop: Callable[..., list[Tensor]],
                 ranks: Ranks, precision: str, checkpoints: Checkpoints, validation: dict[str, ValidationSet]):
        self.network, self.config, self.streams, self.losses, self.crop = network, config, streams, losses, crop
        self.ranks, self.precision, self.checkpoints, self.validation = ranks, precision, checkpoints, validation
        self.module = ranks.wrap(ClipNetwork(network, config.checkpoint_frames), config.compile)
        self.updater = Updater(network, self.module, config, ranks, precision)
        self.epoch, self.epoch_step, self.step = config.epoch_start, 0, 0
        self.best = float('inf')
        self.pictures: dict[str, Tensor] = {}
        self.meter = Meter(ranks.device)

    def train(self) -> bool:
        """From where it stands to the last epoch. False when a signal ended it earlier, with everything saved."""
        self.log = Log(self.config.log_dir, self.ranks.is_main, self.step, not self.config.disable_progress_bar)
        self.network.train()
        try:
            with StopRequest() as self.stop:
                while self.epoch < self.config.epoch_end:
                    if not self.train_epoch():
                        return False
                    self.save()
                    self.validate()
                    self.epoch, self.epoch_step = self.epoch + 1, 0
                    self.streams.matting_lr.begin(self.epoch)
                    self.save_state()
            return True
        finally:
            self.log.close()

    def epoch_length(self) -> int:
        """Iterations of this epoch, those done included."""
        left = -(-len(self.streams.matting_lr) // self.config.accumulate)
        length = self.epoch_step + left
        return min(length, self.config.epoch_steps) if self.config.epoch_steps else length

    def train_epoch(self) -> bool:
        if self.streams.matting_lr.epoch != self.epoch:
            self.streams.matting_lr.begin(self.epoch)
        length = self.epoch_length()
        self.log.begin_epoch(self.epoch, self.epoch_step, length)
        self.meter.reset(self.streams.waited())
        while self.epoch_step < length:
            losses = self.iterate()
            self.log_iteration(losses)
            self.step += 1
            self.epoch_step += 1
            if self.ranks.any(self.stop.received is not None):
                self.save()
                name = self.stop.received.name if self.stop.received else 'signal on another rank'
                self.log.say(f'{name}: saved after step {self.step}, go on with --resume auto')
                self.ranks.any(False)       # nobody leaves before the files are whole
                return False
            if self.step % self.config.checkpoint_save_interval == 0:
                self.save()
        self.log.end_epoch()
        return True

    def iterate(self) -> Terms:
        """A low-resolution pass, a high-resolution pass, a segmentation pass; each is an optimizer step of its own."""
        self.updater.begin_iteration(self.epoch, self.step)
        lr = self.streams.matting_lr
        losses = self.step_matting(lr.take(min(self.config.accumulate, len(lr))), 1., 'lr')
        if self.streams.matting_hr is not None:
            losses |= self.step_matting(self.streams.matting_hr.take(self.config.accumulate),
                                        self.config.downsample_ratio, 'hr')
        if self.config.segmentation:
            tag = 'seg_video' if self.step % 2 == 0 else 'seg_image'
            losses |= self.step_segmentation(getattr(self.streams, tag).take(self.config.accumulate), tag)
        self.updater.ema.update()
        return losses

    def step_matting(self, clips: list, downsample_ratio: float, tag: str) -> Terms:
        """One update on clips of (fgr (B, T, 3, H, W), pha (B, T, 1, H, W), bgr (B, T, 3, H, W)).

        Composition comes after the crop: resized mattes and colours then belong together.
        """
        has_foreground = self.streams.matting_lr.dataset.has_foreground

        def loss(item: tuple) -> Terms:
            fgr, pha, bgr = self.prepare(*item, tag)
            src = fgr * pha + bgr * (1 - pha)
            pred_fgr, pred_pha = self.forward(src, downsample_ratio)
            self.keep_pictures(f'train_{tag}', pred_fgr=pred_fgr, pred_pha=pred_pha, true_fgr=fgr, true_pha=pha,
                               true_src=src)
            return self.losses.matting(pred_fgr, pred_pha, fgr if has_foreground else None, pha, bgr=bgr)

        terms = self.updater.update(list(enumerate(clips)), loss)
        self.meter.count(sum(len(clip[0]) for clip in clips), sum(clip[0].size(0) * clip[0].size(1) for clip in clips))
        return {f'train_{tag}_{name}': term for name, term in terms.items()}

    def step_segmentation(self, clips: list, tag: str) -> Terms:
        """One update on videos (B, T, 3, H, W) or images (N, 3, H, W) with masks, which become clips of one frame."""

        def loss(item: tuple) -> Terms:
            index, (img, seg) = item
            if img.dim() == 4:
                img, seg = img.unsqueeze(1), seg.unsqueeze(1)
            img, seg = self.prepare(index, (img, seg), tag)
            logits, = self.forward(img, segmentation=True)
            self.keep_pictures(tag, pred_seg=logits.sigmoid(), true_seg=seg, true_img=img)
            return {'total': self.losses.segmentation(logits, seg)}

        terms = self.updater.update(list(enumerate(clips)), loss)
        return {f'{tag}_loss': terms['total']}

    def prepare(self, index: int, clip: tuple[Tensor, ...], tag: str) -> list[Tensor]:
        """To the device and cropped, with draws that belong to this pass of this step on this rank."""
        draws = seeded(self.config.seed, self.step, self.ranks.rank, tag, index)
        clip = self.crop(*(x.to(self.ranks.device, non_blocking=True) for x in clip), generator=draws)
        return resize_height(*clip, share=self.config.crop_height) if self.config.crop_height else clip

    def forward(self, src: Tensor, downsample_ratio: float = 1., segmentation: bool = False) -> list[Tensor]:
        if self.config.channels_last:
            src = channels_last(src)
        with self.autocast():
            heads = self.module(src, downsample_ratio=downsample_ratio, segmentation=segmentation)
        return [head.float() for head in heads]

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.ranks.device.type, AUTOCAST[self.precision], enabled=self.precision != 'fp32')

    def keep_pictures(self, tag: str, **clips: Tensor) -> None:
        if self.ranks.is_main and self._due(self.config.log_train_images_interval, tag):
            self.pictures |= {f'{tag}_{name}': clip.detach() for name, clip in clips.items()}

    def _due(self, interval: int, name: str) -> bool:
        step = self.step - self.step % 2 if name.startswith('seg_') else self.step   # they take turns
        return step % interval == 0

    def log_iteration(self, losses: Terms) -> None:
        due = {name: value for name, value in losses.items() if self._due(self.config.log_train_loss_interval, name)}
        self.log.scalars(due, self.step, self.epoch)
        self.log.images(self.pictures, self.step)
        self.pictures = {}
        loss = None
        if self._due(self.config.log_train_loss_interval, 'train'):
            loss = float(losses['train_lr_total'])
            rates = {group['name']: group['lr'] for group in self.updater.optimizer.param_groups}
            self.log.scalars({**{f'learning_rate_{name}': rate for name, rate in rates.items()},
                              'gradient_norm': self.updater.gradient_norm, 'skipped_updates': self.updater.skipped,
                              **self.meter.read(self.streams.waited())}, self.step, self.epoch)
        self.log.advance(loss)

    def validate(self) -> None:
        """Alpha errors and losses on fixed clips; the best weights are kept. The work is spread over the ranks."""
        if self.config.disable_validation or not self.validation:
            return
        with self.updater.ema.applied():
            numbers, strips = validate(self.network, self.validation, self.losses.matting, self.ranks, self.autocast)
        self.network.train()
        last = max(self.step - 1, 0)
        for name, strip in strips.items():
            self.log.strip(f'valid_{name}', strip, last)
        self.log.scalars(numbers, last, self.epoch)
        self.log.say(f'epoch {self.epoch}: ' + ', '.join(f'{name} {value:.5f}' for name, value in numbers.items()))
        if numbers['valid_loss'] < self.best:
            self.best = numbers['valid_loss']
            if self.ranks.is_main:
                place = {'epoch': self.epoch, 'step': self.step}
                self.checkpoints.save_best(self.updater.ema.weights(), place | numbers)

    def save(self) -> None:
        """Weights of this epoch and the full state."""
        if self.ranks.is_main:
            self.checkpoints.save_weights(self.updater.ema.weights(), self.epoch)
        self.save_state()

    def save_state(self) -> None:
        if self.ranks.is_main:
            self.checkpoints.save_state(self.state_dict(), self.step)

    def state_dict(self) -> dict:
        return {'network': self.network.state_dict(), 'updater': self.updater.state_dict(),
                'streams': {name: stream.state_dict() for name, stream in self.streams.present().items()},
                'epoch': self.epoch, 'epoch_step': self.epoch_step, 'step': self.step, 'best': self.best,
                'config': asdict(self.config)}

    def load_state_dict(self, state: dict) -> list[str]:
        """Go to where a saved run stood.

        Returns:
            Settings that differ from that run's, as 'name: before -> now'.
        Raises:
            ValueError: the state belongs to another network or optimizer.
        """
        before, now = state['config'], asdict(self.config)
        for name in ('model_variant', 'refiner', 'optimizer'):
            if before[name] != now[name]:
                raise ValueError(f'the state belongs to a run with {name} {before[name]}, this one has {now[name]}: '
                                 'name another --checkpoint-dir')
        self.network.load_state_dict(state['network'])
        self.updater.load_state_dict(state['updater'])
        for name, stream in self.streams.present().items():
            if name in state['streams']:
                stream.load_state_dict(state['streams'][name])
        self.epoch, self.epoch_step, self.step = state['epoch'], state['epoch_step'], state['step']
        self.best = state['best']
        return [f'{name}: {before.get(name)} -> {value}' for name, value in now.items()
                if before.get(name) != value and name != 'resume']
