"""What every training command does around its trainer: bad input is one line, and the exit status says what to do."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence

from cli.command import one_line
from cli.memory import keep_freed_memory

from . import distributed
from .checkpoint import SaveError
from .loop import Trainer
from .optimization import Diverged
from .settings import Kind, add_flags, filled
from .signals import EXIT_REQUEUE

BAD_INPUT = (ValueError, OSError, RuntimeError)  # of set-up: values, files, downloads, missing packages


def run(name: str, build: Callable[[], Trainer], description: Callable[[Trainer], str], dry_run: bool = False) -> int:
    """Build a trainer, say what it is, and train.

    Args:
        name: of the command, for messages.
        dry_run: stop before the first step.
    Returns:
        Exit status: 0 done, 2 bad input, 1 failed later, 75 stopped by a signal with everything saved.
    """
    keep_freed_memory()
    try:
        trainer = build()
        if trainer.ranks.is_main:
            print(description(trainer))
    except BAD_INPUT as error:
        print(f'{name}: {one_line(error)}', file=sys.stderr)
        return 2
    try:
        return 0 if dry_run or trainer.train() else EXIT_REQUEUE
    except (Diverged, SaveError) as error:
        print(f'{name}: {one_line(error)}', file=sys.stderr)
        return 1
    finally:
        distributed.stop()


def run_by_clock(name: str, description: str, kind: type[Kind], build: Callable[[Kind], Trainer],
                 arguments: Sequence[str] | None = None) -> int:
    """A command whose flags are the fields of settings, and nothing else; returns as `run` does."""
    parser = ArgumentParser(name, description=description, formatter_class=RawDescriptionHelpFormatter)
    add_flags(parser, kind)
    given = vars(parser.parse_args(arguments))
    return run(name, lambda: build(filled(kind, given)), lambda trainer: trainer.network.describe())
