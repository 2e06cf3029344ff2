"""Both stages with a plate on the generated tree: published flags, going on, what was left over."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.models.segmentation import deeplabv3_resnet50

from dataset.synthetic import write_tree
from model.background import MattingBase, MattingRefine, load_plate_network, start_from_deeplab
from model.state_dicts import read_state
from passes.plate_config import STAGES, PlateConfig
from train_base import build, main, resolve
from training.ahead import Fixed
from training.distributed import Ranks
from training.log import read_scalars

ROOT = Path(__file__).resolve().parents[1]
SMALL = shlex.split('--model-backbone mobilenetv2 --resolution 64 --batch-size 2 --num-workers 0 --epoch-end 1 '
                    '--epoch-steps 1 --validation-frames 1 --device cpu --disable-progress-bar')


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('tree'), frames=2, size=(48, 48))


@pytest.fixture(autouse=True)
def inside_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(tree, *arguments, stage='base'):
    return main(stage, [*SMALL, '--data-root', str(tree), *map(str, arguments)])


def test_base_then_refine_with_published_flags(tree, tmp_path, capsys):
    assert run(tree, '--dataset-name', 'p3m10k', '--background-dataset', 'bg20k', '--model-name', 'base') == 0
    state, _ = read_state(tmp_path / 'checkpoint/base/epoch-0.pth')
    assert type(load_plate_network(state, 'epoch-0.pth')) is MattingBase
    rows = {row['name'] for row in read_scalars(tmp_path / 'log/base/scalars.csv')}
    assert {'train_base_pha', 'train_base_err', 'valid_base_mad', 'valid_loss'} <= rows
    capsys.readouterr()
    assert run(tree, '--dataset-name', 'distinction', '--model-name', 'refine', '--model-last-checkpoint',
               'checkpoint/base/epoch-0.pth', '--model-refine-sample-pixels', 160, stage='refine') == 0
    assert '362 keys loaded; the 20 keys of the refiner keep their initial values' in capsys.readouterr().out
    state, _ = read_state(tmp_path / 'checkpoint/refine/epoch-0.pth')
    assert isinstance(load_plate_network(state, 'epoch-0.pth'), MattingRefine)
    # a second run does not write over the first; one that goes on has nothing left to do
    again = ('--dataset-name', 'distinction', '--model-name', 'refine', '--model-last-checkpoint',
             'checkpoint/base/epoch-0.pth')
    assert run(tree, *again, stage='refine') == 2
    assert 'holds states of an earlier run' in capsys.readouterr().err
    assert run(tree, *again, '--resume', 'auto', stage='refine') == 0


def config(tree, stage='base', **given):
    return resolve(stage, {'dataset_name': 'photos', 'model_backbone': 'mobilenetv2', 'model_name': 'x', 'epoch_end': 1,
                           'data_root': str(tree), 'resolution': 64, 'num_workers': 0, 'device': 'cpu', **given})


def test_rates_are_those_of_the_paper(tree):
    base, refine = config(tree), config(tree, 'refine', model_last_checkpoint='a.pth')
    assert [base.learning_rate_backbone, base.learning_rate_aspp, base.learning_rate_decoder] == [1e-4, 5e-4, 5e-4]
    assert [refine.learning_rate_backbone, refine.learning_rate_aspp, refine.learning_rate_decoder,
            refine.learning_rate_refiner] == [5e-5, 5e-5, 1e-4, 3e-4]
    assert (base.batch_size, refine.batch_size, STAGES['base']['resolution']) == (8, 4, 512)
    trainer = build('base', base, Ranks(0, 1, torch.device('cpu')))
    groups = {group['name']: group['lr'] for group in trainer.updater.optimizer.param_groups}
    assert groups == {'backbone': 1e-4, 'aspp': 5e-4, 'decoder': 5e-4}
    assert len(trainer.checkpoints.states()) == 0


@pytest.mark.parametrize('name, solid', [('p3m', 0.95), ('ppm100', 0.95), ('photos', 0.), ('videomatte', 0.)])
def test_colours_of_whole_photographs_are_judged_where_they_show_the_person_alone(tree, name, solid):
    trainer = build('base', config(tree, dataset_name=name), Ranks(0, 1, torch.device('cpu')))
    assert trainer.passes['base'].how['solid'] == solid


def test_validation_frames_are_the_same_each_time(tree):
    trainer = build('base', config(tree), Ranks(0, 1, torch.device('cpu')))
    frames = trainer.validation['base'].dataset
    assert isinstance(frames, Fixed)
    first, second = frames[1], frames[1]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert [x.shape[0] for x in first] == [3, 3, 3, 1] and not torch.equal(first[0], first[1])


def test_deeplab_starts_encoder_and_aspp_and_another_encoder_fails_loudly():
    deeplab = deeplabv3_resnet50(weights=None, weights_backbone=None).state_dict()
    network = MattingBase('resnet50')
    said = start_from_deeplab(network, deeplab, 'deeplab.pth')
    assert 'keys of encoder and ASPP loaded' in said
    assert torch.equal(network.aspp.project[0].weight, deeplab['classifier.0.project.0.weight'])
    assert torch.equal(network.backbone.conv1.weight[:, :3], deeplab['backbone.conv1.weight'])
    with pytest.raises(ValueError, match='deeplab.pth has another encoder than mobilenetv3'):
        start_from_deeplab(MattingBase('mobilenetv3'), deeplab, 'deeplab.pth')


@pytest.mark.parametrize('arguments, message', [
    (['--dataset-name', 'nothing', '--model-name', 'x'], "unknown matting set 'nothing'"),
    (['--model-name', 'x'], 'needs --dataset-name'),
    (['--dataset-name', 'photos', '--model-name', 'x', '--background-dataset', 'rooms'], 'unknown set of backgrounds'),
    (['--dataset-name', 'photos', '--model-name', 'x', '--model-last-checkpoint', 'no.pth'], 'no.pth: no such file'),
    (['--dataset-name', 'photos', '--model-name', 'x', '--model-refine-kernel-size', '5'], 'must be 1 or 3, got 5'),
])
def test_bad_input_is_one_line(tree, arguments, message, capsys):
    assert run(tree, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_every_setting_of_a_stage_is_a_field():
    names = {item for stage in STAGES.values() for item in stage}
    assert names <= {item.name for item in __import__('dataclasses').fields(PlateConfig)}


@pytest.mark.slow
def test_both_stages_on_two_ranks(tree, tmp_path):
    common = [*SMALL, '--data-root', str(tree), '--dataset-name', 'videomatte']
    for script, more in (('train_base.py', ['--model-name', 'base']),
                         ('train_refine.py', ['--model-name', 'refine', '--model-last-checkpoint',
                                              'checkpoint/base/epoch-0.pth', '--model-refine-sample-pixels', '160'])):
        done = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
                               str(ROOT / script), *common, *more], capture_output=True, text=True, timeout=500,
                              env=os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)})
        assert done.returncode == 0, done.stderr[-2000:]
        assert 'ranks: 2 on cpu' in done.stdout
    state, _ = read_state(tmp_path / 'checkpoint/refine/epoch-0.pth')
    assert isinstance(load_plate_network(state, 'epoch-0.pth'), MattingRefine)
