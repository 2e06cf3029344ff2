"""How a command ends: errors that users can mend are one line and exit code 2, signals clean up."""

import functools
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from files.terminal import be_patient, plain

from .memory import keep_freed_memory

EXPECTED_ERRORS = (ValueError, OSError, RuntimeError)


def command(main: Callable[[Sequence[str] | None], int | None]) -> Callable[..., int]:
    """Decorator of `main(argv)`: see `run_command`."""
    @functools.wraps(main)
    def whole(argv: Sequence[str] | None = None) -> int:
        return run_command(lambda: main(argv))
    return whole


def run_command(run: Callable[[], int | None]) -> int:
    """Call `run` as the body of a command: errors become one line, SIGTERM and the end of the terminal
    clean up like Ctrl-C, and printing cannot fail.

    Returns:
        Exit code: that of `run`, 0 where it answers none, 2 for bad input, 130 when interrupted.
    """
    be_patient()
    keep_freed_memory()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, 'SIGHUP') else ())):
            if signal.getsignal(number) != signal.SIG_IGN:          # nohup
                signal.signal(number, _terminate)
    try:
        return run() or 0
    except KeyboardInterrupt:
        print('\ninterrupted: unfinished outputs were removed', file=sys.stderr)
        return 130
    except EXPECTED_ERRORS as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 2


def _terminate(signum, frame):
    raise KeyboardInterrupt


def one_line(error: BaseException) -> str:
    """The message without line breaks; system errors without their number, but with the file."""
    if isinstance(error, OSError) and error.strerror:
        return plain(f'{error.filename}: {error.strerror}' if error.filename else error.strerror)
    return plain(' '.join(str(error).split()))
