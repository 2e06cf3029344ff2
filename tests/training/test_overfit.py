"""Real network, real losses, real data code: one clip is learnt."""

from functools import partial

import pytest
import torch

from dataset import data_paths, matting_dataset
from dataset.synthetic import write_tree
from model import MattingNetwork
from passes.matting import MattingMeasure, MattingPass, Preparation
from train_loss import matting_loss
from training.sampler import Stream
from training.validation import ValidationSet, validate

from .toys import CPU, toy_config, toy_run


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
    prepare = Preparation(lambda *clips, generator: list(clips))
    trainer = toy_run(MattingNetwork('mobilenetv3').train(), config,
                      [MattingPass('lr', Stream(clip, 1, 0), matting_loss, prepare)])
    validation = {'lr': ValidationSet(clip, MattingMeasure(matting_loss, True), clips=1)}
    mad = []
    for _ in range(10):
        for _ in range(60):
            trainer.iterate()
            trainer.step += 1
        trainer.network.eval()
        numbers, _ = validate(partial(trainer.forward, trainer.network), validation, CPU)
        trainer.network.train()
        mad.append(numbers['valid_lr_mad'])
        if mad[-1] < 0.01:
            break
    assert mad[-1] < 0.02, mad
    assert clip.item[1].mean() > 0.05       # the empty matte would not do
