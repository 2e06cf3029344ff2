"""Messages between two programs over a pipe: a JSON head, then raw arrays. No pickle.

    4 bytes    length of the head, little endian
    head       {..., "arrays": [[name, dtype, shape], ...]}
    arrays     one after the other, little endian, C order
"""

import json
import struct
from typing import BinaryIO

import numpy as np


def send(pipe: BinaryIO, head: dict, arrays: dict[str, np.ndarray]) -> None:
    """A JSON head with its length in front, then the bytes of the arrays in order."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    described = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    text = json.dumps(head | {'arrays': described}).encode()
    pipe.write(struct.pack('<I', len(text)) + text)
    for array in arrays.values():
        pipe.write(array.tobytes())
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict, dict[str, np.ndarray]] | None:
    """
    Returns:
        None where the other side has closed the pipe.
    """
    length = pipe.read(4)
    if len(length) < 4:
        return None
    head = json.loads(pipe.read(*struct.unpack('<I', length)))
    arrays = {}
    for name, dtype, shape in head.pop('arrays'):
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        arrays[name] = np.frombuffer(pipe.read(count), dtype).reshape(shape)
    return head, arrays
