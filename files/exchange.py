"""Two moves that Python's `os` lacks: swap two names in one step, and rename without replacing."""

import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path

NO_REPLACE, EXCHANGE = {'linux': (1, 2), 'darwin': (4, 2)}.get(sys.platform, (0, 0))
CURRENT_FOLDER = -100           # AT_FDCWD of Linux
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@cache
def _system_call():
    """`renameat2` of Linux or `renamex_np` of macOS, or None."""
    name = {'linux': 'renameat2', 'darwin': 'renamex_np'}.get(sys.platform)
    return getattr(ctypes.CDLL(None, use_errno=True), name, None) if name else None


def _rename(source: Path, target: Path, flag: int) -> bool:
    """False where the system or the file system does not know how.

    Raises:
        OSError: as `os.rename`.
    """
    call = _system_call()
    if call is None:
        return False
    names = os.fsencode(source), os.fsencode(target)
    if sys.platform == 'linux':
        failed = call(CURRENT_FOLDER, names[0], CURRENT_FOLDER, names[1], ctypes.c_uint(flag))
    else:
        failed = call(*names, ctypes.c_uint(flag))
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def exchange(first: Path, second: Path) -> bool:
    """Swap two files or folders in one step that nobody sees the middle of. False: not possible here."""
    return _rename(first, second, EXCHANGE)


def rename_new(source: Path, target: Path) -> None:
    """Rename a file or folder to a name that is free.

    Raises:
        FileExistsError: it is not, not even for a link that leads nowhere.
    """
    if _rename(source, target, NO_REPLACE):
        return
    if not source.is_dir():
        try:
            os.link(source, target, follow_symlinks=False)
            source.unlink()
            return
        except FileExistsError:
            raise
        except OSError:            # a file system without links: look, then rename
            pass
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(source, target)
