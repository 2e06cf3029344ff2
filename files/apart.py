"""No output may replace what the same command reads."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .names import check_written

Paths = str | Path | Iterable[str | Path] | None


def check_apart(outputs: Mapping[str, Paths], inputs: Mapping[str, Paths]) -> None:
    """Compare everything that a command writes with everything it reads, and the outputs with each other.

    Links of all kinds are followed. A folder that is written must not hold an input either, since it is replaced.

    Args:
        outputs, inputs: what it is called in a message -> path, paths or None. Inputs that do not exist (a colour, the
            name of weights) are left out. Of a folder that is read, name the files too.
    Raises:
        ValueError: naming both; or an output is no file.
    """
    read = _Places((name, path) for name, path in _flat(inputs) if os.path.lexists(path))
    written = _Places()
    for kind, path in _flat(outputs):
        check_written(path)
        if (found := read.find(path)) is not None:
            raise ValueError(f'{kind} {path} is the {found} itself: choose another name')
        if path.is_dir() and (found := read.find_in(path)) is not None:
            raise ValueError(f'{kind} {path} is the folder of the {found}: choose another name')
        if (found := written.find(path)) is not None:
            raise ValueError(f'two outputs have the name {path} ({found} and {kind}): give each its own')
        written.add(kind, path)


def everything_in(path: str | Path | None) -> list[Path]:
    """A file; or a folder with what lies in it and in its folders. For inputs that are folders of several kinds."""
    if path is None or not Path(path).is_dir():
        return [] if path is None else [Path(path)]
    inside = list(Path(path).iterdir())
    return [Path(path), *inside, *(file for entry in inside if entry.is_dir() for file in entry.iterdir())]


class _Places:
    """Paths by what they lead to."""

    def __init__(self, entries: Iterable[tuple[str, Path]] = ()):
        self._by_name: dict[str, tuple[str, Path]] = {}
        self._by_file: dict[tuple[int, int], str] = {}
        for name, path in entries:
            self.add(name, path)

    def add(self, name: str, path: Path) -> None:
        self._by_name.setdefault(os.path.realpath(path), (name, path))
        if (identity := _identity(path)) is not None:
            self._by_file.setdefault(identity, name)

    def find(self, path: Path) -> str | None:
        by_name = self._by_name.get(os.path.realpath(path))
        return by_name[0] if by_name else self._by_file.get(_identity(path))

    def find_in(self, folder: Path) -> str | None:
        root = os.path.realpath(folder)
        return next((f'{name} {path}' for place, (name, path) in self._by_name.items()
                     if os.path.commonpath([root, place]) == root), None)


def _flat(named: Mapping[str, Paths]) -> Iterator[tuple[str, Path]]:
    for name, value in named.items():
        for path in [] if value is None else [value] if isinstance(value, str | Path) else value:
            if '\0' not in str(path):
                yield name, Path(path)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
