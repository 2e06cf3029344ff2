"""Fetching published files once, into the torch hub cache."""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

import torch

from files import whole_file

DIGEST = re.compile(r'-([0-9a-f]{8,64})\.\w+$')       # name-8738ca79.pth: how torchvision's files carry their SHA-256


def download_once(url: str, file_name: str, title: str, progress: bool = True,
                  check: Callable[[Path], object] = lambda path: None) -> Path:
    """Fetch once; record the SHA-256 of the first download beside the file and verify it ever after.

    A digest in the name is verified at once; where none is known, `check` is all that can be known of a first download.

    Args:
        file_name: under checkpoints/ of the torch hub cache.
        title: what messages call it.
        check: of the first download; raises ValueError where it is not what its name says.
    Raises:
        RuntimeError: the download failed; the message says where to put the file by hand.
        ValueError: the file is not what was published, or not what was downloaded first.
    """
    path = Path(torch.hub.get_dir()) / 'checkpoints' / file_name
    record = path.with_name(f'{path.name}.sha256')
    fetched = not path.is_file()           # else somebody has put it there
    if fetched:
        print(f'downloading {title} from {url}')
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        except (URLError, OSError) as error:
            raise RuntimeError(f'cannot download {title}: {error}; check the network, or save {url} '
                               f'as {path}') from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not record.is_file():
        try:
            published = DIGEST.search(file_name)
            if published is not None and not digest.startswith(published[1]):
                raise ValueError(f'{path} is not {title} as published (SHA-256 {digest[:12]}, its name says '
                                 f'{published[1]})')
            check(path)
        except ValueError as error:
            if fetched:
                with suppress(OSError):
                    path.unlink()
            raise ValueError(f'{error}; ' + ('the file was removed: check the network, and try again' if fetched else
                                             f'delete it, or put the file of {url} there')) from error
        with whole_file(record) as partial:
            partial.write_text(digest + '\n')
    elif record.read_text().strip() != digest:
        raise ValueError(f'{path} has changed since it was downloaded (SHA-256 {digest[:12]}, recorded '
                         f'{record.read_text()[:12]}): delete it to download it again')
    return path
