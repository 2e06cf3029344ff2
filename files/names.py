"""Names of files that are not finished yet: new each time, beside their goal, told apart from all others."""

import os
import re
import secrets
from pathlib import Path

MARK = re.compile(r'\.(partial|previous)-[0-9a-f]{8}(\.[^.]+)?$')
SHORT = 64                      # [bytes] a name of this length fits everywhere
LONGEST_SUFFIX = 16             # [bytes] what is longer is no suffix that an encoder would look at
UNSAFE = re.compile(r'[^\w.,=+~@# ()\[\]-]|[\ud800-\udfff]')    # other programs take colons and per cents for something

ADDRESS = re.compile(r'[A-Za-z][A-Za-z0-9+.-]+:/')


def address_in(path: str | Path) -> str | None:
    """The address that a name is (https://..., rtsp://...), or None: a file or a folder that is there is none."""
    text = str(path)
    if not ADDRESS.match(text) or os.path.lexists(path) or os.path.isdir(os.path.dirname(text)):
        return None
    return text if '://' in text else text.replace(':/', '://', 1)           # as it was before it was a Path


def check_written(path: str | Path) -> None:
    """
    Raises:
        ValueError: standard output or an address, where only files are written.
    """
    if str(path) == '-':
        raise ValueError('standard output cannot be written: name a file')
    if (address := address_in(path)) is not None:
        raise ValueError(f'{address} is an address: only files are written')


def is_partial(path: str | Path) -> bool:
    """Whether something is a file or folder that a run has not finished, or one inside such a folder."""
    return any(MARK.search(part) for part in Path(path).parts)


def fresh_name(goal: Path, kind: str = 'partial', suffix: bool = True) -> str:
    """A name nobody can know before, never longer than that of `goal` where that is long.

    Args:
        kind: 'partial' for what is being written, 'previous' for what it replaces.
        suffix: end like `goal`, for encoders that go by it.
    """
    ending = goal.suffix if suffix and len(os.fsencode(goal.suffix)) <= LONGEST_SUFFIX else ''
    stem = goal.stem if ending else goal.name
    tail = f'.{kind}-{secrets.token_hex(4)}{UNSAFE.sub("_", ending)}'
    room = max(len(os.fsencode(goal.name)), SHORT) - len(tail.encode())
    stem = UNSAFE.sub('_', stem)
    while len(stem.encode()) > room:
        stem = stem[:-1]
    return stem + tail
