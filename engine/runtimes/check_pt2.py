"""What a torch.export archive may hold, looked at before PyTorch opens it.

`torch.export.load` unpickles what it cannot read as weights, loads compiled libraries, and hands expressions to SymPy,
which evaluates them: a file from elsewhere could run any code. Ours need none of the three.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

MEMBER = re.compile(r'[^/]+/(data/(weights/(weight_\d+|model_weights_config\.json)'
                    r'|constants/(tensor_\d+|model_constants_config\.json)|sample_inputs/model\.pt)|models/model\.json'
                    r'|extra/[\w.]+|archive_format|archive_version|byteorder|version|\.data/\w+)')
TARGET = re.compile(r'torch\.ops\.(aten|prims)\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\.sym_\w+')
EXPRESSION = re.compile(r'[\w+\-*/() ,]{0,200}')       # sizes: no dots, no quotes
LARGEST = 2 ** 33                                       # [bytes] unpacked


def check_pt2(path: Path) -> None:
    """
    Raises:
        ValueError: not such an archive, or one that holds what could run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            strange = next((info.filename for info in members if not MEMBER.fullmatch(info.filename)), None)
            if strange is not None:
                raise ValueError(f'{path} holds {strange!r}, which no export of a network needs and which could run '
                                 'code: it was not opened')
            if sum(info.file_size for info in members) > LARGEST:
                raise ValueError(f'{path} unpacks to more than {LARGEST >> 30} GiB: it was not opened')
            for info in members:
                if info.filename.endswith('.json'):
                    _check_values(path, json.loads(archive.read(info)))
                elif info.filename.endswith('.pt'):
                    torch.load(io.BytesIO(archive.read(info)), weights_only=True)
    except zipfile.BadZipFile as error:
        raise ValueError(f'{path} is not a torch.export program: not a zip archive') from error
    except (ValueError, RecursionError) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f'{path} is not a torch.export program: {str(error).splitlines()[0]}') from error
    except Exception as error:         # whatever the unpickler says of a file that is none
        raise ValueError(f'{path} needs unpickling, which could run code: it was not opened '
                         f'({str(error).splitlines()[0] if str(error) else type(error).__name__})') from error


def _check_values(path: Path, value: object) -> None:
    if isinstance(value, list):
        for item in value:
            _check_values(path, item)
    elif isinstance(value, dict):
        for key, item in value.items():
            bad = (key in ('use_pickle', 'guards_code') and item
                   or key == 'expr_str' and ('__' in str(item) or not EXPRESSION.fullmatch(str(item)))
                   or key == 'target' and isinstance(item, str) and 'inputs' in value and not TARGET.fullmatch(item))
            if bad:
                raise ValueError(f'{path} asks for {key} {str(item)[:60]!r}, which could run code: it was not opened')
            _check_values(path, item)


@contextmanager
def weights_only() -> Iterator[None]:
    """Meanwhile nothing is unpickled but tensors, whoever calls `torch.load`."""
    load = torch.load

    def strict(*arguments, **settings):
        return load(*arguments, **(settings | {'weights_only': True}))
    torch.load = strict
    try:
        yield
    finally:
        torch.load = load
