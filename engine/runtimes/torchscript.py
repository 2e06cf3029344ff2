"""A TorchScript file as a network."""

import sys
import warnings
from pathlib import Path

import torch
from torch import Tensor

from files.terminal import plain

from ..base import INFERENCE_SIZE, ExportedNetwork, interface_named
from ..device import choose_device


class TorchScriptNetwork(ExportedNetwork):
    """A (frozen) scripted MattingNetwork, any size and ratio.

    Args:
        path: of the file. device: where it runs; 'auto' as in `choose_device`.
    Raises:
        ValueError: not a TorchScript file.
    """

    def __init__(self, path: str | Path, device: str | torch.device = 'auto'):
        self._device = choose_device(device)
        print(plain(f'{Path(path).name}: TorchScript runs code of its own, which can read and write any file: use only '
                    'files of people that you trust'), file=sys.stderr)
        extra = {'precision': '', 'inference_size': '', 'family': '', 'people': ''}
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings('ignore', message='.*torch.jit.*')       # deprecated, and still libtorch's file
                module = torch.jit.load(str(path), map_location=self._device, _extra_files=extra).eval()
        except RuntimeError as error:
            raise ValueError(f'{path} is not a TorchScript file: {str(error).splitlines()[0]}') from error
        super().__init__(f'{Path(path).name}, TorchScript on {self._device}',
                         interface_named(extra['family'], extra['people']),
                         inference_size=int(extra['inference_size'] or INFERENCE_SIZE))
        self.module = module
        half = extra['precision'] in ('fp16', b'fp16')
        self._dtype = torch.float16 if half else next((p.dtype for p in module.parameters()), torch.float32)

    def run_frame(self, pictures: dict[str, Tensor], rec: list | None, downsample_ratio: float) -> list:
        """See `ExportedNetwork`."""
        interface = self.interface
        ready = [picture.to(self._device, self._dtype) for picture in pictures.values()]
        ratio = [downsample_ratio] if interface.takes_ratio else []
        with torch.inference_mode():
            outputs, rec = interface.split(self.module(*ready, *(rec or interface.first_states()), *ratio))
        return [*(picture.float().cpu() for picture in outputs.values()), *rec]
