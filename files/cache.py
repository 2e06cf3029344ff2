"""What was worked out once and is kept for the next run: small files in the user's cache folder.

Any process may read, write and delete there at any time: an entry appears whole, says itself whether it is damaged, and
one that cannot be read or written only costs the work that it would have saved.
"""

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = 'MATTING_CACHE'       # names the folder instead
LARGEST = 1 << 30                # [bytes] of all entries of a kind
MARK = b'matting cache 1\n'


def cache_folder() -> Path:
    """$MATTING_CACHE, else a folder of ours where this system keeps such files; it need not exist."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    home = Path.home()
    if sys.platform == 'win32':
        return Path(os.environ.get('LOCALAPPDATA') or home / 'AppData' / 'Local') / 'video_matting'
    if sys.platform == 'darwin':
        return home / 'Library' / 'Caches' / 'video_matting'
    return Path(os.environ.get('XDG_CACHE_HOME') or home / '.cache') / 'video_matting'


def digest(*parts: str | bytes) -> str:
    """A name for what depends on these and on nothing else; each is told from its neighbour."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, 'little'))
        whole.update(data)
    return whole.hexdigest()


class Cache:
    """Bytes by key.

    Args:
        kind: of what is kept: a folder of its own.
        largest: [bytes] of all entries; beyond it those used longest ago are removed.
    """

    def __init__(self, kind: str, largest: int = LARGEST):
        self.kind, self.largest = kind, largest

    def path(self, key: str) -> Path:
        """Of an entry; `key` is a `digest`."""
        return cache_folder() / self.kind / key

    def load(self, key: str) -> bytes | None:
        """What was stored last, or None: nothing, or not all of it."""
        path = self.path(key)
        try:
            whole = path.read_bytes()
        except OSError:
            return None
        start = len(MARK) + hashlib.sha256().digest_size
        data = whole[start:]
        if whole[:start] != MARK + hashlib.sha256(data).digest():
            return None
        with suppress(OSError):
            os.utime(path)                    # used now
        return data

    def store(self, key: str, data: bytes) -> None:
        """Keep it where that is possible."""
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, partial = tempfile.mkstemp(prefix='partial.', dir=path.parent)
        except OSError:
            return
        try:
            with os.fdopen(handle, 'wb') as file:
                file.write(MARK + hashlib.sha256(data).digest())
                file.write(data)
            os.replace(partial, path)
            self._prune(path)
        except OSError:                       # a full disk
            pass
        finally:
            with suppress(OSError):
                os.unlink(partial)

    def _prune(self, newest: Path) -> None:
        found = []
        for path in newest.parent.iterdir():
            with suppress(OSError):           # another process removes them too
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.largest:
                break
            if path != newest:
                with suppress(OSError):
                    path.unlink()
                total -= size
