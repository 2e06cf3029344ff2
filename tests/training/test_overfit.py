"""Real network, real losses, real data code: one clip is learnt."""

import pytest
import torch

from dataset import data_paths, matting_dataset
from dataset.synthetic import write_tree
from model import MattingNetwork
from train_loss import matting_loss, segmentation_loss
from training.checkpoint import Checkpoints
from training.loop import Losses, Streams, Trainer
from training.sampler import Stream
from training.validation import ValidationSet, validate

from .toys import CPU, toy_config


class OneClip:
    """The same item for ever."""

    has_foreground = True

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return 10_000

    def set_epoch(self, epoch):
        pass

    def __getitem__(self, index):
        return self.item


@pytest.mark.slow
def test_one_clip_is_learnt(tmp_path):
    paths = data_paths(write_tree(tmp_path / 'tree', frames=3))
    clip = OneClip(matting_dataset('videomatte', 'valid', paths, 64, 2)[0])
    rate = 1e-3
    config = toy_config(tmp_path, train_hr=False, finetune=True, checkpoint='none', learning_rate_backbone=rate,
                        learning_rate_aspp=rate, learning_rate_decoder=rate)
    torch.manual_seed(0)
    trainer = Trainer(MattingNetwork('mobilenetv3').train(), config, Streams(Stream(clip, 1, 0)),
                      Losses(matting_loss, segmentation_loss), lambda *clips, generator: list(clips), CPU, 'fp32',
                      Checkpoints(tmp_path / 'checkpoint'), {})
    mad = []
    for _ in range(10):
        for _ in range(60):
            trainer.iterate()
            trainer.step += 1
        numbers, _ = validate(trainer.network, {'lr': ValidationSet(clip, 1., clips=1)}, matting_loss, CPU,
                              trainer.autocast)
        trainer.network.train()
        mad.append(numbers['valid_lr_mad'])
        if mad[-1] < 0.01:
            break
    assert mad[-1] < 0.02, mad
    assert clip.item[1].mean() > 0.05       # the empty matte would not do
