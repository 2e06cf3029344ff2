"""custom_inference.py: the output tree, what is skipped, what fails and what goes on."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cli.command import one_line
from custom_inference import main
from inference_utils import VideoWriter
from model import MattingNetwork
from model.weights import save_network
from video.background import RVM_GREEN
from video.images import read_image

FRAMES = 3


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'random.safetensors'
    torch.manual_seed(0)
    model = MattingNetwork('mobilenetv3', 'fast_guided_filter')
    torch.nn.init.constant_(model.project_mat.conv.bias[3:], 0.5)        # a matte that is neither 0 nor 1
    save_network(model, path)
    return path


def write_frames(folder: Path, count: int = FRAMES, size: tuple[int, int] = (64, 48)) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        noise = np.random.default_rng(index).integers(0, 255, (size[1], size[0], 3), np.uint8)
        cv2.imwrite(str(folder / f'{index}.png'), noise)


@pytest.fixture
def data(tmp_path):
    """A dataset of the three kinds of sequences."""
    write_frames(tmp_path / 'data' / 'people' / 'a' / 'fgr')
    write_frames(tmp_path / 'data' / 'people' / 'b')
    with VideoWriter(tmp_path / 'data' / 'people' / 'c.mp4', 25) as writer:
        writer.write(torch.rand(FRAMES, 3, 48, 64))
    (tmp_path / 'data' / 'people' / 'notes.txt').write_text('not a sequence')
    return tmp_path


@pytest.fixture
def command(data, weights):
    """Runs the command in this process; returns its exit code."""
    def run(*extra: str) -> int:
        return main(['--dataset', 'people', '--data-dir', str(data / 'data'), '--data-out', str(data / 'out'),
                     '--weights', str(weights), '--disable-progress', '--device', 'cpu', *map(str, extra)])
    return run


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


def test_output_tree_and_pictures(command, data, capsys):
    assert command() == 0
    assert tree(data / 'out') == sorted(f'people/{sequence}/{kind}/{index:04d}.png' for sequence in 'abc'
                                        for kind in ('pha', 'fgr', 'com') for index in range(FRAMES))
    folder = data / 'out' / 'people' / 'a'
    pha, fgr, com = (cv2.imread(str(folder / kind / '0001.png'), cv2.IMREAD_UNCHANGED)
                     for kind in ('pha', 'fgr', 'com'))
    assert pha.shape == (48, 64) and fgr.shape == (48, 64, 3) and com.shape == (48, 64, 3)
    alpha = pha[..., None].astype(np.float32) / 255
    expected = fgr * alpha + np.float32(RVM_GREEN)[::-1] * (1 - alpha)
    assert pha.max() > 0 and np.abs(com - expected).max() <= 1.5
    assert f'3 sequences: 3 done; {3 * FRAMES} frames' in capsys.readouterr().out


def test_complete_sequences_are_skipped_and_others_converted_again(command, data, capsys):
    assert command() == 0
    out = data / 'out' / 'people'
    before = {name: (out / name).stat().st_mtime_ns for name in tree(out)}
    (out / 'b' / 'com' / '0002.png').unlink()
    write_frames(data / 'data' / 'people' / 'd', count=1)
    capsys.readouterr()
    assert command() == 0
    assert '4 sequences: 2 skipped, 2 done; 4 frames' in capsys.readouterr().out
    changed = {name.split('/')[0] for name, time in before.items() if (out / name).stat().st_mtime_ns != time}
    assert changed == {'b'} and (out / 'b' / 'com' / '0002.png').exists() and (out / 'd' / 'pha' / '0000.png').exists()


def test_overwrite_converts_everything_again(command, data):
    assert command() == 0
    marked = data / 'out' / 'people' / 'a' / 'pha' / '0000.png'
    original = marked.read_bytes()
    marked.write_bytes(b'changed')
    assert command() == 0 and marked.read_bytes() == b'changed'
    assert command('--overwrite') == 0 and marked.read_bytes() == original


def test_failures_are_reported_and_the_others_converted(command, data, capsys):
    people = data / 'data' / 'people'
    (people / 'broken.mp4').write_text('this is text')
    (people / 'empty').mkdir()
    (people / 'b' / '1.png').write_bytes(b'not an image')
    assert command() == 1
    captured = capsys.readouterr()
    assert 'broken.mp4 is not a video' in captured.err and 'empty has no images' in captured.err
    assert 'b is damaged: 1 of 3 pictures were left out' in captured.err and 'b/1.png is not an image' in captured.err
    assert '5 sequences: 2 done, 1 damaged, 2 bad input' in captured.out
    assert {name.split('/')[1] for name in tree(data / 'out')} == {'a', 'b', 'c'}


def test_input_resize(command, data):
    assert command('--input-resize', 32, 40, '--downsample-ratio', 0.5, '--seq-chunk', 2) == 0
    assert read_image(data / 'out' / 'people' / 'c' / 'com' / '0000.png').shape == (40, 32, 3)


@pytest.mark.parametrize(('extra', 'message'), [
    (['--dataset', 'nobody'], 'nobody: no such folder; expected --data-dir/--dataset'),
    (['--downsample-ratio', '1.5'], r'--downsample-ratio must be auto or a number in (0, 1], got 1.5'),
    (['--seq-chunk', '0'], '--seq-chunk must be at least 1 frame, got 0'),
    (['--input-resize', '0', '10'], '--input-resize must be two positive numbers'),
    (['--weights', 'missing.pth'], "checkpoint 'missing.pth': no such file"),
    (['--variant', 'resnet50'], 'is a mobilenetv3 network, asked for resnet50'),
    (['--device', 'toaster'], 'device must be auto, cpu'),
])
def test_bad_input_ends_with_one_line(command, data, capsys, extra, message):
    assert command(*extra) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    assert not (data / 'out').exists()


def test_results_never_go_into_the_dataset(command, data, capsys):
    before = tree(data / 'data')
    assert command('--data-out', data / 'data') == 2
    assert '--data-out would put results into the dataset itself' in capsys.readouterr().err
    assert tree(data / 'data') == before


def test_sequences_of_one_name_and_empty_datasets(command, data, capsys):
    (data / 'data' / 'people' / 'a.mov').write_bytes(b'')
    assert command() == 2
    assert '2 sequences have the name a' in capsys.readouterr().err
    (data / 'data' / 'empty').mkdir()
    assert command('--dataset', 'empty') == 2
    assert 'empty has no sequences: expected' in capsys.readouterr().err


def test_errors_become_one_line_that_names_the_file(tmp_path):
    with pytest.raises(OSError) as caught:
        (tmp_path / 'missing' / 'file').write_text('')
    assert one_line(caught.value) == f'{tmp_path}/missing/file: No such file or directory'
    assert one_line(ValueError('two\n  lines')) == 'two lines'


def test_as_a_command(data, weights):
    script = Path(__file__).parents[1] / 'custom_inference.py'
    done = subprocess.run([sys.executable, script, '--dataset', 'people', '--data-dir', 'data', '--data-out', 'out',
                           '--weights', weights], cwd=data, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '[3/3] c' in done.stdout and (data / 'out' / 'people' / 'c' / 'com' / '0002.png').is_file()
