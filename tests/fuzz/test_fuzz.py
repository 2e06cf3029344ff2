"""A small share of the fuzzing in every run, the numbers of documentation/reliability.md with `pytest -m slow`."""

import pytest

from tests.fuzz.run import main


@pytest.mark.slow
@pytest.mark.parametrize('kind, count', [('media', 1000), ('checkpoint', 500), ('text', 500)])
def test_damaged_files(kind, count, capsys):
    assert main([kind, str(count)]) == 0, capsys.readouterr().out


def test_a_few_damaged_texts(capsys):
    assert main(['text', '25', '--seed', '7']) == 0, capsys.readouterr().out


@pytest.mark.slow
def test_kills(capsys):
    from tests.fuzz.kill import main as kill
    assert kill(['280']) == 0, capsys.readouterr().out
