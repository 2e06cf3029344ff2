"""What test_distributed.py runs on each of two ranks."""

import math
import sys
from pathlib import Path

import torch

from training import distributed

from .toys import toy_config, toy_trainer


def measure(folder: Path, ranks: distributed.Ranks, batch_size: int) -> dict:
    config = toy_config(folder, batch_size_per_gpu=batch_size)
    trainer = toy_trainer(config, ranks, crop=lambda *clips, generator: list(clips))
    trainer.network.train()
    step, found = trainer.updater._step, {}

    def record(finite):
        found.setdefault('gradients', {name: p.grad.clone() for name, p in trainer.network.named_parameters()
                                       if p.grad is not None})
        return step(finite)
    trainer.updater._step = record
    streams = trainer.streams
    trainer.step_matting(streams.matting_lr.take(1), 1., 'lr')
    trainer.step_matting(streams.matting_hr.take(1), 0.5, 'hr')
    trainer.step_segmentation(streams.seg_video.take(1), 'seg_video')
    trainer.step_matting(streams.matting_lr.take(2), 1., 'lr')       # accumulated
    found['network'] = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    from training.validation import validate
    found['validation'], _ = validate(trainer.network, trainer.validation, trainer.losses.matting, ranks,
                                      trainer.autocast)
    trainer.network.train()
    fgr, pha, bgr = streams.matting_lr.take(1)[0]
    if ranks.rank == ranks.world - 1:
        fgr = fgr * math.inf
    trainer.step_matting([(fgr, pha, bgr)], 1., 'lr')
    found['skipped'] = trainer.updater.skipped
    return found


def main(folder: str, task: str = 'measure') -> None:
    torch.set_num_threads(1)
    ranks = distributed.start('cpu', 'localhost', '12355')
    if task == 'train':
        assert toy_trainer(toy_config(Path(folder)), ranks).train()
    else:
        torch.save(measure(Path(folder), ranks, batch_size=1), Path(folder) / f'rank{ranks.rank}.pt')
    distributed.stop()


if __name__ == '__main__':
    main(*sys.argv[1:])
