"""What programs print: it never decides the outcome, and names of files never command the terminal."""

import os
import re
import sys
from contextlib import suppress

CONTROLS = re.compile(r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


def plain(text: object) -> str:
    """On one line, with characters that a terminal would obey written as escapes: \\x1b, \\u202e."""
    return _escaped(str(text).replace('\n', ' ').replace('\r', ' '))


def _escaped(text: str) -> str:
    return CONTROLS.sub(lambda found: found[0].encode('unicode_escape').decode(), text)


class Patient:
    """A text stream whose reader may be gone, whose disk may be full, and that may not know every letter."""

    def __init__(self, stream):
        self._stream = stream
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors='backslashreplace')

    def write(self, text: str) -> int:
        try:
            self._stream.write(_escaped(text))
        except (OSError, ValueError):
            self._give_up()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        """From now on into nothing, also what the interpreter itself writes when it ends."""
        with suppress(OSError, ValueError, AttributeError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def be_patient() -> None:
    """For commands: from now on printing cannot fail."""
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        if stream is None:                     # closed when the program was started
            setattr(sys, name, open(os.devnull, 'w', errors='replace'))     # noqa: SIM115  to the end of the program
        elif not isinstance(stream, Patient) and stream in (sys.__stdout__, sys.__stderr__):
            setattr(sys, name, Patient(stream))
