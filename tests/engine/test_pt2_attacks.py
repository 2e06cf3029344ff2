"""torch.export files from strangers: what needs unpickling, compiled code or evaluation is refused unopened."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from converter.command import main
from engine.runtimes.check_pt2 import check_pt2, weights_only
from engine.runtimes.torch_export import TorchExportNetwork
from tests.clips import write_clip

WEIGHTS, CONSTANTS = 'm/data/weights/model_weights_config.json', 'm/data/constants/model_constants_config.json'
HARMLESS = {
    'm/data/weights/weight_0': bytes(16), CONSTANTS: '{"config": {}}', 'm/archive_format': 'pt2',
    'm/archive_version': '0', WEIGHTS: '{"config": {"weight": {"path_name": "weight_0", "use_pickle": false}}}',
    'm/models/model.json': '{"graph": {"nodes": [{"target": "torch.ops.aten.conv2d.default", "inputs": []}]}}',
    'm/byteorder': 'little', 'm/extra/family': '', 'm/.data/version': '3'}


class Evil:
    def __reduce__(self):
        return os.system, ('touch pwned',)


def node(target: str) -> str:
    return json.dumps({'graph': {'nodes': [{'target': target, 'inputs': []}]}})


def size(expression: str) -> str:
    return json.dumps({'sizes': [{'as_expr': {'expr_str': expression}}]})


ATTACKS = {
    'example inputs': {'m/data/sample_inputs/model.pt': pickle.dumps(Evil())},
    'a pickled weight': {WEIGHTS: '{"config": {"weight": {"path_name": "weight_0", "use_pickle": true}}}'},
    'a pickled constant': {CONSTANTS: '{"config": {"c": {"path_name": "tensor_0", "use_pickle": true}}}'},
    'an object': {'m/data/constants/custom_obj_0': pickle.dumps(Evil())},
    'a compiled library': {'m/data/aotinductor/model/model.so': b'\x7fELF'},
    'a module of its own': {'m/extra/../../evil.py': 'import os'},
    'a size to evaluate': {'m/models/model.json': size('__import__("os").system("touch pwned")')},
    'a size with an attribute': {'m/models/model.json': size('s0.__class__')},
    'an operator of Python': {'m/models/model.json': node('os.system')},
    'an operator of torch': {'m/models/model.json': node('torch.load')},
    'guards': {'m/models/model.json': '{"guards_code": ["__import__(\'os\').system(\'touch pwned\')"]}'},
    'deep nesting': {'m/models/model.json': '[' * 100_000},
}


def archive(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in (HARMLESS | members).items():
            file.writestr(name, content)
    return path


def test_what_our_exports_hold_passes(tmp_path):
    check_pt2(archive(tmp_path / 'a.pt2', {}))


@pytest.mark.parametrize('name', ATTACKS)
def test_attacks_are_refused_and_nothing_runs(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / 'a.pt2', ATTACKS[name])
    with pytest.raises(ValueError, match='a.pt2 (holds|asks for|needs unpickling|is not a torch.export)') as error:
        TorchExportNetwork(path)
    assert '\n' not in str(error.value) and len(str(error.value)) < 300
    assert not (tmp_path / 'pwned').exists()


def test_a_second_member_of_the_same_name_is_looked_at_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / 'a.pt2', {})
    with zipfile.ZipFile(path, 'a') as file, pytest.warns(UserWarning, match='Duplicate name'):
        file.writestr(WEIGHTS, ATTACKS['a pickled weight'][WEIGHTS])
    with pytest.raises(ValueError, match='asks for use_pickle'):
        check_pt2(path)


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    archive(tmp_path / 'a.pt2', ATTACKS['example inputs'])
    write_clip(tmp_path / 'in.mp4', 2)
    assert main(['in.mp4', '--checkpoint', 'a.pt2', '-o', 'out.mp4']) == 2
    err = capsys.readouterr().err
    assert 'which could run code: it was not opened' in err and err.count('\n') == 1
    assert not (tmp_path / 'pwned').exists() and not (tmp_path / 'out.mp4').exists()


@pytest.mark.slow
def test_a_real_program_with_an_attack_inside(tmp_path, monkeypatch):
    """PyTorch alone runs it, which is why we look first; the second door holds without the first."""
    monkeypatch.chdir(tmp_path)
    program = torch.export.export(torch.nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),))
    torch.export.save(program, 'good.pt2', extra_files={'downsample_ratio': '0.5', 'family': ''})
    TorchExportNetwork('good.pt2')
    with zipfile.ZipFile('good.pt2') as good, zipfile.ZipFile('bad.pt2', 'w') as bad:
        for name in good.namelist():
            bad.writestr(name.replace('good/', 'bad/'),
                         pickle.dumps(Evil()) if name.endswith('sample_inputs/model.pt') else good.read(name))
    with pytest.raises(ValueError, match='needs unpickling'):
        TorchExportNetwork('bad.pt2')
    with weights_only(), pytest.raises(Exception):       # noqa: B017
        torch.export.load('bad.pt2')
    assert not Path('pwned').exists()
    with pytest.raises(Exception):                       # noqa: B017
        torch.export.load('bad.pt2')
    assert Path('pwned').exists()
