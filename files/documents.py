"""Text files that others wrote: YAML, JSON, lists of files. What is wrong with them is one line."""

import csv
import io
import json
import os
from pathlib import Path, PurePosixPath, PureWindowsPath

LARGEST_SETTINGS = 2 ** 20      # [bytes]
MOST_VALUES = 10_000            # of a settings file, aliases counted as often as they are used


def read_yaml(path: Path, name: str) -> dict:
    """A settings file: a mapping at the top, {} for an empty one.

    Args:
        name: what messages call it.
    Raises:
        FileNotFoundError: no such file. ValueError: it is no YAML, no mapping, or larger than settings are.
    """
    import yaml
    if os.path.isfile(path) and os.path.getsize(path) > LARGEST_SETTINGS:
        raise ValueError(f'{name} {path} has more than {LARGEST_SETTINGS >> 20} MiB: is it a settings file?')
    text = read_text(path, name)
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f'{name} {path} is not a YAML file: {" ".join(str(error).split())[:200]}') from error
    except RecursionError as error:
        raise ValueError(f'{name} {path} is nested too deeply for a settings file') from error
    if not isinstance(content, dict):
        raise ValueError(f'{name} {path}: expected lines `name: value`, got a {type(content).__name__}')
    _count(content, path, name)
    return content


def _count(content: dict, path: Path, name: str) -> None:
    """A file of a few lines may stand for millions of values, by references."""
    left, todo = MOST_VALUES, [content]
    while todo:
        value = todo.pop()
        left -= 1
        if left < 0:
            raise ValueError(f'{name} {path} stands for more than {MOST_VALUES} values: is it a settings file?')
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list | set | tuple):
            todo += value


def read_text(path: Path, name: str) -> str:
    """
    Args:
        name: what messages call it.
    Raises:
        FileNotFoundError: no such file. ValueError: it is no text in UTF-8.
    """
    try:
        return path.read_bytes().decode('utf-8-sig')
    except FileNotFoundError:
        raise FileNotFoundError(f'{name} {path}: no such file') from None
    except OSError as error:
        raise PermissionError(f'{name} {path} cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise ValueError(f'{name} {path} is not a text file (UTF-8)') from error


def read_rows(path: Path, name: str) -> list[list[str]]:
    """The rows of a CSV file, empty lines too; raises as `read_text`, and ValueError if it is no CSV."""
    try:
        return list(csv.reader(io.StringIO(read_text(path, name), newline='')))
    except csv.Error as error:
        raise ValueError(f'{name} {path} is not a CSV file: {error}') from error


def read_names(path: Path, name: str) -> list[str]:
    """A list of names of files below its folder, apart by white space; raises as `read_text` and `below`."""
    return [below(item, path) for item in read_text(path, name).split()]


def read_json(path: Path, name: str) -> dict | list:
    """
    Args:
        name: what messages call it.
    Raises:
        FileNotFoundError: no such file. ValueError: it is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f'{name} {path}: no such file') from None
    except OSError as error:
        raise PermissionError(f'{name} {path} cannot be read: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{name} {path} is not a JSON file: {str(error)[:200]}') from error


def below(name: object, path: Path) -> str:
    """A file name out of a list, which must not lead out of the list's folder.

    Args:
        path: of the list, for the message.
    Raises:
        ValueError: no text, an absolute path, or one with `..`.
    """
    if not isinstance(name, str) or not name or '\0' in name or any(
            kind(name).is_absolute() or kind(name).drive or '..' in kind(name).parts
            for kind in (PurePosixPath, PureWindowsPath)):
        raise ValueError(f'{path} names {str(name)[:80]!r}: expected the name of a file below its folder')
    return name


def text_cell(text: object) -> str:
    """Text for a cell of a table: never a formula, whatever the name of a clip is."""
    text = str(text)
    return f"'{text}" if text[:1] in ('=', '+', '-', '@', '\t', '\r') else text
