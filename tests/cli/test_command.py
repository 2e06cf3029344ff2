"""How a command ends."""

import ast
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cli.command import command, run_command

ROOT = Path(__file__).resolve().parents[2]


def fail_with(error):
    @command
    def main(argv=None):
        raise error
    return main


@pytest.mark.parametrize('error, line', [
    (ValueError('size must be\n  positive'), 'error: size must be positive'),
    (FileNotFoundError(2, 'No such file or directory', 'x.mp4'), 'error: x.mp4: No such file or directory'),
    (RuntimeError('install it'), 'error: install it')])
def test_what_users_can_mend_is_one_line(capsys, error, line):
    assert fail_with(error)([]) == 2
    assert capsys.readouterr().err == line + '\n'


def test_bugs_are_not_hidden():
    with pytest.raises(KeyError):
        fail_with(KeyError('a bug'))()


def test_codes_are_passed_on_and_none_is_success():
    assert run_command(lambda: None) == 0 and run_command(lambda: 1) == 1


def test_sigterm_cleans_up_like_ctrl_c(capsys):
    before, cleaned = signal.getsignal(signal.SIGTERM), []

    def body():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)
    try:
        assert run_command(body) == 130 and cleaned
    finally:
        signal.signal(signal.SIGTERM, before)
    assert 'interrupted' in capsys.readouterr().err


def test_threads_may_run_commands():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run_command(lambda: 0)))
    thread.start()
    thread.join()
    assert codes == [0]


def imported_first(path: Path) -> str:
    """The first import, of those at the top of a file, that is not of Python itself, nor of what needs no more."""
    for node in ast.parse(path.read_text()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
            [node.module or ''] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name == 'files.as_script' or name.partition('.')[0] not in {'files', *sys.stdlib_module_names}:
                return name
    return ''


PROGRAMS = [path for path in [*ROOT.glob('*.py'), *(ROOT / 'demo').glob('*.py')]
            if "__name__ == '__main__'" in path.read_text() and path.name != 'sample_clip.py']


@pytest.mark.parametrize('path', [*PROGRAMS, *(ROOT / room / '__init__.py' for room in (
    'benchmark', 'dataset', 'evaluation', 'model'))], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_programs_first_see_to_ctrl_c(path):
    """While torch is being loaded, which takes seconds, nobody else would."""
    first = imported_first(path)
    assert first in ('cli', 'files.as_script') or ROOT / f'{first}.py' in PROGRAMS


def test_ctrl_c_while_torch_is_being_loaded(tmp_path):
    (tmp_path / 'torch.py').write_text('raise KeyboardInterrupt')
    for program in (['train.py'], ['-m', 'model.convert_checkpoint', 'a', 'b'], ['demo/run_demo.py']):
        done = subprocess.run([sys.executable, *program], cwd=ROOT, env=os.environ | {'PYTHONPATH': str(tmp_path)},
                              capture_output=True, text=True)
        assert done.stderr == '\ninterrupted\n' and done.returncode in (130, -2, 1), done
