"""Training with a plate from photos: the command on generated photos, going on, what a refining step leaves alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dataset.photo_bank import PhotoBank
from dataset.plate_composer import PlateComposer
from dataset.plate_damage import NONE
from dataset.synthetic import figure, scenery
from model.background import MattingBase, MattingRefine, load_plate_network
from model.background.backbones import start_from_difference
from model.state_dicts import read_state
from model.weights import resolve_checkpoint
from passes.plate import StagedNetwork
from train_plate_photos import PlatePhotoConfig, build, build_network, main


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp('photos')
    for name in ('people/fgr', 'people/pha', 'backgrounds', 'things'):
        (root / name).mkdir(parents=True)
    thing = np.full((20, 30, 4), 255, np.uint8)
    thing[:5, :, 3] = 0
    cv2.imwrite(str(root / 'things/a.png'), thing)
    for number in range(4):
        fgr, pha = figure(number, 0, 90, 140)
        cv2.imwrite(str(root / f'people/fgr/{number}.png'), fgr)
        cv2.imwrite(str(root / f'people/pha/{number}.png'), pha)
        cv2.imwrite(str(root / f'backgrounds/{number}.png'), scenery(number, 0, 80, 60))
    return root


@pytest.fixture
def config(folders, tmp_path):
    return PlatePhotoConfig(photos=str(folders / 'people'), backgrounds=str(folders / 'backgrounds'),
                            run_dir=str(tmp_path / 'run'), phases='smoke',
                            objects=str(folders / 'things'), device='cpu', pretrained_backbone=False, minutes=0.02,
                            disable_progress_bar=True)


def flags(config):
    return ['--photos', config.photos, '--backgrounds', config.backgrounds, '--objects', config.objects, '--run-dir',
            config.run_dir, '--preset', 'smoke', '--device', 'cpu', '--no-pretrained-backbone', '--minutes', '0.02',
            '--disable-progress-bar']


def bank(folders):
    return PhotoBank.from_folders(folders / 'people/fgr', folders / 'people/pha')


def test_without_damage_the_plate_is_what_the_frame_shows_beside_the_foreground(folders):
    things = PhotoBank.from_folders(folders / 'things')
    composer = PlateComposer(bank(folders), None, 64, objects=things, damage=NONE)
    src, plate, fgr, pha = composer.batch(0, 8)
    assert src.shape == plate.shape == fgr.shape == (8, 3, 64, 64) and pha.shape == (8, 1, 64, 64)
    torch.testing.assert_close(src, plate * (1 - pha) + fgr * pha)
    again = composer.batch(0, 8)
    assert all(torch.equal(a, b) for a, b in zip((src, plate, fgr, pha), again, strict=True))
    people = PlateComposer(bank(folders), None, 64, damage=NONE).batch(0, 8)[3]
    assert (pha != people).flatten(1).any(1).sum() > 1          # some frames have a thing as foreground


@pytest.mark.slow
def test_a_run_writes_a_network_and_goes_on(config, tmp_path, capsys):
    assert main(flags(config)) == 0
    state, _ = read_state(tmp_path / 'run/checkpoint/epoch-0.pth')
    network = load_plate_network(state, 'epoch-0.pth')
    assert isinstance(network, MattingRefine) and network.variant == 'efficientnet_lite0'
    assert 'mad' in capsys.readouterr().out
    assert main(flags(config)) == 0
    assert 'resumed at' in capsys.readouterr().out


def steps(trainer, count):
    trainer.network.train()
    for _ in range(count):
        trainer.iterate()
        trainer.step += 1
        trainer.clock.tick(1e-3)
    return trainer


def test_stopped_and_continued_equals_uninterrupted(config):
    whole = steps(build(config), 2)
    apart = replace(config, run_dir=config.run_dir + '_b')
    steps(build(apart), 1).save()
    second = steps(build(apart), 1)
    assert second.step == 2
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    for name, value in whole.updater.ema.weights().items():
        assert torch.equal(value, second.updater.ema.weights()[name]), name


def test_a_refining_step_changes_the_refiner_alone(config):
    trainer = build(config)
    torch.nn.init.constant_(trainer.network.decoder.conv4.bias[:5], 0.5)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.clock.elapsed = 0.7 * 60 * config.minutes                # the second phase
    terms = trainer.iterate()
    assert {'train_refine_pha', 'train_refine_pha_sm', 'train_refine_err', 'train_refine_total'} <= terms.keys()
    changed = [name for name, value in trainer.network.state_dict().items() if not torch.equal(value, before[name])]
    assert {name.split('.')[0] for name in changed} == {'refiner'}


def test_coarse_pass_is_the_base_network(folders):
    network = MattingRefine('mobilenetv2').eval()
    torch.nn.init.constant_(network.decoder.conv4.bias[:5], 0.5)
    src, plate = torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48)
    for a, b in zip(StagedNetwork(network)(src, plate, coarse=True), MattingBase.forward(network, src, plate)[:3],
                    strict=True):
        torch.testing.assert_close(a, b)


def test_every_second_filter_starts_as_a_difference():
    network = MattingRefine('efficientnet_lite0')
    start_from_difference(network.backbone)
    weight = network.backbone._conv_stem.weight
    assert torch.equal(weight[::2, 3:], -weight[::2, :3])
    same = torch.rand(1, 3, 16, 16).repeat(1, 2, 1, 1)
    assert network.backbone._conv_stem(same)[:, ::2].abs().max() < 1e-5


@pytest.mark.parametrize('change, message', [
    ({'--minutes': '0'}, '--minutes must be larger than 0'), ({'--photos': '/nowhere'}, '/nowhere')])
def test_bad_input_is_one_line(config, change, message, capsys):
    arguments = flags(config)
    for name, value in change.items():
        arguments[arguments.index(name) + 1] = value
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_a_run_starts_from_weights_of_a_name(config):
    network = build_network(replace(config, checkpoint='background_default'), fresh=True)
    shipped, _ = read_state(resolve_checkpoint('background_default'))
    assert all(torch.equal(value, shipped[name].to(value.dtype)) for name, value in network.state_dict().items())
