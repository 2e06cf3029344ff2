"""Signals that ask a run to save and leave: SIGTERM (torchrun, Slurm), SIGUSR1 (Slurm, before the limit), Ctrl-C."""

import signal

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
EXIT_REQUEUE = 75  # EX_TEMPFAIL of sysexits.h: not done, run it again with --resume auto


class StopRequest:
    """Remembers that a signal came; the trainer asks between iterations. A second Ctrl-C interrupts at once."""

    def __init__(self):
        self.received: signal.Signals | None = None
        self._previous = {}

    def __enter__(self) -> 'StopRequest':
        self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
