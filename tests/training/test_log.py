"""Every board gets every number and picture; wandb is an optional extra, so a module of its interface stands for it."""

import sys
from types import SimpleNamespace

import pytest
import torch

from training.log import Log, read_scalars
from training.wandb_board import INSTALL


class Wandb:
    """What `WandbBoard` uses of the package."""

    def __init__(self):
        self.begun, self.logged, self.finished = [], [], 0

    def init(self, **settings):
        self.begun.append(settings)
        return SimpleNamespace(id=settings['id'] or f'run{len(self.begun)}', log=self.logged.append, finish=self.finish)

    def finish(self):
        self.finished += 1

    Image = staticmethod(lambda pixels: pixels)


@pytest.fixture
def wandb(monkeypatch):
    fake = Wandb()
    monkeypatch.setitem(sys.modules, 'wandb', fake)
    return fake


def test_wandb_gets_what_tensorboard_gets_and_a_run_goes_on_as_the_same(tmp_path, wandb):
    for step in (1, 2):
        log = Log(tmp_path, step=step, progress=False, wandb_project='mattes', settings={'seed': 7})
        log.scalars({'loss': 0.5}, step, 0)
        log.strip('clip', {'pha': torch.rand(3, 1, 24, 32)}, step)
        log.close()
    first, second = wandb.begun
    assert first['project'] == 'mattes' and first['config'] == {'seed': 7} and first['id'] is None
    assert second['id'] == 'run1' and wandb.finished == 2
    assert [entry['iteration'] for entry in wandb.logged] == [1, 1, 2, 2]
    assert wandb.logged[0]['loss'] == 0.5 and wandb.logged[1]['clip'].shape[2] == 3
    assert [row['value'] for row in read_scalars(tmp_path / 'scalars.csv')] == ['0.5', '0.5']


def test_without_a_project_nothing_is_imported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'wandb', None)         # importing it would fail
    Log(tmp_path, progress=False).close()
    with pytest.raises(RuntimeError, match=INSTALL):
        Log(tmp_path, progress=False, wandb_project='mattes')


def test_other_ranks_write_nothing(tmp_path, wandb):
    log = Log(tmp_path / 'log', active=False, wandb_project='mattes')
    log.scalars({'loss': 1.}, 0, 0)
    log.close()
    assert not wandb.begun and not (tmp_path / 'log').exists()
