import math
import os
import signal

import pytest
import torch

from training.log import read_scalars
from training.optimization import Diverged

from .toys import ToyClips, ToyNetwork, matting_loss, step, toy_config, toy_trainer


def finished(trainer):
    assert trainer.train() is True
    return trainer


def assert_same_run(a, b):
    for (name, x), y in zip(a.network.state_dict().items(), b.network.state_dict().values()):
        assert torch.equal(x, y), name
    for x, y in zip(a.updater.optimizer.state.values(), b.updater.optimizer.state.values()):
        assert all(torch.equal(x[key], y[key]) for key in x)
    assert all(torch.equal(x, b.updater.ema.average[name]) for name, x in a.updater.ema.average.items())
    assert (a.step, a.clock.epoch, a.best) == (b.step, b.clock.epoch, b.best)
    assert {k: own.stream.state_dict() for k, own in a.passes.items()} == \
        {k: own.stream.state_dict() for k, own in b.passes.items()}


class Killed(Exception):
    pass


@pytest.mark.parametrize('settings', [{}, {'ema': 0.9, 'accumulate': 2, 'clip_gradient': 0.1, 'optimizer': 'adamw',
                                           'weight_decay': 0.1, 'schedule': 'cosine', 'warmup_steps': 3},
                                      {'batch_size_per_gpu': 2, 'untouched': 'zero'}], ids=['plain', 'all', 'zero'])
@pytest.mark.parametrize('kill_at', [1, 3, 5, 7])
def test_killed_and_resumed_equals_uninterrupted(tmp_path, settings, kill_at):
    whole = finished(toy_trainer(toy_config(tmp_path / 'whole', **settings)))
    config = toy_config(tmp_path / 'killed', checkpoint_save_interval=2, resume='auto', **settings)
    killed = toy_trainer(config)
    iterate = killed.iterate

    def dying():
        if killed.step == min(kill_at, whole.step - 1):
            raise Killed
        return iterate()

    killed.iterate = dying
    with pytest.raises(Killed):
        killed.train()
    resumed = toy_trainer(config, network=ToyNetwork(seed=5))      # the weights must come from the state
    state = resumed.checkpoints.load_newest()
    if state is None:
        assert kill_at == 1
        resumed = toy_trainer(config)
    else:
        assert resumed.load_state_dict(state) == []
        assert 0 < resumed.step <= kill_at
    assert_same_run(whole, finished(resumed))
    assert csv_of(whole) == csv_of(resumed)


def csv_of(trainer):
    timing = ('_per_second', 'data_wait', 'memory')
    return [row for row in read_scalars(trainer.log.path) if not any(part in row['name'] for part in timing)]


def test_averaged_weights_follow_every_iteration(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path, ema=0.75, epoch_end=1))
    average = {name: value.clone() for name, value in trainer.network.named_parameters()}
    iterate = trainer.iterate

    def following():
        losses = iterate()
        for name, value in trainer.network.named_parameters():
            average[name].data.lerp_(value.data, 0.25)
        return losses

    trainer.iterate = following
    finished(trainer)
    saved = torch.load(trainer.checkpoints.folder / 'epoch-0.pth', weights_only=True)
    for name, value in average.items():
        torch.testing.assert_close(saved[name], value.data, msg=name)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signal_saves_and_leaves(tmp_path, number):
    whole = finished(toy_trainer(toy_config(tmp_path / 'whole')))
    config = toy_config(tmp_path / 'stopped')
    trainer = toy_trainer(config)
    iterate = trainer.iterate

    def interrupted():
        if trainer.step == 2:
            os.kill(os.getpid(), number)
        return iterate()

    trainer.iterate = interrupted
    before = signal.getsignal(number)
    assert trainer.train() is False
    assert signal.getsignal(number) == before
    assert trainer.step == 3
    resumed = toy_trainer(config, network=ToyNetwork(seed=5))
    resumed.load_state_dict(resumed.checkpoints.load_newest())
    assert_same_run(whole, finished(resumed))


def test_loader_processes_change_nothing(tmp_path):
    assert_same_run(finished(toy_trainer(toy_config(tmp_path / 'none', epoch_end=1))),
                    finished(toy_trainer(toy_config(tmp_path / 'two', epoch_end=1), workers=2)))


def test_each_pass_steps_its_own_parts(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path))

    def moved(call):
        before = {name: value.clone() for name, value in trainer.network.named_parameters()}
        call()
        return {name.split('.')[0] for name, value in trainer.network.named_parameters()
                if not torch.equal(value, before[name])}

    shared = {'backbone', 'aspp', 'decoder'}
    assert moved(lambda: step(trainer, 'matting_lr')) == shared | {'project_mat'}
    assert moved(lambda: step(trainer, 'matting_hr')) == \
        shared | {'project_mat', 'refiner'}
    assert moved(lambda: step(trainer, 'seg_video')) == shared | {'project_seg'}
    assert moved(lambda: step(trainer, 'seg_image')) == shared | {'project_seg'}


def test_zero_steps_move_untouched_parts_on_old_momentum(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path, untouched='zero'))
    step(trainer, 'matting_hr')
    before = trainer.network.refiner.weight.clone()
    step(trainer, 'matting_lr')
    assert not torch.equal(before, trainer.network.refiner.weight)
    assert trainer.network.project_seg.weight not in trainer.updater.optimizer.state     # never touched: no zeros yet


def test_video_and_image_segmentation_take_turns(tmp_path):
    trainer = finished(toy_trainer(toy_config(tmp_path, epoch_end=1)))
    rows = {(int(row['step']), row['name']) for row in read_scalars(trainer.log.path)}
    assert {step for step, name in rows if name == 'seg_video_loss'} == {0, 2, 4}
    assert {step for step, name in rows if name == 'seg_image_loss'} == {1, 3, 5}
    assert {step for step, name in rows if name == 'train_hr_total'} == set(range(6))
    assert {name for _, name in rows} >= {'valid_loss', 'valid_lr_mad', 'valid_lr_mse', 'valid_lr_dtssd',
                                          'valid_hr_mad', 'clips_per_second', 'data_wait_share', 'memory_mb'}


def test_the_order_differs_between_epochs(tmp_path):
    seen = []
    trainer = toy_trainer(toy_config(tmp_path))
    own = trainer.passes['matting_lr']
    losses = own.losses
    own.losses = lambda batch, turn: (seen.append(batch[0].sum().item()), losses(batch, turn))[1]
    finished(trainer)
    assert len(seen) == 12 and seen[:6] != seen[6:]


def broken_loss(steps):
    """A loss that is not a number in the given calls of the low-resolution pass."""
    calls = []

    def loss(*arguments, bgr):
        calls.append(None)
        terms = matting_loss(*arguments)
        return {**terms, 'total': terms['total'] * math.nan} if len(calls) - 1 in steps else terms
    return loss


def test_an_update_that_is_not_finite_is_skipped_and_counted(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path), loss=broken_loss({1}))
    clips = trainer.passes['matting_lr'].stream.take(3)
    states = []
    for clip in clips:
        step(trainer, 'matting_lr', [clip])
        states.append({name: value.clone() for name, value in trainer.network.state_dict().items()})
    assert trainer.updater.skipped == 1
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]), 'weights and running statistics'
    assert not torch.equal(states[1]['aspp.weight'], states[2]['aspp.weight'])


def test_a_broken_clip_leaves_running_statistics_whole(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path))
    fgr, pha, bgr = trainer.passes['matting_lr'].stream.take(1)[0]
    step(trainer, 'matting_lr', [(fgr * math.inf, pha, bgr)])
    assert trainer.updater.skipped == 1
    assert all(value.isfinite().all() for value in trainer.network.state_dict().values())


def test_too_many_bad_updates_end_the_run_and_keep_the_last_state(tmp_path):
    config = toy_config(tmp_path, nonfinite_limit=3, checkpoint_save_interval=1, train_hr=False, finetune=True,
                        checkpoint='any')
    trainer = toy_trainer(config, loss=broken_loss({2, 3, 4, 5, 6}))
    with pytest.raises(Diverged, match='3 updates in a row were not finite.*nan.*lower the learning rates'):
        trainer.train()
    state = trainer.checkpoints.load_newest()
    assert state['step'] == 4 and state['updater']['skipped'] == 2
    assert all(value.isfinite().all() for value in state['network'].values())


def test_state_of_another_network_is_refused(tmp_path):
    state = toy_trainer(toy_config(tmp_path)).state_dict()
    with pytest.raises(ValueError, match='model_variant mobilenetv3, this one has resnet50.*--checkpoint-dir'):
        toy_trainer(toy_config(tmp_path, model_variant='resnet50')).load_state_dict(state)
    with pytest.raises(ValueError, match='optimizer adam, this one has adamw'):
        toy_trainer(toy_config(tmp_path, optimizer='adamw')).load_state_dict(state)


def test_changed_settings_are_named(tmp_path):
    state = toy_trainer(toy_config(tmp_path)).state_dict()
    other = toy_trainer(toy_config(tmp_path, learning_rate_aspp=0.5, weight_decay=0.25))
    assert other.load_state_dict(state) == ['learning_rate_aspp: 0.0002 -> 0.5', 'weight_decay: 0.0 -> 0.25']
    group = next(group for group in other.updater.optimizer.param_groups if group['name'] == 'aspp')
    assert (group['initial_lr'], group['weight_decay']) == (0.5, 0.25)


def test_files_of_a_finished_run(tmp_path):
    config = toy_config(tmp_path)
    trainer = finished(toy_trainer(config))
    names = {path.name for path in trainer.checkpoints.folder.iterdir()}
    assert {'epoch-0.pth', 'epoch-1.pth', 'best.pth', 'best.json'} <= names
    assert len(trainer.checkpoints.states()) <= 3 and not any('partial' in name for name in names)
    again = toy_trainer(config)
    again.load_state_dict(again.checkpoints.load_newest())
    assert again.clock.epoch == 2
    assert_same_run(trainer, finished(again))       # nothing is left to do


def test_validation_repeats_and_changes_nothing(tmp_path):
    plain = finished(toy_trainer(toy_config(tmp_path / 'plain', disable_validation=True)))
    validated = toy_trainer(toy_config(tmp_path / 'validated'))
    finished(validated)
    assert all(torch.equal(x, y) for x, y in zip(plain.network.state_dict().values(),
                                                 validated.network.state_dict().values()))
    before = validated.best
    values = [row['value'] for row in csv_of(validated) if row['name'] == 'valid_loss']
    assert before == min(map(float, values)) and len(values) == 2
    assert validated.network.training


def test_sets_without_foreground_train_alpha_alone(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path))
    trainer.passes['matting_lr'].stream.dataset.has_foreground = False
    terms = step(trainer, 'matting_lr')
    assert set(terms) == {'train_lr_pha_l1', 'train_lr_total'}


def test_crops_are_resized_when_asked(tmp_path):
    trainer = toy_trainer(toy_config(tmp_path, crop_height=0.5))
    own = trainer.passes['matting_lr']
    fgr, pha, bgr = own.prepare([x[None] for x in ToyClips(side=16)[0]], trainer.turn(own, 0))
    assert fgr.shape[-1] == 2 * fgr.shape[-2] and fgr.shape[:3] == (1, 2, 3) and pha.shape[-2:] == fgr.shape[-2:]
