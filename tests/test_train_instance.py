"""Training the instance network: the command on generated people, its settings, and going on after a stop."""

import subprocess
import sys
from random import Random

import pytest
import torch

from model.instance.checkpoint import load_instance_network
from passes.instance import changes, place_in_slots
from tests.photos import write_photos
from train_instance import InstanceConfig, build, main, parse
from training.log import read_scalars


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp('people'))


@pytest.fixture
def flags(folders, tmp_path):
    return ['--photos', str(folders / 'people'), '--backgrounds', str(folders / 'backgrounds'), '--run-dir',
            str(tmp_path / 'run'), '--width', '0.06', '--crop', '64', '--batch-size', '2', '--max-iter', '2',
            '--val-iter', '2', '--val-clips', '1', '--max-people', '2', '--max-inst', '3', '--warmup-steps', '1',
            '--device', 'cpu', '--disable-progress-bar']


@pytest.mark.slow
def test_image_then_video(flags, tmp_path, capsys):
    assert main(flags) == 0
    best = tmp_path / 'run/checkpoint/best.pth'
    assert not load_instance_network(best).form.video
    rows = {row['name'] for row in read_scalars(tmp_path / 'run/log/scalars.csv')}
    assert {'train_instance_attention', 'valid_people_mad', 'valid_people_near'} <= rows
    assert main([*flags, '--stage', 'video', '--checkpoint', str(best), '--run-dir', str(tmp_path / 'video'),
                 '--clip-length', '2', '--change-head']) == 0
    network = load_instance_network(tmp_path / 'video/checkpoint/best.pth')
    assert network.form.video and network.form.change and network.form.slots == 3
    rows = {row['name'] for row in read_scalars(tmp_path / 'video/log/scalars.csv')}
    assert {'train_instance_dtssd', 'train_instance_change'} <= rows
    capsys.readouterr()
    assert main([*flags, '--checkpoint', str(best), '--run-dir', str(tmp_path / 'wide'), '--width', '0.5']) == 2
    assert 'is a network of channels' in capsys.readouterr().err


def test_stopped_and_continued_equals_uninterrupted(flags, tmp_path):
    def run(folder: str, *lengths: int) -> dict:
        for length in lengths:
            trainer = build(parse([*flags, '--run-dir', str(tmp_path / folder), '--max-iter', '2', '--val-iter', '9']))
            trainer.network.train()
            for _ in range(length):
                trainer.iterate()
                trainer.step += 1
                trainer.clock.tick(0)
            trainer.save_state()
        return trainer.network.state_dict()
    whole, parts = run('whole', 2), run('parts', 1, 1)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0, msg=name)


def test_settings_from_everywhere(tmp_path):
    (tmp_path / 'a.yaml').write_text('stage: video\ncrop: 320\nlearning_rate: 1.0e-3\nmax_inst: 6\n')
    config = parse(['--config', str(tmp_path / 'a.yaml'), '--crop', '256', 'max_inst', '7', 'change_head=true'])
    assert (config.stage, config.crop, config.max_inst, config.change_head) == ('video', 256, 7, True)
    assert config.learning_rate == 1e-3 and config.batch_size == 4 and config.frames == 8      # 4: of the video stage
    assert parse([]).learning_rate == 1.5e-4 and parse([]).frames == 1


@pytest.mark.parametrize('arguments,message', [
    (['cropp', '5'], 'cropp is no setting'), (['crop', 'wide'], "crop must be of type int, got 'wide'"),
    (['crop'], 'must be pairs'), (['stage', 'film'], 'stage must be one of image, video'),
    (['--config', 'nowhere.yaml'], 'no such file'), (['max_people', '11'], 'max_people must be 2 to max_inst'),
])
def test_bad_settings_are_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_nothing_to_train_on(capsys):
    assert main([]) == 2
    assert 'photos is missing: say --photos' in capsys.readouterr().err


def test_people_get_slots():
    clips = [(torch.rand(1, 3, 8, 8), torch.full((1, n, 8, 8), 0.5), torch.ones(1, n, 8, 8)) for n in (1, 3)]
    src, pha, msk = place_in_slots(clips, 5, Random(0))
    assert src.shape == (2, 1, 3, 8, 8) and msk.sum((1, 3, 4)).gt(0).sum(1).tolist() == [1, 3]
    assert torch.equal(pha > 0, msk > 0)


def test_changes_by_hand():
    pha = torch.zeros(1, 3, 2, 40, 40)
    pha[:, 2, 1, 20, 20] = 0.5
    moved = changes(pha)
    assert moved[0, 0].min() == 1 and moved[0, 1].max() == 0
    assert moved[0, 2, 0, 20, 20] == 1 and moved[0, 2, 0, 0, 0] == 0


@pytest.mark.slow
def test_two_ranks(flags, tmp_path):
    done = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--master-port',
                           '29617', 'train_instance.py', *flags], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'instance network (image)' in done.stdout and '2 x cpu' in done.stdout
    load_instance_network(tmp_path / 'run/checkpoint/best.pth')


def test_config_is_checked():
    with pytest.raises(ValueError, match='width must be larger than 0'):
        InstanceConfig(width=0)
