"""Fetching published files once, into the torch hub cache."""

import hashlib
from pathlib import Path
from urllib.error import URLError

import torch

from files import whole_file


def download_once(url: str, file_name: str, title: str, progress: bool = True) -> Path:
    """Fetch once; record the SHA-256 of the first download beside the file and verify it ever after.

    Args:
        file_name: under checkpoints/ of the torch hub cache.
        title: what messages call it.
    Raises:
        RuntimeError: the download failed; the message says where to put the file by hand.
        ValueError: the file is not what was downloaded first.
    """
    path = Path(torch.hub.get_dir()) / 'checkpoints' / file_name
    record = path.with_name(f'{path.name}.sha256')
    if not path.is_file():
        print(f'downloading {title} from {url}')
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        except (URLError, OSError) as error:
            raise RuntimeError(f'cannot download {title}: {error}; check the network, or save {url} '
                               f'as {path}') from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not record.is_file():
        with whole_file(record) as partial:
            partial.write_text(digest + '\n')
    elif record.read_text().strip() != digest:
        raise ValueError(f'{path} has changed since it was downloaded (SHA-256 {digest[:12]}, recorded '
                         f'{record.read_text()[:12]}): delete it to download it again')
    return path
