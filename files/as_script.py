"""Imported first by what is run as a program: Ctrl-C is one line also while torch is being loaded."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def quiet(kind, error, traceback) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print('\ninterrupted', file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def is_ours() -> bool:
    """Whether the program is a file of this repository, and not a user's who imports us, nor one of our tests."""
    program = getattr(sys.modules['__main__'], '__file__', None)
    if program is None and '-m' in sys.orig_argv[:-1]:          # python -m room.file, whose room is loaded first
        program = ROOT / (sys.orig_argv[sys.orig_argv.index('-m') + 1].replace('.', '/') + '.py')
    if program is None or not Path(program).is_file() or ROOT not in Path(program).resolve().parents:
        return False
    return not Path(program).resolve().relative_to(ROOT).parts[0].startswith(('.', 'tests'))


if is_ours():
    sys.excepthook = quiet
