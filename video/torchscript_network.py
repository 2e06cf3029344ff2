"""A TorchScript file as a network."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .exported_network import INFERENCE_SIZE, ExportedNetwork
from .matter import choose_device


class TorchScriptNetwork(ExportedNetwork):
    """A (frozen) scripted MattingNetwork, any size and ratio.

    Args:
        path: of the file. device: where it runs; 'auto' as in `choose_device`.
    Raises:
        ValueError: not a TorchScript file.
    """

    def __init__(self, path: str | Path, device: str | torch.device = 'auto'):
        self._device = choose_device(device)
        extra = {'precision': '', 'inference_size': ''}
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings('ignore', message='.*torch.jit.*')       # deprecated, and still libtorch's file
                module = torch.jit.load(str(path), map_location=self._device, _extra_files=extra).eval()
        except RuntimeError as error:
            raise ValueError(f'{path} is not a TorchScript file: {str(error).splitlines()[0]}') from error
        super().__init__(f'{Path(path).name}, TorchScript on {self._device}',
                         inference_size=int(extra['inference_size'] or INFERENCE_SIZE))
        self.module = module
        half = extra['precision'] in ('fp16', b'fp16')
        self._dtype = torch.float16 if half else next((p.dtype for p in module.parameters()), torch.float32)

    def run_frame(self, src: Tensor, rec: Sequence | None, downsample_ratio: float) -> list:
        with torch.inference_mode():
            fgr, pha, *rec = self.module(src.to(self._device, self._dtype), *(rec or [None] * 4), downsample_ratio)
        return [fgr.float().cpu(), pha.float().cpu(), *rec]
