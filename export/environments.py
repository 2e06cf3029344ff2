"""Environments of their own, for packages that exclude those of this project: where they are, and how they are made.

TensorFlow wants an older numpy and protobuf than we have; JavaScript packages live with Node.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from files import whole_folder

ROOT = Path(__file__).resolve().parents[1]
MAKE = 'python -m export.make_environment {}'
RECIPES = {'tensorflow': ROOT / 'requirements' / 'tensorflow.txt', 'tfjs': ROOT / 'export' / 'in_node' / 'package.json'}
PURPOSES = {'tensorflow': 'formats tensorflow, tflite and tfjs need TensorFlow',
            'tfjs': 'running TF.js files needs the TensorFlow.js packages'}


def folder(name: str) -> Path:
    """Beside the Python that runs this, so that both are removed together; EXPORT_ENVIRONMENTS names another place."""
    return Path(os.environ.get('EXPORT_ENVIRONMENTS') or Path(sys.prefix) / 'environments') / name


def find(name: str) -> Path:
    """The folder of an environment that is complete.

    Raises:
        RuntimeError: it is missing, or made for other versions; the message names the command that makes it.
    """
    receipt = folder(name) / RECIPES[name].name
    if not receipt.is_file():
        raise RuntimeError(f'{PURPOSES[name]} in an environment of its own, {folder(name)}, which is not there: '
                           + MAKE.format(name))
    if receipt.read_text() != RECIPES[name].read_text():
        raise RuntimeError(f'{folder(name)} was made for other versions than {RECIPES[name]} asks for: '
                           + MAKE.format(name))
    return folder(name)


def make(name: str) -> Path:
    """Build or rebuild an environment; its recipe is copied into it last, as the sign that it is complete.

    Raises:
        RuntimeError: a program that this needs is missing, or an installation failed (its output has been shown).
    """
    target = folder(name)
    if target.is_dir() and any(target.iterdir()) and not (target / RECIPES[name].name).is_file():
        raise RuntimeError(f'{target} is a folder that this command has not made: name another place with '
                           'EXPORT_ENVIRONMENTS, or delete it')
    check, build = {'tensorflow': (check_tensorflow, make_tensorflow), 'tfjs': (check_tfjs, make_tfjs)}[name]
    check()
    with whole_folder(target) as building:
        build(building)
        shutil.copyfile(RECIPES[name], building / RECIPES[name].name)
    return target


def check_tensorflow() -> None:
    """RuntimeError for a Python that it does not exist for."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        raise RuntimeError('the pinned TensorFlow exists for Python 3.10 to 3.12, this is '
                           f'{sys.version_info[0]}.{sys.version_info[1]}: run the command with one of them')


def make_tensorflow(target: Path) -> None:
    """A virtual environment with the pinned packages."""
    run(sys.executable, '-m', 'venv', target)
    run(python_of(target), '-m', 'pip', 'install', '--disable-pip-version-check', '--quiet',
        '-r', RECIPES['tensorflow'])


def check_tfjs() -> None:
    """RuntimeError without Node.js."""
    if shutil.which('npm') is None or shutil.which('node') is None:
        raise RuntimeError('TensorFlow.js needs node and npm: install Node.js 18 or newer')


def make_tfjs(building: Path) -> None:
    """A folder with the locked packages."""
    for source in (RECIPES['tfjs'], RECIPES['tfjs'].with_name('package-lock.json')):
        shutil.copy(source, building)
    run(shutil.which('npm'), 'ci', '--no-audit', '--no-fund', folder=building)


def python_of(target: Path) -> Path:
    """The interpreter of a virtual environment."""
    return target / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def run(*command, folder: Path | None = None) -> None:
    """A command; RuntimeError where it fails."""
    status = subprocess.run([str(part) for part in command], cwd=folder, check=False).returncode
    if status:
        raise RuntimeError(f'{" ".join(map(str, command))} failed with code {status}')
