"""Kills writers at random moments: none may leave a half output under its name, or lose what had the name before.

    python -m tests.fuzz.kill 280 --seed 0

Each kill: a process writes over an earlier output, is ended by SIGKILL, SIGTERM, SIGINT or SIGHUP, and what has the
name must be the earlier output or the new one, whole. After signals that can be answered nothing unfinished is left.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

from files import is_partial
from files.whole import discard_at_exit

from .writers import WRITERS, state, write

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def fork(work: Callable[[], object]) -> int:
    """A process that does something, with every module loaded already; its number."""
    number = os.fork()
    if number:
        return number
    code = 3
    try:
        work()
        code = 0
    except BaseException:
        pass
    finally:
        discard_at_exit()        # `os._exit` leaves it out, since other things that are done at exit are the parent's
        os._exit(code)


def in_child(work: Callable[[], str]) -> str:
    """An answer found in a process of its own, so that threads of decoders never meet a fork."""
    reading, writing = os.pipe()
    number = fork(lambda: os.write(writing, work().encode()))
    os.close(writing)
    with open(reading) as answer:
        text = answer.read()
    os.waitpid(number, 0)
    return text


def again_and_again(name: str, folder: str) -> None:
    for _ in range(200):         # so that a kill meets every moment
        write(name, folder, 'new')


def one_kill(name: str, rng: random.Random, seconds: float = 0.5) -> str:
    """'' or what is wrong."""
    number = rng.choice(SIGNALS)
    with tempfile.TemporaryDirectory(prefix='kill_') as folder:
        os.waitpid(fork(lambda: write(name, folder, 'old')), 0)
        mine = Path(folder) / f'{Path(name).stem}.partial{Path(name).suffix}'
        mine.write_text('of the user')
        child = fork(lambda: again_and_again(name, folder))
        time.sleep(rng.random() * seconds)
        os.kill(child, number)
        os.waitpid(child, 0)
        found = in_child(lambda: state(Path(folder) / name))
        between = ('new+old',) if number == signal.SIGKILL else ()       # of two names one was given: both are whole
        if found not in ('old', 'new', 'old+old', 'new+new', *between):
            return f'{name}, {number.name}: {found}'
        left = [path.name for path in Path(folder).rglob('*') if is_partial(path.relative_to(folder))]
        if left and number != signal.SIGKILL:
            return f'{name}, {number.name}: left {left}'
        if mine.read_text() != 'of the user':
            return f'{name}, {number.name}: took a file of the user'
    return ''


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('count', type=int)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wrong, counts = [], Counter()
    for index in range(args.count):
        name = list(WRITERS)[index % len(WRITERS)]
        problem = one_kill(name, random.Random(f'{args.seed} {index}'))
        counts[name] += 1
        if problem:
            wrong.append(problem)
            print(problem, flush=True)
    each = ', '.join(f'{name} {number}' for name, number in counts.items())
    print(f'{args.count} kills ({each}): {len(wrong)} wrong')
    return int(bool(wrong))


if __name__ == '__main__':
    sys.exit(main())
