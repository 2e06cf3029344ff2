import resource
import signal

import pytest
import torch

from training.checkpoint import Checkpoints, SaveError, read_state

from .toys import toy_config, toy_trainer


def state(step, size=10):
    return {'network': {'w': torch.full((size,), float(step))}, 'updater': {}, 'streams': {}, 'step': step}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / 'checkpoint', keep_states=2)


@pytest.fixture
def small_disk():
    """Files end at 20 kB, with the error of a full disk."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def shrink():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    yield shrink
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_newest_states_are_kept_and_read(checkpoints):
    for step in (5, 900, 1000, 10_000):
        checkpoints.save_state(state(step), step)
    assert [path.name for path in checkpoints.states()] == ['state-000001000.pt', 'state-000010000.pt']
    assert checkpoints.load_newest()['step'] == 10_000


@pytest.mark.parametrize('keep', [0, 10, 500, 0.5, -1])
def test_truncated_state_falls_back_to_the_one_before(checkpoints, capsys, keep):
    for step in (1, 2):
        checkpoints.save_state(state(step, size=2000), step)
    newest = checkpoints.states()[-1]
    content = newest.read_bytes()
    newest.write_bytes(content[:int(keep * len(content)) if isinstance(keep, float) else keep])
    assert checkpoints.load_newest()['step'] == 1
    assert f'state {newest} is damaged' in capsys.readouterr().out


def test_all_states_damaged(checkpoints):
    checkpoints.save_state(state(1), 1)
    checkpoints.states()[0].write_bytes(b'')
    with pytest.raises(ValueError, match='all 1 states.*are damaged: start from the last epoch-N.pth'):
        checkpoints.load_newest()


def test_no_state_at_all(checkpoints):
    assert checkpoints.load_newest() is None


def test_weights_are_no_state(checkpoints):
    checkpoints.save_weights({'w': torch.zeros(3)}, 7)
    with pytest.raises(ValueError, match='epoch-7.pth is not a full state.*--checkpoint'):
        read_state(checkpoints.folder / 'epoch-7.pth')
    with pytest.raises(FileNotFoundError, match='--resume nothing.pt: no such file; "auto"'):
        read_state('nothing.pt')


def test_full_disk_keeps_what_was_there(checkpoints, small_disk):
    checkpoints.save_state(state(1), 1)
    checkpoints.save_weights({'w': torch.ones(10)}, 0)
    small_disk()
    with pytest.raises(SaveError, match=r'cannot write .*File too large; the state before it, .*state-000000001.pt, '
                                        'is whole. Make room'):
        checkpoints.save_state(state(2, size=100_000), 2)
    with pytest.raises(SaveError, match='File too large'):
        checkpoints.save_weights({'w': torch.ones(100_000)}, 0)
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ['epoch-0.pth', 'state-000000001.pt']
    assert checkpoints.load_newest()['step'] == 1
    assert torch.load(checkpoints.folder / 'epoch-0.pth', weights_only=True)['w'].equal(torch.ones(10))


def test_state_holds_only_plain_values(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path, ema=0.5, precision='bf16', epoch_end=1))
    trainer.train()
    restored = trainer.checkpoints.load_newest()        # weights_only=True
    assert restored['config']['ema'] == 0.5 and restored['best'] == trainer.best
    weights = torch.load(trainer.checkpoints.folder / 'epoch-0.pth', weights_only=True)
    assert all(weights[name].equal(value) for name, value in trainer.updater.ema.average.items())
    assert not weights['aspp.weight'].equal(trainer.network.aspp.weight)
