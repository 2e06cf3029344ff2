"""A torch.export program (.pt2) as a network."""

from pathlib import Path

import torch
from torch import Tensor

from ..base import ExportedNetwork, interface_named
from .check_pt2 import check_pt2, weights_only


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
        check_pt2(path)
        extra = {'downsample_ratio': '', 'family': ''}
        try:
            with weights_only():
                program = torch.export.load(str(path), extra_files=extra)
        except Exception as error:            # its reader raises all kinds, of files that are none
            raise ValueError(f'{path} is not a torch.export program: {(str(error) or repr(error)).splitlines()[0]}'
                             ) from error
        interface = interface_named(extra['family'])
        values = [node.meta['val'] for node in program.graph.find_nodes(op='placeholder')][-len(interface.frame_names):]
        src, states = values[0], values[len(interface.inputs):]
        self._dtype, self._shapes = src.dtype, [list(value.shape) for value in states]
        super().__init__(f'{path.name}, torch.export', interface, (src.shape[3], src.shape[2]),
                         float(extra['downsample_ratio']) if interface.takes_ratio else None)
        self.module = program.module()

    def run_frame(self, pictures: dict[str, Tensor], rec: list | None, downsample_ratio: float) -> list:
        """See `ExportedNetwork`."""
        states = rec or [torch.zeros(shape, dtype=self._dtype) for shape in self._shapes]
        with torch.inference_mode():
            answer = self.module(*(picture.to(self._dtype) for picture in pictures.values()), *states)
        outputs, rec = self.interface.split(answer)
        return [*(picture.float() for picture in outputs.values()), *rec]
