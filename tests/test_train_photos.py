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
from dataset.synthetic import figure, scenery
from model.weights import load_network
from tests.dataset.test_natural_photos import natural_folder
from train_photos import PRESETS, PhotoConfig, build, main
from training.log import read_scalars


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
    return ['--photos', str(folders / 'people'), '--backgrounds', str(folders / 'backgrounds'), '--preset', 'smoke',
            '--run-dir', str(tmp_path / 'run'), '--device', 'cpu', '--precision', 'fp32', '--disable-progress-bar',
            '--no-pretrained-backbone', '--natural', str(folders / 'natural')]


@pytest.fixture
def config(folders, tmp_path):
    return PhotoConfig(str(folders / 'people'), str(folders / 'backgrounds'), str(tmp_path / 'run'), 'smoke',
                       natural=str(folders / 'natural'), pretrained_backbone=False, device='cpu', precision='fp32',
                       disable_progress_bar=True)


def test_a_run_writes_weights_that_inference_loads(flags, tmp_path, capsys):
    assert main([*flags, '--minutes', '0.03']) == 0
    network = load_network(tmp_path / 'run/checkpoint/epoch-0.pth')
    assert network.variant == 'efficientnet_lite0' and network.refiner_name == 'deep_guided_filter'
    assert 'mad' in capsys.readouterr().out
    assert any(row['name'] == 'valid_mad' for row in read_scalars(tmp_path / 'run/log/scalars.csv'))
    # the budget is spent: nothing is left to do; with a larger one it goes on
    assert main([*flags, '--minutes', '0.03']) == 0
    assert 'goes on at step' in capsys.readouterr().out


def test_objects_reach_the_composers(config, folders, tmp_path):
    (tmp_path / 'things').mkdir()
    thing = np.full((20, 30, 4), 255, np.uint8)
    thing[:5, :, 3] = 0
    cv2.imwrite(str(tmp_path / 'things/a.png'), thing)
    trainer = build(replace(config, objects=str(tmp_path / 'things')))
    assert all(len(composer.objects) == 1 for composer in trainer.composers.values())
    assert all(composer.objects is None for composer in build(config).composers.values())
    assert trainer.valid.objects is None         # validation stays comparable between runs
    assert torch.isfinite(torch.as_tensor(trainer.iterate(0)['total']))


def test_stopped_and_continued_equals_uninterrupted(config, tmp_path):
    def steps(trainer, count):
        for _ in range(count):
            trainer.iterate(1)
            trainer.step += 1
        return trainer

    class NoLog:
        def scalars(self, *_):
            pass

        def say(self, text):
            pass

    whole = steps(build(config), 4)
    config = replace(config, run_dir=str(tmp_path / 'pieces'))
    first = steps(build(config), 2)
    first.elapsed = 7.5
    first.save(NoLog())
    assert first.phase_steps == {1: 2}
    second = build(config)
    assert (second.step, second.elapsed) == (2, 7.5)
    steps(second, 2)
    for name, value in whole.updater.ema.weights().items():
        torch.testing.assert_close(value, second.updater.ema.weights()[name], msg=name)


def test_averages_move_and_are_what_is_saved(config):
    trainer = build(replace(config, ema=0.5))
    before = trainer.network.aspp.aspp1[0].weight.detach().clone()
    for _ in range(2):
        trainer.iterate(0)
        trainer.step += 1
    now, average = trainer.network.aspp.aspp1[0].weight, trainer.updater.ema.weights()['aspp.aspp1.0.weight']
    assert not torch.equal(average, before) and not torch.equal(average, now)


def test_the_average_begins_anew_with_every_phase(config):
    trainer, decays = build(config), []
    for index in (0, 0, 0, 1, 1):
        trainer.iterate(index)
        trainer.step += 1
        decays.append(trainer.updater.ema.decay)
    assert decays == pytest.approx([1 / 10, 2 / 11, 3 / 12, 1 / 10, 2 / 11])


def test_phases_and_rates_follow_the_clock(config):
    trainer = build(replace(config, minutes=10., warmup_steps=1))
    shares = [phase.share for phase in PRESETS['smoke']]
    rates, phases = [], []
    for share in (0, 0.39, 0.41, 0.79, 0.81, 1):
        trainer.elapsed = 600 * share
        trainer._set_rates()
        phases.append(trainer.phase())
        rates.append(trainer.updater.optimizer.param_groups[0]['lr'])
    assert shares == [0.4, 0.4, 0.2] and phases == [0, 0, 1, 1, 2, 2]
    assert rates[0] == config.learning_rate_backbone and rates[-1] == 0 and all(a > b for a, b in pairwise(rates))


@pytest.mark.parametrize('preset', sorted(PRESETS))
def test_presets_use_the_whole_budget_and_train_the_refiner_last(preset):
    phases = PRESETS[preset]
    assert sum(phase.share for phase in phases) == pytest.approx(1)
    assert phases[0].coarse and phases[-1].ratios[1] < 1
    assert all(size % 32 == 0 for phase in phases for size, _ in phase.batches)


@pytest.mark.parametrize('index', range(3))
def test_every_phase_trains_its_parts(config, index):
    trainer = build(replace(config, warmup_steps=1))
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    terms = trainer.iterate(index)
    assert all(torch.isfinite(value) for value in terms.values())
    moved = {name.split('.')[0] for name, value in trainer.network.named_parameters()
             if not torch.equal(value, before[name])}
    whole = {'backbone', 'aspp', 'decoder', 'project_mat'}
    expected = [{'backbone', 'aspp', 'decoder', 'coarse'}, whole | {'project_seg'}, whole | {'refiner'}][index]
    assert expected - {'project_mat'} <= moved <= expected
    assert any(name.startswith('natural_') for name in terms) == (index < 2)


def test_pretrained_statistics_stay_and_those_of_the_decoder_do_not(config):
    def statistics(trainer):
        return {name: value.clone() for name, value in trainer.network.state_dict().items() if 'running' in name}
    trainer = build(config)
    trainer.set_training()
    before = statistics(trainer)
    trainer.iterate(1)
    moved = {name.split('.')[0] for name, value in statistics(trainer).items() if not torch.equal(value, before[name])}
    assert moved == {'aspp', 'decoder'}
    trainer = build(replace(config, frozen_statistics=False))
    trainer.set_training()
    trainer.iterate(1)
    assert any(name.startswith('backbone.') for name, value in statistics(trainer).items()
               if not torch.equal(value, before[name]))


def test_warming_up_fills_the_memory_and_leaves_the_statistics(config):
    trainer, phase = build(config), replace(PRESETS['smoke'][1], warm_up=5)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items() if 'running' in name}
    src = torch.rand(2, 2, 3, 64, 64)
    for seed in range(8):
        rec = trainer.warmed_up(phase, src, 1., random.Random(seed))
        if rec[0] is not None:
            break
    assert [list(state.shape[-2:]) for state in rec] == [[32, 32], [16, 16], [8, 8], [4, 4]]
    assert not any(state.requires_grad for state in rec)
    assert all(torch.equal(value, trainer.network.state_dict()[name]) for name, value in before.items())
    rec = trainer.warmed_up(replace(phase, coarse=True), src, 1., random.Random(seed))
    assert rec[0] is None and [list(state.shape[-2:]) for state in rec[1:]] == [[16, 16], [8, 8], [4, 4]]
    assert trainer.warmed_up(replace(phase, warm_up=0), src, 1., random.Random(seed)) == [None] * 4


def test_natural_photos_are_validated_on_held_out_ones(config):
    trainer = build(config)
    assert len(trainer.valid_natural) == 2 and len(trainer.natural[64]) == 4
    numbers = trainer.validate(1, 1)
    assert 0 <= numbers['natural_iou'] <= 100 and numbers['natural_empty'] >= 0


def test_a_signal_saves_and_asks_to_be_run_again(flags, tmp_path, monkeypatch):
    iterate = train_photos.PhotoTrainer.iterate

    def interrupted(trainer, index):
        if trainer.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        return iterate(trainer, index)
    monkeypatch.setattr(train_photos.PhotoTrainer, 'iterate', interrupted)
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
