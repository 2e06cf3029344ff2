"""How a command ends."""

import os
import signal
import threading

import pytest

from cli.command import command, run_command


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
