"""export.py from outside: what it writes, what it refuses, what it leaves behind."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export import command, torchscript
from export.formats import FORMATS, Format
from export.options import ExportOptions
from export.verify import Limit, compare
from model.weights import save_network
from tests.clips import write_clip

from .networks import clip, filled_network

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('weights') / 'network.safetensors'
    save_network(filled_network(), path)
    return path


def run(weights: Path, output: Path, *flags: str) -> int:
    return command.main(lambda count: clip(count), ['--checkpoint', str(weights), '--output', str(output), *flags])


def test_torchscript_file_in_place_and_said(weights, tmp_path, capsys):
    output = tmp_path / 'network.torchscript'
    assert run(weights, output, '--format', 'torchscript', '--downsample-ratio', '0.5') == 0
    said = capsys.readouterr().out
    assert '8 frames of 96x64, ratio 0.5: max difference' in said and '8 frames of 48x32, ratio 1: max' in said
    assert [path.name for path in tmp_path.iterdir()] == ['network.torchscript']
    assert compare(filled_network(), torchscript.open(output), clip(2), 0.5).maximum < 1e-4


def test_a_file_that_differs_is_not_left(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(torchscript.LIMITS, 'fp32', Limit(1e-4, 1e-5))
    write = torchscript.write

    def wrong(network, path, options):
        network.project_mat.conv.bias.data[3] += 1e-3            # a thousandth of alpha
        write(network, path, options)
    monkeypatch.setattr(torchscript, 'write', wrong)
    assert run(weights, tmp_path / 'network.pt', '--format', 'torchscript') == 2
    assert 'more than the limit 0.0001' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_keeps_the_old_file(weights, tmp_path, monkeypatch):
    output = tmp_path / 'network.pt'
    output.write_text('old')
    monkeypatch.setattr(torchscript, 'write', lambda network, path, options: path.write_text('no TorchScript'))
    assert run(weights, output, '--format', 'torchscript', '--overwrite') == 2
    assert output.read_text() == 'old' and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('flags, message', [
    (['--format', 'torchscript', '--output', 'x.onnx'], 'must end in .torchscript or .pt'),
    (['--format', 'torchscript', '--output', 'x.pt', '--static'], 'use --dynamic'),
    (['--format', 'torchscript', '--output', 'x.pt', '--precision', 'int8'], 'use fp32 or fp16'),
    (['--format', 'openvino', '--output', 'x.xml', '--precision', 'int8'], 'needs nncf'),
    (['--format', 'torchscript', '--output', 'x.pt', '--downsample-ratio', '1.5'], 'must be auto or a'),
    (['--format', 'torchscript', '--output', 'x.pt', '--size', '0', '48'], 'two positive numbers, got 0 48'),
    (['--format', 'torch_export', '--output', 'x.pt2', '--size', '4', '4', '--downsample-ratio', '0.1'],
     'leaves no pixel of a 4x4 frame'),
    (['--format', 'torchscript', '--output', 'nowhere/x.pt'], 'the folder does not exist'),
    (['--format', 'torchscript', '--output', 'x.pt', '--verify-clip', 'nowhere.mp4'], 'nowhere.mp4'),
    (['--format', 'torchscript', '--output', 'x.pt', '--verify-clip', 'short.mkv'], 'has 3 frames, needs at least 8'),
    (['--format', 'torchscript', '--output', 'x.pt', '--checkpoint', 'none.pth'], 'no such file'),
])
def test_bad_input_is_one_line_and_exit_code_2(weights, tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    write_clip(Path('short.mkv'), 3)
    assert command.main(lambda count: clip(count), ['--checkpoint', str(weights), *flags]) == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith('error: ') and err.count('\n') == 1
    assert [path.name for path in tmp_path.iterdir()] == ['short.mkv']


def test_existing_output_needs_overwrite(weights, tmp_path, capsys):
    (tmp_path / 'x.pt').write_text('mine')
    assert run(weights, tmp_path / 'x.pt', '--format', 'torchscript') == 2
    assert 'add --overwrite' in capsys.readouterr().err and (tmp_path / 'x.pt').read_text() == 'mine'


def test_folders_and_files_of_the_user_stay(weights, tmp_path, capsys, monkeypatch):
    (tmp_path / 'm.partial.pt').mkdir()
    (tmp_path / 'm.partial.pt' / 'mine').write_text('mine')
    (tmp_path / 'src.pt').mkdir()
    (tmp_path / 'src.pt' / 'main.py').write_text('mine')
    (tmp_path / 'o.bin').write_text('mine')
    assert run(weights, tmp_path / 'm.pt', '--format', 'torchscript', '--downsample-ratio', '0.5') == 0
    assert run(weights, tmp_path / 'src.pt', '--format', 'torchscript', '--overwrite') == 2
    assert 'is a folder that no export has made' in capsys.readouterr().err
    assert run(weights, tmp_path / 'o.xml', '--format', 'openvino') == 2
    assert 'o.bin exists: add --overwrite' in capsys.readouterr().err
    assert run(weights, weights, '--format', 'torchscript', '--overwrite') == 2
    assert 'is the --checkpoint itself' in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['m.partial.pt', 'm.pt', 'main.py', 'mine', 'o.bin',
                                                                'src.pt']


def test_verification_sees_nonsense(tmp_path):
    class Broken(filled_network().__class__):
        def forward(self, src, *rest):
            return [src * float('nan'), src[:, :1], *[None] * 4]
    with pytest.raises(ValueError, match='not finite numbers'):
        compare(filled_network(), Broken(), clip(1), 1.0)


def test_int8_never_sees_the_frames_that_prove_it():
    frames = command.read_frames(None, lambda count: [np.full((4, 4, 3), i, np.uint8) for i in range(count)],
                                 command.FRAMES + command.CALIBRATION_FRAMES * command.CALIBRATION_STEP)
    assert len(frames[command.FRAMES::command.CALIBRATION_STEP]) == command.CALIBRATION_FRAMES


@pytest.mark.parametrize('name', list(FORMATS))
def test_every_format_says_what_it_is(name):
    try:
        module = Format.load(name).module
    except ValueError as error:
        pytest.skip(str(error))
    assert module.TITLE and module.SUFFIXES and set(module.SHAPES) <= {'dynamic', 'static'}
    assert 'fp32' in module.LIMITS and all(isinstance(limit, Limit) for limit in module.LIMITS.values())
    assert set(getattr(module, 'REASONS', {})).isdisjoint(module.LIMITS)
    Format.load(name).check(Path(f'x{module.SUFFIXES[0]}'), ExportOptions((64, 48), shapes=module.SHAPES[0]))


@pytest.mark.slow
def test_from_the_shell(weights, tmp_path):
    pytest.importorskip('skimage', reason='the default clip needs scikit-image: pip install -r requirements/demo.txt')
    done = subprocess.run([sys.executable, 'export.py', '--checkpoint', str(weights), '--format', 'torchscript',
                           '--output', str(tmp_path / 'x.pt')], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '8 frames of 854x480, ratio 0.6: max difference' in done.stdout
