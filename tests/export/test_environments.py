"""Environments of their own: made in one command, used only when they are complete."""

import subprocess
import sys

import pytest

from export import environments
from export.make_environment import main
from files import is_partial


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where they go; programs that would install are only written down."""
    monkeypatch.setenv('EXPORT_ENVIRONMENTS', str(tmp_path))
    started = []

    def pretend(command, cwd=None, check=False):
        started.append((command, cwd))
        return subprocess.CompletedProcess(command, 1 if 'broken' in environments.RECIPES['tensorflow'].name else 0)
    monkeypatch.setattr(subprocess, 'run', pretend)
    return tmp_path, started


def test_recipe_is_the_receipt(place, capsys, monkeypatch):
    folder, started = place
    monkeypatch.setattr(environments.shutil, 'copyfile', lambda source, target: (
        target.parent.mkdir(exist_ok=True), target.write_text(source.read_text())))
    assert main(['tensorflow']) == 0
    assert capsys.readouterr().out == f'{folder / "tensorflow"}: ready\n'
    assert [path.name for path in (folder / 'tensorflow').iterdir()] == ['tensorflow.txt']
    assert started[0][0][:3] == [sys.executable, '-m', 'venv'] and is_partial(started[0][0][3])
    assert started[1][0][-2:] == ['-r', str(environments.RECIPES['tensorflow'])]
    assert environments.find('tensorflow') == folder / 'tensorflow'


def test_a_failed_installation_is_not_found(place, capsys, monkeypatch, tmp_path):
    broken = tmp_path / 'broken.txt'
    broken.write_text('nothing')
    monkeypatch.setitem(environments.RECIPES, 'tensorflow', broken)
    assert main(['tensorflow']) == 2
    assert 'failed with code 1' in capsys.readouterr().err
    with pytest.raises(RuntimeError, match='which is not there: python -m export.make_environment tensorflow'):
        environments.find('tensorflow')


def test_what_is_missing_is_named(place, capsys, monkeypatch):
    monkeypatch.setattr(environments.shutil, 'which', lambda name: None)
    assert main(['tfjs']) == 2
    assert 'install Node.js' in capsys.readouterr().err
    monkeypatch.setattr(environments.sys, 'version_info', (3, 14, 0))
    assert main(['tensorflow']) == 2
    assert 'this is 3.14' in capsys.readouterr().err
    assert place[1] == []


@pytest.mark.parametrize('name', ['tensorflow', 'tfjs'])
def test_a_folder_of_the_user_stays(place, capsys, monkeypatch, name):
    """EXPORT_ENVIRONMENTS=src removed src/tensorflow, before anything was checked."""
    folder, started = place
    (folder / name).mkdir()
    (folder / name / 'source.py').write_text('mine')
    for which in (lambda name: name, lambda name: None):
        monkeypatch.setattr(environments.shutil, 'which', which)
        assert main([name]) == 2
        assert 'is a folder that this command has not made' in capsys.readouterr().err
    assert (folder / name / 'source.py').read_text() == 'mine' and started == [] and len(list(folder.iterdir())) == 1
