"""A file that only another environment can run, as a network: TensorFlow, TFLite and TF.js."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.base import ExportedNetwork, match_interface

from .child import Child
from .environments import ROOT, find, python_of

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
        interface = match_interface(path, self._shapes, facts['outputs'])
        if 'downsample_ratio' not in facts['facts']:
            raise ValueError(f'{path} does not say its downsample_ratio: it was not written by export.py')
        _, H, W, _ = self._shapes['src']
        super().__init__(f'{path.name}, {facts["runtime"]}', interface, (W, H),
                         float(facts['facts']['downsample_ratio']))

    def run_frame(self, pictures: dict[str, Tensor], rec: list | None, downsample_ratio: float) -> list:
        """See `ExportedNetwork`; the frame travels to the process and back."""
        names = self.interface.states_in
        states = rec or [np.zeros(self._shapes[name], np.float32) for name in names]
        feed = {name: picture.permute(0, 2, 3, 1).numpy() for name, picture in pictures.items()}
        answer = self._child.ask('run', feed | dict(zip(names, states, strict=True)), number=self._number)[1]
        return [*(torch.from_numpy(answer[name].transpose(0, 3, 1, 2).copy()) for name in self.interface.outputs),
                *(answer[name] for name in self.interface.states_out)]
