"""A program in another environment that does what packages here cannot, asked over its pipes."""

import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from .in_tensorflow.messages import receive, send


class Child:
    """Runs until it is closed or forgotten.

    Args:
        command: program and arguments; it answers `in_tensorflow.messages` on its standard input and output.
        environment: variables, complete; None for ours.
    """

    def __init__(self, command: Sequence[str | Path], environment: dict[str, str] | None = None):
        self._log = tempfile.TemporaryFile()      # noqa: SIM115 - what it prints; a pipe nobody reads would stop it
        self._process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=self._log, env=environment)
        self._close = weakref.finalize(self, stop, self._process, self._log)

    def ask(self, do: str, arrays: dict[str, np.ndarray] | None = None, **arguments) -> tuple[dict, dict]:
        """Send a request and wait for its answer.

        Returns:
            Head and arrays of the answer.
        Raises:
            ValueError: what the program refuses; its own words.
            RuntimeError: it ended; the last line that it printed.
        """
        try:
            send(self._process.stdin, {'do': do} | arguments, arrays or {})
            answer = receive(self._process.stdout)
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise RuntimeError(f'{self._process.args[0]} ended with code {self._process.wait()}: {self.last_words()}')
        if 'error' in answer[0]:
            raise ValueError(answer[0]['error'])
        return answer

    @property
    def runs(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The last line that it printed."""
        self._log.seek(0)
        lines = self._log.read().decode(errors='replace').split('\n')
        return next((line.strip() for line in reversed(lines) if line.strip()), 'it printed nothing')

    def close(self) -> None:
        """End the process."""
        self._close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def stop(process: subprocess.Popen, log) -> None:
    """End a process, its pipes and its log."""
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            pipe.close()
    process.kill()
    process.wait()
    log.close()
