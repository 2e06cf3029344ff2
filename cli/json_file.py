"""Reports that commands write beside their work."""

import json
from pathlib import Path

from files import is_image_path, is_video_path, whole_file


def write_json(path: str | None, content: list | dict) -> None:
    """What --report names; the file is whole at every moment. None writes nothing."""
    if path is None:
        return
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2, default=str) + '\n')


def check_json(flag: str, path: str | None, overwrite: bool, keys: tuple[str, ...]) -> None:
    """Whether a report may have this name: a new one, or that of an earlier report.

    Args:
        keys: that every report of this kind has, or every one of its list.
    Raises:
        ValueError: the name of a clip, or of a folder. FileExistsError: another file is there, and `overwrite` is off.
        FileNotFoundError: its folder does not exist.
    """
    if path is None:
        return
    if is_image_path(path) or is_video_path(path) or Path(path).is_dir():
        raise ValueError(f'{flag} must be the name of a JSON file such as report.json, got {path}')
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(f'{flag} {path}: the folder {Path(path).parent} does not exist')
    if Path(path).is_file() and not overwrite:
        try:
            earlier = json.loads(Path(path).read_bytes() or '[]')
        except (ValueError, RecursionError):
            earlier = None
        reports = earlier if isinstance(earlier, list) else [earlier]
        if not all(isinstance(report, dict) and set(keys) <= report.keys() for report in reports):
            raise FileExistsError(f'{flag} {path} exists and is no report: choose another name, or use --overwrite '
                                  'to replace it')
