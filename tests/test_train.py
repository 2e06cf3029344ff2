"""The command line, end to end on the generated tree."""

import math
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dataset.synthetic import write_tree
from model import VARIANTS, MattingNetwork
from model.weights import load_network, save_network
from train import main
from training.log import read_scalars

ROOT = Path(__file__).resolve().parents[1]
SMALL = shlex.split('--no-pretrained-backbone --resolution-lr 32 --resolution-hr 64 --seq-length-lr 2 '
                    '--seq-length-hr 2 --downsample-ratio 0.5 --num-workers 0 --disable-progress-bar '
                    '--validation-clips 1 --epoch-start 0 --device cpu')


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('tree'), frames=3, size=(48, 48))


@pytest.fixture(autouse=True)
def inside_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments, preset='train'):
    return main(preset, [*SMALL, *map(str, arguments)])


def test_stage_one_writes_weights_that_inference_loads(tree, tmp_path):
    assert run('--stage', 1, '--data-root', tree, '--epoch-end', 1, '--epoch-steps', 2, '--ema', 0.5) == 0
    folder = tmp_path / 'runs/mobilenetv3'
    network = load_network(folder / 'checkpoint/stage1/epoch-0.pth')
    assert network.variant == 'mobilenetv3'
    assert {'best.pth', 'best.json', 'epoch-0.pth'} <= {p.name for p in (folder / 'checkpoint/stage1').iterdir()}
    rows = read_scalars(folder / 'log/stage1/scalars.csv')
    assert {'train_lr_total', 'valid_lr_mad', 'valid_loss'} <= {row['name'] for row in rows}
    # a second run does not write over the first, and a third goes on with it: nothing is left to do
    assert run('--stage', 1, '--data-root', tree, '--epoch-end', 1, '--epoch-steps', 2) == 2
    assert run('--stage', 1, '--data-root', tree, '--epoch-end', 1, '--epoch-steps', 2, '--resume', 'auto') == 0


def test_dry_run_says_everything_and_writes_nothing(tree, tmp_path, capsys):
    assert run('--stage', 4, '--data-root', tree, '--epoch-end', 1, '--dry-run', '--checkpoint', '') == 0
    out = capsys.readouterr().out
    for part in ('seq_length_lr = 2', 'dataset = imagematte', 'network: mobilenetv3', 'steps per epoch: ',
                 'matting_hr: ', 'seg_image: ', 'validation hr: 1 of ', 'memory, peak: '):
        assert part in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('arguments, message', [
    ('--stage 1 --data-root nowhere', 'nowhere'),
    ('--stage 1 --data-root . --model-variant mobilenetv9', 'variant must be one of mobilenetv3'),
    ('--stage 2', 'checkpoint/stage1/epoch-19.pth'),
    ('--stage 1 --resume gone.pt', '--resume gone.pt: no such file'),
    ('--stage 1 --seq-length-lr 0', '--seq-length-lr must be at least 1, got 0'),
    ('--dataset videomatte', 'without --stage these flags are needed: --model-variant'),
    ('--stage 1 --dataset nothing', 'nothing'),
])
def test_bad_input_is_one_line_and_status_two(tree, capsys, arguments, message):
    arguments = arguments.split()
    if '--data-root' not in arguments:
        arguments += ['--data-root', str(tree)]
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith('train.py: ') and error.count('\n') <= 3


def test_checkpoint_of_another_variant(tree, tmp_path, capsys):
    torch.save({'w': torch.zeros(1)}, tmp_path / 'other.pth')
    assert run('--stage', 1, '--data-root', tree, '--checkpoint', 'other.pth') == 2
    assert 'other.pth does not fit this network' in capsys.readouterr().err


def test_finetune_needs_no_segmentation_sets(tmp_path, capsys):
    tree = write_tree(tmp_path / 'own', frames=2, size=(48, 48))
    for name in ('coco_panoptic', 'spd', 'youtubevis'):
        os.rename(tree / name, tree / f'no_{name}')
    save_network(MattingNetwork('mobilenetv3'), tmp_path / 'start.pth')
    assert run('--stage', 4, '--data-root', tree, '--epoch-end', 1, '--epoch-steps', 1, '--checkpoint', 'start.pth',
               '--finetune') == 0
    assert run('--stage', 4, '--data-root', tree, '--epoch-end', 1, '--checkpoint-dir', 'second',
               '--checkpoint', 'start.pth') == 2
    assert 'youtubevis' in capsys.readouterr().err


@pytest.mark.parametrize('preset', ['mobileone_train', 'mamba_train', 'unireplknet_train'])
def test_presets_start_or_name_the_known_encoders(tree, preset, capsys):
    variant = {'mobileone_train': 'mobileone', 'mamba_train': 'mamba', 'unireplknet_train': 'unireplknet_large_kernel'}
    status = run('--data-root', tree, '--epoch-end', 1, '--epoch-steps', 1, '--dry-run', preset=preset)
    if variant[preset] in VARIANTS:
        assert status == 0
    else:
        assert status == 2 and f'{preset}.py: variant must be one of mobilenetv3' in capsys.readouterr().err


@pytest.mark.parametrize('options', [
    '--precision bf16 --channels-last', '--precision fp16 --clip-gradient 1', '--checkpoint-frames 1 --untouched zero',
    '--accumulate 2 --schedule cosine --warmup-steps 2 --optimizer adamw --gradient-weight 1 --composition-weight 1',
    '--crop-height 0.5 --batch-size-per-gpu 2',
    pytest.param('--compile --disable-validation', marks=pytest.mark.slow)])
def test_options_train_through_all_passes(tree, tmp_path, options):
    start = tmp_path / 'start.pth'
    save_network(MattingNetwork('mobilenetv3'), start)
    assert run('--stage', 4, '--data-root', tree, '--epoch-end', 1, '--epoch-steps', 2, '--checkpoint', start,
               '--log-train-loss-interval', 1, *shlex.split(options)) == 0
    rows = read_scalars(tmp_path / 'runs/mobilenetv3/log/stage4/scalars.csv')
    values = [float(row['value']) for row in rows if row['name'].endswith(('_total', '_loss'))]
    assert len(values) >= 6 and all(map(math.isfinite, values))
    assert [row['value'] for row in rows if row['name'] == 'skipped_updates'] == ['0.0', '0.0']
    trained = load_network(tmp_path / 'runs/mobilenetv3/checkpoint/stage4/epoch-0.pth').state_dict()
    before = load_network(start).state_dict()
    moved = {name.split('.')[0] for name in before if name.endswith('weight') and not before[name].equal(trained[name])}
    assert moved == {'backbone', 'aspp', 'decoder', 'project_mat', 'project_seg', 'refiner'}


def test_the_seed_fixes_the_start(tree, tmp_path):
    for name, seed in (('a', 3), ('b', 3), ('c', 4)):
        assert run('--stage', 1, '--data-root', tree, '--epoch-end', 2, '--epoch-steps', 1, '--seed', seed,
                   '--checkpoint-dir', name, '--log-dir', f'log_{name}', '--disable-validation') == 0
    a, b, c = (weights(tmp_path / name) for name in 'abc')
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a['aspp.aspp1.0.weight'], c['aspp.aspp1.0.weight'])


def command(*arguments, launcher=()):
    return [sys.executable, *launcher, str(ROOT / 'train.py'), *SMALL, *map(str, arguments)]


def wait_for(path: Path, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists(), f'{path} did not appear'


def weights(folder: Path):
    return torch.load(folder / 'epoch-1.pth', weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM])
def test_killed_process_goes_on_bitwise(tree, tmp_path, how):
    common = ['--stage', 1, '--data-root', tree, '--epoch-end', 2, '--checkpoint-save-interval', 2, '--num-workers', 2,
              '--resume', 'auto']
    subprocess.run(command(*common, '--checkpoint-dir', 'whole', '--log-dir', 'log1'), check=True, timeout=600)
    broken = command(*common, '--checkpoint-dir', 'broken', '--log-dir', 'log2')
    process = subprocess.Popen(broken, start_new_session=True)
    wait_for(tmp_path / 'broken/state-000000002.pt', process)
    os.killpg(process.pid, how)                 # loader processes get it too
    assert process.wait(60) == (75 if how == signal.SIGTERM else -how)
    again = subprocess.run(broken, check=True, timeout=600, capture_output=True, text=True)
    assert 'resumed at epoch' in again.stdout
    first, second = weights(tmp_path / 'whole'), weights(tmp_path / 'broken')
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize('variant', sorted(VARIANTS))
def test_four_stages_with_each_encoder(tree, tmp_path, variant):
    before = ''
    for stage in (1, 2, 3, 4):
        assert run('--stage', stage, '--model-variant', variant, '--data-root', tree, '--epoch-end', 1,
                   '--epoch-steps', 2, '--checkpoint', before) == 0
        before = tmp_path / f'runs/{variant}/checkpoint/stage{stage}/epoch-0.pth'
    assert load_network(before).variant == variant
