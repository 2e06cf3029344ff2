"""What a torch.export archive may hold, looked at before PyTorch opens it.

`torch.export.load` unpickles what it cannot read as weights, loads compiled libraries, and hands expressions to SymPy,
which evaluates them: a file from elsewhere could run any code. Ours need none of the three.
"""

import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

MEMBER = re.compile(r'[^/]+/(data/(weights/(weight_\d+|model_weights_config\.json)'
                    r'|constants/(tensor_\d+|model_constants_config\.json)|sample_inputs/model\.pt)|models/model\.json'
                    r'|extra/[\w.]+|archive_format|archive_version|byteorder|version|\.data/\w+)')
TARGET = re.compile(r'torch\.ops\.(aten|prims)\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\.sym_\w+'
                    r'|torch\.ops\.higher_order\.wrap_with_(autocast|set_grad_enabled)')    # graphs of such nodes
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
    except pickle.UnpicklingError as error:
        raise ValueError(f'{path} needs unpickling, which could run code: it was not opened') from error
    except Exception as error:         # zipfile, json and the unpickler raise all kinds, of files that are damaged
        if str(path) in str(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0].split('. ')[0]
        raise ValueError(f'{path} is not a torch.export program: {reason}') from error


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
