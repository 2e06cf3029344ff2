"""Exported files by their suffix: what else than our own checkpoints --checkpoint may name."""

from collections.abc import Callable
from pathlib import Path

from ..base import ExportedNetwork
from .onnx import OnnxNetwork
from .openvino import OpenVINOFile
from .torch_export import TorchExportNetwork
from .torchscript import TorchScriptNetwork

RUNTIMES: dict[str, Callable[..., ExportedNetwork]] = {
    '.onnx': OnnxNetwork, '.xml': OpenVINOFile, '.pt2': TorchExportNetwork,
    '.torchscript': TorchScriptNetwork, '.pt': TorchScriptNetwork,
}


def is_exported(checkpoint: str | Path) -> bool:
    """Whether the name is that of an exported file rather than of weights."""
    return Path(checkpoint).suffix in RUNTIMES


def open_exported(path: str | Path, device: str = 'auto') -> ExportedNetwork:
    """The file as a network.

    Args:
        device: 'auto' for the best that the file's runtime has here, or a device in its words.
    Raises:
        FileNotFoundError: no such file.
        RuntimeError: the runtime is not installed; the message names the install line.
        ValueError: not such a file, or no such device.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'checkpoint {str(path)!r}: no such file')
    return RUNTIMES[Path(path).suffix](path, device)
