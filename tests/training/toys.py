"""A matting network and data sets small enough to train in milliseconds."""

import random
from dataclasses import asdict

import torch
from torch import nn
from torch.utils.data import Dataset

from passes.matting import MattingMeasure, MattingPass, Preparation, SegmentationPass, learning_rates
from train_config import PRESETS, StageConfig, resolve
from training.checkpoint import Checkpoints
from training.clips import ClipNetwork
from training.clock import Epochs
from training.distributed import Ranks
from training.loop import Run, Trainer
from training.optimization import Optimization
from training.sampler import Stream
from training.validation import ValidationSet

CPU = Ranks(0, 1, torch.device('cpu'))


class ToyNetwork(nn.Module):
    """The interface and the parts of MattingNetwork: recurrent, batch-normalised, a refiner below ratio 1."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.aspp = nn.Conv2d(4, 4, 1)
        self.decoder = nn.Conv2d(8, 4, 3, padding=1)
        self.project_mat = nn.Conv2d(4, 4, 1)
        self.project_seg = nn.Conv2d(4, 1, 1)
        self.refiner = nn.Conv2d(4, 4, 1)

    def forward(self, src, r1=None, downsample_ratio=1., segmentation_pass=False):
        """(B, T, 3, H, W) -> [fgr, pha, r1], or [logits, r1]."""
        B, T = src.shape[:2]
        f = self.aspp(self.backbone(src.flatten(0, 1))).unflatten(0, (B, T))
        r1 = torch.zeros_like(f[:, 0]) if r1 is None else r1
        hid = []
        for t in range(T):
            r1 = self.decoder(torch.cat([f[:, t], r1], 1)).tanh()
            hid.append(r1)
        hid = torch.stack(hid, 1).flatten(0, 1)
        if segmentation_pass:
            return [self.project_seg(hid).unflatten(0, (B, T)), r1]
        out = self.project_mat(hid)
        if downsample_ratio != 1:
            out = self.refiner(out)
        out = out.sigmoid().unflatten(0, (B, T))
        return [out[:, :, :3], out[:, :, 3:], r1]


class ToyClips(Dataset):
    """Items as `dataset.matting_dataset` gives them; draws depend on (seed, epoch, index)."""

    def __init__(self, length: int = 6, T: int = 2, side: int = 8, seed: int = 0):
        self.length, self.T, self.side, self.seed, self.epoch, self.has_foreground = length, T, side, seed, 0, True

    def __len__(self):
        return self.length

    def set_epoch(self, epoch):
        self.epoch = epoch

    def draw(self, index, *channels):
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch, index)) % 2 ** 31)
        return tuple(torch.rand(self.T, c, self.side, self.side, generator=generator) for c in channels)

    def __getitem__(self, index):
        return self.draw(index, 3, 1, 3)


class ToyMasks(ToyClips):
    """Items of a segmentation video set, or with T = 0 of an image set."""

    def __getitem__(self, index):
        if self.T:
            return self.draw(index, 3, 1)
        generator = torch.Generator().manual_seed(1000 * self.epoch + index)
        return tuple(torch.rand(c, self.side, self.side, generator=generator).round() for c in (3, 1))


def crop(*clips, generator: random.Random):
    h = generator.randint(clips[0].size(-2) // 2, clips[0].size(-2) - 1)
    return [clip[..., :h, :h] for clip in clips]


def matting_loss(pred_fgr, pred_pha, true_fgr, true_pha, bgr=None):
    terms = {'pha_l1': (pred_pha - true_pha).abs().mean()}
    if true_fgr is not None:
        terms['fgr_l1'] = (pred_fgr - true_fgr).abs().mean()
    return {**terms, 'total': sum(terms.values())}


def toy_config(folder, **settings) -> StageConfig:
    base = {'model_variant': 'mobilenetv3', 'checkpoint_dir': str(folder / 'checkpoint'),
            'log_dir': str(folder / 'log'), 'epoch_start': 0, 'epoch_end': 2, 'train_hr': True, 'disable_progress_bar':
            True, 'log_train_loss_interval': 1, 'log_train_images_interval': 1000, 'learning_rate_backbone': 1e-3,
            'learning_rate_refiner': 1e-3, 'keep_states': 3}
    return resolve(PRESETS['train'], 1, base | settings)


def toy_trainer(config: StageConfig, ranks: Ranks = CPU, workers: int = 0, network=None, crop=crop,
                loss=matting_loss, clips: int = 6) -> Trainer:
    sets = {'matting_lr': ToyClips(clips), 'matting_hr': ToyClips(4, side=16, seed=1), 'seg_video': ToyMasks(5),
            'seg_image': ToyMasks(7, T=0)}
    if not config.train_hr:
        del sets['matting_hr']
    streams = {name: Stream(data, config.batch_size_per_gpu, workers, ranks.rank, ranks.world, config.seed)
               for name, data in sets.items()}
    prepare, ratios = Preparation(crop, config.crop_height), {'lr': 1., 'hr': 0.5}
    passes = [MattingPass(tag, streams[f'matting_{tag}'], loss, prepare, ratio) for tag, ratio in ratios.items()
              if f'matting_{tag}' in streams]
    if config.segmentation:
        passes += [SegmentationPass(name, streams[name], nn.functional.binary_cross_entropy_with_logits, prepare, turn)
                   for turn, name in enumerate(('seg_video', 'seg_image'))]
    valid = {'lr': ToyClips(3, seed=9), 'hr': ToyClips(2, side=16, seed=8)}
    validation = {} if config.disable_validation else {
        tag: ValidationSet(data, MattingMeasure(loss, True, ratios[tag])) for tag, data in valid.items()}
    return toy_run(network or ToyNetwork(), config, passes, ranks, validation)


def step(trainer: Trainer, name: str, batches: list | None = None) -> dict:
    """One update of a pass."""
    own = trainer.passes[name]
    return trainer.update({own: batches or own.stream.take(1)})


def toy_run(network: nn.Module, config: StageConfig, passes: list, ranks: Ranks = CPU, validation=None) -> Trainer:
    """As train.py puts a run together."""
    clock = Epochs(passes[0].stream, config.epoch_start, config.epoch_end, config.epoch_steps, config.accumulate,
                   config.checkpoint_save_interval)
    run = Run(Checkpoints(config.checkpoint_dir, config.keep_states), config.log_dir, ranks,
              Optimization.of(config, learning_rates(config)), config.precision if config.precision != 'auto' else
              'fp32', config.seed, config.accumulate, config.log_train_loss_interval,
              config.log_train_images_interval, False, asdict(config), ('model_variant', 'refiner', 'optimizer'))
    module = ranks.wrap(ClipNetwork(network, config.checkpoint_frames), config.compile)
    return Trainer(network, module, passes, clock, run, validation)
