"""Environments of their own, for packages that exclude those of this project: where they are, and how they are made.

TensorFlow wants an older numpy and protobuf than we have; JavaScript packages live with Node.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    {'tensorflow': make_tensorflow, 'tfjs': make_tfjs}[name](target)
    shutil.copyfile(RECIPES[name], target / RECIPES[name].name)
    return target


def make_tensorflow(target: Path) -> None:
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        raise RuntimeError('the pinned TensorFlow exists for Python 3.10 to 3.12, this is '
                           f'{sys.version_info[0]}.{sys.version_info[1]}: run the command with one of them')
    run(sys.executable, '-m', 'venv', target)
    run(python_of(target), '-m', 'pip', 'install', '--disable-pip-version-check', '--quiet',
        '-r', RECIPES['tensorflow'])


def make_tfjs(target: Path) -> None:
    npm = shutil.which('npm')
    if npm is None or shutil.which('node') is None:
        raise RuntimeError('TensorFlow.js needs node and npm: install Node.js 18 or newer')
    building = target.with_name(f'{target.name}.partial')
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    for source in (RECIPES['tfjs'], RECIPES['tfjs'].with_name('package-lock.json')):
        shutil.copy(source, building)
    run(npm, 'ci', '--no-audit', '--no-fund', folder=building)
    (building / RECIPES['tfjs'].name).unlink()
    building.rename(target)


def python_of(target: Path) -> Path:
    return target / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def run(*command, folder: Path | None = None) -> None:
    status = subprocess.run([str(part) for part in command], cwd=folder, check=False).returncode
    if status:
        raise RuntimeError(f'{" ".join(map(str, command))} failed with code {status}')
