"""Imported first by the programs in the root: Ctrl-C is one line also while torch is being loaded."""

import sys
from pathlib import Path


def quiet(kind, error, traceback) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print('\ninterrupted', file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


program = getattr(sys.modules['__main__'], '__file__', None)
if program is not None and Path(program).resolve().parent == Path(__file__).resolve().parents[1]:
    sys.excepthook = quiet
