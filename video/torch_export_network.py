"""A torch.export program (.pt2) as a network."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .exported_network import ExportedNetwork


class TorchExportNetwork(ExportedNetwork):
    """One frame of one size and ratio, as `export/torch_export.py` writes it.

    Args:
        path: of the file. device: 'auto' or 'cpu'.
    Raises:
        ValueError: not such a file, or another device.
    """

    def __init__(self, path: str | Path, device: str | torch.device = 'auto'):
        path = Path(path)
        if str(device) not in ('auto', 'cpu'):
            raise ValueError(f'{path}: .pt2 files run on the device of their export, the CPU; got device {device}')
        if not zipfile.is_zipfile(path):
            raise ValueError(f'{path} is not a torch.export program: not a zip archive')
        extra = {'downsample_ratio': ''}
        try:
            program = torch.export.load(str(path), extra_files=extra)
        except (RuntimeError, ValueError, AssertionError, KeyError) as error:
            raise ValueError(f'{path} is not a torch.export program: {str(error).splitlines()[0]}') from error
        inputs = [node.meta['val'] for node in program.graph.find_nodes(op='placeholder')][-5:]
        self._shapes = [list(value.shape) for value in inputs[1:]]
        self._dtype = inputs[0].dtype
        super().__init__(f'{path.name}, torch.export', (inputs[0].shape[3], inputs[0].shape[2]),
                         float(extra['downsample_ratio']))
        self.module = program.module()

    def run_frame(self, src: Tensor, rec: Sequence | None, downsample_ratio: float) -> list:
        states = rec or [torch.zeros(shape, dtype=self._dtype) for shape in self._shapes]
        with torch.inference_mode():
            fgr, pha, *rec = self.module(src.to(self._dtype), *states)
        return [fgr.float(), pha.float(), *rec]
