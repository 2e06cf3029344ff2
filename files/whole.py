"""Files and folders that are written under a name of their own and get their real one when they are complete.

    with whole_file(path) as partial:        # path is as it was until the block has ended without an error
        write_to(partial)

What is removed on the way out, after an error, Ctrl-C, SIGTERM or SIGHUP, is what this run made, and nothing else.
"""

import atexit
import os
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .exchange import exchange, rename_new
from .names import MARK, check_written, fresh_name

TRIES = 100
STOPPING = [getattr(signal, name) for name in ('SIGTERM', 'SIGHUP') if hasattr(signal, name)]


class Whole:
    """What is being written, at `path`, for a name, `goal`.

    Args:
        goal: where it goes. A link to a folder stays one; a link to a file is replaced, its target is not touched.
        overwrite: replace what has the name then; off, `publish` raises FileExistsError.
        made: written already, under this name.
    Raises:
        FileNotFoundError: the folder of a file does not exist. PermissionError: nothing can be written there.
        ValueError: the goal is a device, a pipe or an address.
    """

    def __init__(self, goal: str | Path, overwrite: bool = True, made: Path | None = None):
        self.goal, self.overwrite = Path(goal), overwrite
        try:
            self._check_goal()
            with _open_ones.undisturbed():
                self.path = made or self._create()
                _open_ones.add(self)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not self.goal.parent.is_dir():
                raise FileNotFoundError(f'{self.goal}: the folder {self.goal.parent} does not exist') from None
            raise PermissionError(f'{self.goal} cannot be written: {error.strerror}') from error
        except BaseException:           # an interrupt that waited until the file was made: nobody has it to discard it
            self.discard()
            raise

    def _check_goal(self) -> None:
        check_written(self.goal)
        with suppress(FileNotFoundError):
            mode = os.stat(self.goal).st_mode       # also finds out about names that are too long
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ValueError(f'{self.goal} is a device or a pipe: name a file')

    def _create(self) -> Path:
        raise NotImplementedError

    def _make_beside(self, goal: Path, make: Callable[[Path], object], suffix: bool = True) -> Path:
        for _ in range(TRIES):
            path = goal.with_name(fresh_name(goal, suffix=suffix))
            try:
                make(path)
                return path
            except FileExistsError:
                continue
        raise FileExistsError(f'{goal}: no free name beside it')

    def commit(self) -> None:
        """Move it to its name.

        Raises:
            FileExistsError: something has the name, and `overwrite` is off. OSError: it could not be moved. What had
                the name has it still, and `path` is removed.
        """
        publish([self])

    def discard(self) -> None:
        """Remove what was written; nothing, once it has its name."""
        with _open_ones.undisturbed():
            if self in _open_ones:
                _open_ones.remove(self)
                _remove(self.path)


class WholeFile(Whole):
    """A file, made empty at once: what cannot be written is known before the work."""

    def _create(self) -> Path:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, 'O_NOFOLLOW', 0)
        return self._make_beside(self.goal, lambda path: os.close(os.open(path, flags, 0o666)))

    def _before(self) -> None:
        if self.goal.is_dir():
            raise IsADirectoryError(f'{self.goal} is a folder: name a file')
        if self.goal.is_file() and not (self.goal.is_symlink() or self.path.is_symlink()):
            with suppress(OSError):                # one who had hidden the old file wants the new one hidden too
                os.chmod(self.path, stat.S_IMODE(os.stat(self.goal).st_mode))

    def _after(self) -> None:
        """The earlier file has come to `path`."""
        _remove(self.path)


class WholeFolder(Whole):
    """A folder, made empty at once, and swapped with the earlier one in one step.

    Args:
        keep: of an earlier folder, which entries the new one takes over; the rest is replaced. Default: none.
    """

    def __init__(self, goal: str | Path, overwrite: bool = True, keep: Callable[[Path], bool] = lambda entry: False,
                 made: Path | None = None):
        self.keep, self._inside = keep, False
        super().__init__(goal, overwrite, made)

    def _create(self) -> Path:
        self.goal = Path(os.path.realpath(self.goal)) if self.goal.is_symlink() else self.goal
        _recover(self.goal)
        # a folder of another disk, or in a place that is not ours, cannot be swapped: files go into it one by one
        self._inside = self.goal.is_dir() and (os.path.ismount(self.goal) or not os.access(self.goal.parent, os.W_OK))
        self.goal.parent.mkdir(parents=True, exist_ok=True)
        return self._make_beside(self.goal / self.goal.name if self._inside else self.goal, Path.mkdir, suffix=False)

    def _before(self) -> None:
        if os.path.lexists(self.goal) and not self.goal.is_dir():
            raise NotADirectoryError(f'{self.goal} is a file: name a folder')
        if self.goal.is_dir():
            kept = [entry for entry in self.goal.iterdir() if entry != self.path and self.keep(entry)]
            if not self.overwrite and any(entry not in kept for entry in self.goal.iterdir() if entry != self.path):
                raise FileExistsError(f'{self.goal} was filled by somebody else in the meantime; it is as it was')
            for entry in kept if not self._inside else ():
                _link(entry, self.path / entry.name)

    def _after(self) -> None:
        """The earlier folder has come to `path`: what is not in the new one, nor replaced by it, is moved over."""
        for entry in self.path.iterdir():
            if self.keep(entry) and not os.path.lexists(self.goal / entry.name):
                os.rename(entry, self.goal / entry.name)
        _remove(self.path)

    def _pour(self) -> None:
        """Without a swap: new files first, then those of the earlier run that have no successor."""
        names = {entry.name for entry in self.path.iterdir()}
        for entry in sorted(self.path.iterdir()):
            if entry.is_dir() and (self.goal / entry.name).is_dir():
                _remove(self.goal / entry.name)
            os.replace(entry, self.goal / entry.name)
        for entry in list(self.goal.iterdir()):
            if entry.name not in names and entry != self.path and not self.keep(entry):
                _remove(entry)
        self.path.rmdir()


def publish(wholes: Sequence[Whole]) -> None:
    """Give finished files and folders their names: all of them, or none.

    Raises:
        OSError: one could not be moved; every name is what it was, and what was written is removed.
    """
    with _open_ones.undisturbed():
        _publish(wholes)


def _publish(wholes: Sequence[Whole]) -> None:
    moved: list[tuple[Whole, tuple[int, int]]] = []
    try:
        for whole in wholes:
            whole._before()
        for whole in wholes:
            _open_ones.discard(whole)              # from here on `path` may be the earlier file, which is not ours
            moved.append((whole, _identity(whole.path)))
            _place(whole, alone=len(wholes) == 1)
    except BaseException:
        if len(moved) == len(wholes) and all(_identity(whole.goal) == identity for whole, identity in moved):
            _clear(wholes)         # interrupted when all was done: what was replaced by a single file is gone already
            raise
        for whole, identity in reversed(moved):
            _take_back(whole, identity)
        for whole in wholes:
            whole.discard()
        raise
    _clear(wholes)


def _clear(wholes: Sequence[Whole]) -> None:
    for whole in wholes:
        if os.path.lexists(whole.path):
            whole._after()


def adopt(made: Path, goal: Path, overwrite: bool = True) -> Whole:
    """A file or folder that another program has written into a `scratch_folder`, to be published."""
    return (WholeFolder if made.is_dir() else WholeFile)(goal, overwrite, made=made)


def _place(whole: Whole, alone: bool) -> None:
    source, goal = whole.path, whole.goal
    if isinstance(whole, WholeFolder) and whole._inside:
        return whole._pour()
    if isinstance(whole, WholeFile) and whole.overwrite and alone:
        return os.replace(source, goal)
    try:
        return rename_new(source, goal)
    except FileExistsError:
        if isinstance(whole, WholeFile) and not whole.overwrite:
            raise FileExistsError(f'{goal} was written by somebody else in the meantime; it is as it was') from None
    _swap(source, goal)


def _swap(source: Path, goal: Path) -> None:
    if exchange(source, goal):
        return
    aside = goal.with_name(fresh_name(goal, 'previous', suffix=False))     # `_recover` knows this name
    os.rename(goal, aside)
    try:
        os.rename(source, goal)
    except BaseException:
        os.rename(aside, goal)
        raise
    os.rename(aside, source)


def _take_back(whole: Whole, identity: tuple[int, int]) -> None:
    """Undo `_place` as far as it was done; `whole` can be discarded then."""
    if _identity(whole.goal) == identity:
        if os.path.lexists(whole.path):
            _swap(whole.path, whole.goal)
        else:
            os.rename(whole.goal, whole.path)
    if _identity(whole.path) == identity:
        _open_ones.add(whole)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _recover(goal: Path) -> None:
    """A run without swaps that was killed between its two moves has left the earlier folder beside its name."""
    if os.path.lexists(goal) or not goal.parent.is_dir():
        return
    before = [path for path in goal.parent.iterdir() if (mark := MARK.search(path.name)) and mark[1] == 'previous'
              and path.name[:mark.start()] == goal.name and path.is_dir()]
    if len(before) == 1:
        os.rename(before[0], goal)


def _link(source: Path, target: Path) -> None:
    """The same file under a second name, folders with all that is in them; copied where links are unknown."""
    if source.is_dir() and not source.is_symlink():
        target.mkdir()
        for entry in source.iterdir():
            _link(entry, target / entry.name)
        shutil.copystat(source, target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


class _OpenOnes(set):
    """All that this process is writing. While there is any, SIGTERM and SIGHUP remove it before they end the process,
    unless the program does something of its own on them."""

    def __init__(self):
        super().__init__()
        self._process, self._before = os.getpid(), {}

    def add(self, whole: Whole) -> None:
        if self._process != os.getpid():           # a forked child must not remove what its parent writes
            self.clear()
            self._process = os.getpid()
        super().add(whole)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Signals wait until the end of a step that must be done as a whole: a file made and known, or renamed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        waiting: list[int] = []
        before = {number: handler for number in (*STOPPING, signal.SIGINT)
                  if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)}
        for number in before:
            signal.signal(number, lambda number, frame: waiting.append(number))
        try:
            yield
        finally:
            for number, handler in before.items():
                ours = self and number in STOPPING and handler == signal.SIG_DFL
                signal.signal(number, self._stop if ours else handler)
            for number in waiting[:1]:
                os.kill(os.getpid(), number)

    def discard_all(self) -> None:
        """At the end of the process, whatever ended it: an interrupt can come before a writer is in anybody's hands."""
        if self._process == os.getpid():
            for whole in list(self):
                whole.discard()

    def _stop(self, number, frame) -> None:
        self.discard_all()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


_open_ones = _OpenOnes()
discard_at_exit = atexit.register(_open_ones.discard_all)


@contextmanager
def whole_file(goal: str | Path, overwrite: bool = True) -> Iterator[Path]:
    """The block writes a file at the path that it gets; see the head of this module."""
    with _whole(WholeFile(goal, overwrite)) as path:
        yield path


@contextmanager
def whole_folder(goal: str | Path, overwrite: bool = True,
                 keep: Callable[[Path], bool] = lambda entry: False) -> Iterator[Path]:
    """The block fills the empty folder that it gets; see `WholeFolder`."""
    with _whole(WholeFolder(goal, overwrite, keep)) as path:
        yield path


@contextmanager
def _whole(whole: Whole) -> Iterator[Path]:
    try:
        yield whole.path
        whole.commit()
    finally:
        whole.discard()


@contextmanager
def scratch_folder(goal: str | Path) -> Iterator[Path]:
    """An empty folder beside a goal, for programs that choose names of their own; removed with all that is left in it.

    What shall stay is given to `adopt` and published.
    """
    whole = WholeFolder(goal)
    try:
        yield whole.path
    finally:
        whole.discard()
