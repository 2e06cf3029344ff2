"""A file that only another environment can run, as a network: TensorFlow, TFLite and TF.js."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from video.exported_network import NAMES_IN, NAMES_OUT, ExportedNetwork

from .child import Child
from .environments import ROOT, find, python_of

STATES_IN, STATES_OUT = NAMES_IN[1:5], NAMES_OUT[2:]


_tensorflow: list[Child] = []      # at most one: it takes seconds to start, and serves any number of files


def start_tensorflow() -> Child:
    """The running one, or a new one.

    Raises:
        RuntimeError: its environment is missing; the message names the command that makes it.
    """
    python = python_of(find('tensorflow'))
    if not (_tensorflow and _tensorflow[0].runs):
        environment = os.environ | {'CUDA_VISIBLE_DEVICES': ''}
        _tensorflow[:] = [Child([python, ROOT / 'export' / 'in_tensorflow' / 'serve.py'], environment)]
    return _tensorflow[0]


def start_node() -> Child:
    """
    Raises:
        RuntimeError: its environment is missing; the message names the command that makes it.
    """
    environment = os.environ | {'NODE_PATH': str(find('tfjs') / 'node_modules')}
    return Child(['node', ROOT / 'export' / 'in_node' / 'serve.js'], environment)


class ChildNetwork(ExportedNetwork):
    """Channels-last file of fixed size, run frame by frame in a program of its own. States stay channels last.

    Args:
        path: file or folder.
        child: answers `open` and `run`.
        options: more for `open`.
    Raises:
        ValueError: not a matting network.
    """

    def __init__(self, path: Path, child: Child, **options: str):
        facts = child.ask('open', path=str(path.resolve()), **options)[0]
        self._child, self._number, self._shapes = child, facts['number'], facts['inputs']
        if set(self._shapes) != set(NAMES_IN[:5]) or set(facts['outputs']) != set(NAMES_OUT):
            raise ValueError(f'{path}: expected {", ".join(NAMES_IN[:5])} -> {", ".join(NAMES_OUT)}, got '
                             f'{", ".join(self._shapes)} -> {", ".join(facts["outputs"])}: not a matting network')
        if 'downsample_ratio' not in facts['facts']:
            raise ValueError(f'{path} does not say its downsample_ratio: it was not written by export.py')
        _, H, W, _ = self._shapes['src']
        super().__init__(f'{path.name}, {facts["runtime"]}', (W, H), float(facts['facts']['downsample_ratio']))

    def run_frame(self, src: Tensor, rec: Sequence | None, downsample_ratio: float) -> list:
        states = rec or [np.zeros(self._shapes[name], np.float32) for name in STATES_IN]
        feed = {'src': src.permute(0, 2, 3, 1).numpy(), **dict(zip(STATES_IN, states, strict=True))}
        answer = self._child.ask('run', feed, number=self._number)[1]
        pictures = [torch.from_numpy(answer[name].transpose(0, 3, 1, 2).copy()) for name in ('fgr', 'pha')]
        return pictures + [answer[name] for name in STATES_OUT]
