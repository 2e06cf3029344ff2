"""What test_distributed.py runs on each of two ranks."""

import math
import sys
from functools import partial
from pathlib import Path

import torch

from training import distributed
from training.validation import validate

from .toys import step, toy_config, toy_trainer


def measure(folder: Path, ranks: distributed.Ranks, batch_size: int) -> dict:
    config = toy_config(folder, batch_size_per_gpu=batch_size)
    trainer = toy_trainer(config, ranks, crop=lambda *clips, generator: list(clips))
    trainer.network.train()
    inner, found = trainer.updater._step, {}

    def record(finite):
        found.setdefault('gradients', {name: p.grad.clone() for name, p in trainer.network.named_parameters()
                                       if p.grad is not None})
        return inner(finite)
    trainer.updater._step = record
    step(trainer, 'matting_lr')
    step(trainer, 'matting_hr')
    step(trainer, 'seg_video')
    step(trainer, 'matting_lr', trainer.passes['matting_lr'].stream.take(2))       # accumulated
    found['network'] = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.network.eval()
    found['validation'], _ = validate(partial(trainer.forward, trainer.network), trainer.validation, ranks)
    trainer.network.train()
    fgr, pha, bgr = next(trainer.passes['matting_lr'].stream)
    if ranks.rank == ranks.world - 1:
        fgr = fgr * math.inf
    step(trainer, 'matting_lr', [(fgr, pha, bgr)])
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
