"""Training from photos: the command on generated photos, its clock, its pieces."""

import os
import random
import signal
import time
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

import train_photos
from dataset.photo_composer import PhotoComposer
from dataset.synthetic import figure, scenery
from model import MattingNetwork
from model.weights import load_network
from passes.photos import shaken, warmed_up
from tests.dataset.test_natural_photos import natural_folder
from train_photos import PRESETS, PhotoConfig, build, freeze, main
from training.log import read_scalars
from training.loop import Trainer
from training.passes import Turn
from training.validation import validate


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp('photos')
    for name in ('people/fgr', 'people/pha', 'backgrounds'):
        (root / name).mkdir(parents=True)
    for number in range(4):
        fgr, pha = figure(number, 0, 90, 140)
        cv2.imwrite(str(root / f'people/fgr/{number}.png'), fgr)
        cv2.imwrite(str(root / f'people/pha/{number}.png'), pha)
        cv2.imwrite(str(root / f'backgrounds/{number}.png'), scenery(number, 0, 80, 60))
    natural_folder(root / 'natural', 6)
    return root


@pytest.fixture
def flags(folders, tmp_path):
    return ['--photos', str(folders / 'people'), '--backgrounds', str(folders / 'backgrounds'), '--phases', 'smoke',
            '--run-dir', str(tmp_path / 'run'), '--device', 'cpu', '--precision', 'fp32', '--disable-progress-bar',
            '--no-pretrained-backbone', '--natural', str(folders / 'natural')]


@pytest.fixture
def config(folders, tmp_path):
    return PhotoConfig(photos=str(folders / 'people'), backgrounds=str(folders / 'backgrounds'),
                       run_dir=str(tmp_path / 'run'), phases='smoke',
                       natural=str(folders / 'natural'), pretrained_backbone=False, device='cpu', precision='fp32',
                       disable_progress_bar=True)


def step(trainer, phase: int) -> dict:
    """One iteration in the middle of a phase."""
    clock = trainer.clock
    clock.elapsed = 60 * clock.minutes * (sum(clock.shares[:phase]) + clock.shares[phase] / 2)
    terms = trainer.iterate()
    clock.tick(0.)
    trainer.step += 1
    return terms


def numbers_of(trainer) -> dict[str, float]:
    trainer.network.eval()
    return validate(None, trainer.validation, trainer.ranks)[0]


def test_a_run_writes_weights_that_inference_loads(flags, tmp_path, capsys):
    assert main([*flags, '--minutes', '0.03']) == 0
    network = load_network(tmp_path / 'run/checkpoint/epoch-0.pth')
    assert network.variant == 'efficientnet_lite0' and network.refiner_name == 'deep_guided_filter'
    assert 'mad' in capsys.readouterr().out
    assert any(row['name'] == 'valid_photos_mad' for row in read_scalars(tmp_path / 'run/log/scalars.csv'))
    # the budget is spent: nothing is left to do; with a larger one it goes on
    assert main([*flags, '--minutes', '0.03']) == 0
    assert 'resumed at' in capsys.readouterr().out


def test_objects_reach_the_composers(config, tmp_path, monkeypatch):
    (tmp_path / 'things').mkdir()
    thing = np.full((20, 30, 4), 255, np.uint8)
    thing[:5, :, 3] = 0
    cv2.imwrite(str(tmp_path / 'things/a.png'), thing)
    made = []
    monkeypatch.setattr(train_photos, 'PhotoComposer', lambda *given: (made.append(given), PhotoComposer(*given))[1])
    trainer = build(replace(config, objects=str(tmp_path / 'things')))
    assert [len(given[5]) for given in made[:-1]] == [1] * len(made[:-1]) and len(made) > 3
    assert len(made[-1]) == 5                    # validation has none: it stays comparable between runs
    assert torch.isfinite(step(trainer, 0)['train_total'])


def test_stopped_and_continued_equals_uninterrupted(config, tmp_path):
    def steps(trainer, count):
        for _ in range(count):
            step(trainer, 1)
        return trainer

    whole = steps(build(config), 4)
    config = replace(config, run_dir=str(tmp_path / 'pieces'))
    first = steps(build(config), 2)
    first.save()
    assert first.clock.phase_steps == {1: 2}
    second = build(config)
    assert (second.step, second.clock.elapsed, second.clock.age) == (2, first.clock.elapsed, 2)
    steps(second, 2)
    for name, value in whole.updater.ema.weights().items():
        torch.testing.assert_close(value, second.updater.ema.weights()[name], msg=name)


def test_averages_move_and_are_what_is_saved(config):
    trainer = build(replace(config, ema=0.5))
    before = trainer.network.aspp.aspp1[0].weight.detach().clone()
    for _ in range(2):
        step(trainer, 0)
    now, average = trainer.network.aspp.aspp1[0].weight, trainer.updater.ema.weights()['aspp.aspp1.0.weight']
    assert not torch.equal(average, before) and not torch.equal(average, now)


def test_the_average_begins_anew_with_every_phase(config):
    trainer, ages = build(config), []
    update = trainer.updater.ema.update
    trainer.updater.ema.update = lambda age: (ages.append(age), update(age))
    for index in (0, 0, 0, 1, 1):
        step(trainer, index)
    assert ages == [0, 1, 2, 0, 1]


def test_phases_and_rates_follow_the_clock(config):
    trainer = build(replace(config, minutes=10., warmup_steps=1))
    shares = [phase.share for phase in PRESETS['smoke']]
    rates, phases = [], []
    for share in (0, 0.39, 0.41, 0.79, 0.81, 1):
        trainer.clock.elapsed = 600 * share
        trainer.updater.set_rates(trainer.clock.progress, trainer.step)
        phases.append(trainer.clock.part)
        rates.append(trainer.updater.optimizer.param_groups[0]['lr'])
    assert shares == [0.4, 0.4, 0.2] and phases == [0, 0, 1, 1, 2, 2]
    assert rates[0] == config.learning_rate_backbone and rates[-1] == 0 and all(a > b for a, b in pairwise(rates))


@pytest.mark.parametrize('preset', sorted(PRESETS))
def test_presets_use_the_whole_budget_and_train_the_refiner_last(preset):
    phases = PRESETS[preset]
    assert sum(phase.share for phase in phases) == pytest.approx(1)
    assert phases[0].coarse
    assert phases[-1].ratios[1] < 1 or preset in ('cpu_more', 'cpu_scenes')     # cpu_edges goes on from them
    assert all(size % 32 == 0 for phase in phases for size, _ in phase.batches)


@pytest.mark.parametrize('index', range(3))
def test_every_phase_trains_its_parts(config, index):
    trainer = build(replace(config, warmup_steps=1))
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    terms = step(trainer, index)
    assert all(torch.isfinite(value) for value in terms.values())
    moved = {name.split('.')[0] for name, value in trainer.network.named_parameters()
             if not torch.equal(value, before[name])}
    whole = {'backbone', 'aspp', 'decoder', 'project_mat'}
    expected = [{'backbone', 'aspp', 'decoder', 'coarse'}, whole | {'project_seg'}, whole | {'refiner'}][index]
    assert expected - {'project_mat'} <= moved <= expected
    assert any(name.startswith('train_natural_') for name in terms) == (index < 2)


def test_pretrained_statistics_stay_and_those_of_the_decoder_do_not(config):
    def statistics(trainer):
        return {name: value.clone() for name, value in trainer.network.state_dict().items() if 'running' in name}
    trainer = build(config)
    trainer.run.training_mode(trainer.network)
    before = statistics(trainer)
    step(trainer, 1)
    moved = {name.split('.')[0] for name, value in statistics(trainer).items() if not torch.equal(value, before[name])}
    assert moved == {'aspp', 'decoder'}
    trainer = build(replace(config, frozen_statistics=False))
    trainer.run.training_mode(trainer.network)
    step(trainer, 1)
    assert any(name.startswith('backbone.') for name, value in statistics(trainer).items()
               if not torch.equal(value, before[name]))


def test_warming_up_fills_the_memory_and_leaves_the_statistics(config):
    trainer, phase = build(config), replace(PRESETS['smoke'][1], warm_up=5)
    run = trainer.passes['clips'].run
    before = {name: value.clone() for name, value in trainer.network.state_dict().items() if 'running' in name}
    src = torch.rand(2, 2, 3, 64, 64)
    for seed in range(8):
        rec = warmed_up(run, phase, src, 1., 5, random.Random(seed))
        if rec[0] is not None:
            break
    assert [list(state.shape[-2:]) for state in rec] == [[32, 32], [16, 16], [8, 8], [4, 4]]
    assert not any(state.requires_grad for state in rec)
    assert all(torch.equal(value, trainer.network.state_dict()[name]) for name, value in before.items())
    rec = warmed_up(run, replace(phase, coarse=True), src, 1., 5, random.Random(seed))
    assert rec[0] is None and [list(state.shape[-2:]) for state in rec[1:]] == [[16, 16], [8, 8], [4, 4]]
    assert warmed_up(run, phase, src, 1., 0, random.Random(seed)) == [None] * 4


def test_a_photo_is_shaken_around_where_it_is():
    src = torch.rand(2, 1, 3, 40, 64)
    clip = shaken(src, random.Random(0))
    assert clip.shape == (2, 4, 3, 40, 64) and torch.equal(clip[:, :1], src)
    for k in range(1, 4):
        assert any(torch.equal(clip[:, k, :, 4:-4, 4:-4], src[:, 0].roll((y, x), (-2, -1))[..., 4:-4, 4:-4])
                   for y in range(-1, 2) for x in range(-1, 2))              # 3 % of 40 pixels: one


def test_natural_photos_are_judged_after_frames_of_theirs(config, monkeypatch):
    trainer = build(config)
    step(trainer, 1)                                       # the phase with memory
    natural = trainer.passes['natural']
    [batch] = natural.stream.take(1, 5)
    trainer.network.eval()
    with torch.no_grad():
        losses = {natural.losses(batch, Turn(5, torch.device('cpu'), random.Random(seed), trainer.network,
                                             lambda **_: None))['total'].item() for seed in range(8)}
    assert len(losses) > 1                                 # the same photos, with and without a memory


def test_natural_photos_are_validated_on_held_out_ones(config):
    trainer = build(config)
    numbers = numbers_of(trainer)
    assert 0 <= numbers['valid_natural_iou'] <= 100 and numbers['valid_natural_empty'] >= 0
    assert set(numbers) == {'valid_natural_iou', 'valid_natural_empty', 'valid_photos_mad', 'valid_photos_mse',
                            'valid_photos_dtssd'}


def test_a_state_written_before_there_was_one_trainer_is_gone_on_with(config, tmp_path):
    """The default weights of 2026-11 came from such a run: no streams, no best, the clock beside the step."""
    first = build(config)
    step(first, 1)
    state = first.state_dict()
    old = {key: state[key] for key in ('network', 'updater', 'step', 'elapsed', 'phase_steps', 'config')}
    first.checkpoints.save_state(old | {'streams': {}}, first.step)
    second = build(config)
    assert (second.step, second.clock.elapsed, second.clock.age) == (1, first.clock.elapsed, 1)
    for name, value in first.updater.ema.weights().items():
        assert torch.equal(value, second.updater.ema.weights()[name]), name
    with pytest.raises(ValueError, match='belongs to a run with model_variant .*: name another --run-dir'):
        build(replace(config, model_variant='mobilenetv3'))


def test_a_signal_saves_and_asks_to_be_run_again(flags, tmp_path, monkeypatch):
    iterate = Trainer.iterate

    def interrupted(trainer):
        if trainer.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        return iterate(trainer)
    monkeypatch.setattr(Trainer, 'iterate', interrupted)
    assert main([*flags, '--minutes', '60']) == 75
    assert list((tmp_path / 'run/checkpoint').glob('state-*.pt'))


@pytest.mark.parametrize('wrong, message', [
    (['--minutes', '0'], '--minutes must be larger than 0, got 0'),
    (['--ema', '1'], r'--ema must be in [0, 1), got 1'),
    (['--photos', 'nowhere'], 'nowhere'),
    (['--backgrounds', 'nowhere'], 'nowhere'),
    (['--checkpoint', 'missing.pth'], "checkpoint 'missing.pth': no such file"),
])
def test_bad_input_gets_one_line(flags, wrong, message, capsys):
    assert main([*flags, *wrong]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_frozen_weights_stay_and_a_name_that_is_none_is_an_error():
    network = MattingNetwork('efficientnet_lite0')
    freeze(network, ['backbone._conv_stem', 'backbone._blocks.0.'])
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    assert 'backbone._conv_stem.weight' in frozen and all(
        name.startswith(('backbone._conv_stem', 'backbone._blocks.0.')) for name in frozen)
    with pytest.raises(ValueError, match="--frozen: no weight begins with 'encoder'"):
        freeze(network, ['encoder'])
