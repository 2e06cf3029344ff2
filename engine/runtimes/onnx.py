"""An ONNX file as a network (optional extra onnxruntime): ours, and those that RVM publishes."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..base import INFERENCE_SIZE, ExportedNetwork, graph_ratio, match_interface

INSTALL = 'ONNX files need the {} package: pip install -r requirements/onnx.txt'
PROVIDERS = {'cuda': ['CUDAExecutionProvider'], 'cpu': ['CPUExecutionProvider'], 'mps': ['CoreMLExecutionProvider'],
             'dml': ['DmlExecutionProvider']}


def require(package: str):
    """The module, or a RuntimeError that names the install line."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise RuntimeError(INSTALL.format(package)) from error


class OnnxNetwork(ExportedNetwork):
    """onnxruntime runs the file.

    Args:
        path: of the file; its inputs and outputs have the names of the published RVM files.
        device: 'auto': the first of CUDA, DirectML and CPU that the installed onnxruntime has. 'cpu', 'cuda',
            'cuda:1', 'dml', 'mps': that one.
    Raises:
        RuntimeError: onnxruntime is not installed; the message names the install line.
        ValueError: not such a file, or onnxruntime has no provider for the device.
    """

    def __init__(self, path: str | Path, device: str = 'auto'):
        runtime = require('onnxruntime')
        path = Path(path)
        providers, self._place = choose_providers(str(device), runtime.get_available_providers())
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')    # decoder and encoder need cores too
        try:
            session = runtime.InferenceSession(str(path), options, providers)
        except Exception as error:      # its exceptions share no base class of their own
            raise ValueError(f'{path}: onnxruntime cannot read this file: {str(error).splitlines()[0]}') from error
        self._runtime, self._session = runtime, session
        self._inputs = {value.name: value for value in session.get_inputs()}
        people = self._inputs['msk'].shape[1] if 'msk' in self._inputs else 1
        interface = match_interface(path, self._inputs, [value.name for value in session.get_outputs()], people)
        H, W = self._inputs['src'].shape[2:]
        facts = session.get_modelmeta().custom_metadata_map
        ratio = facts.get('downsample_ratio')
        super().__init__(f'{path.name}, onnxruntime {session.get_providers()[0]}', interface,
                         (W, H) if isinstance(H, int) and isinstance(W, int) else None,
                         float(ratio) if ratio else None, int(facts.get('inference_size', INFERENCE_SIZE)))
        self._float = np.float16 if self._inputs['src'].type == 'tensor(float16)' else np.float32

    def feed(self, pictures: dict[str, Tensor], rec: Sequence | None, downsample_ratio: float) -> dict:
        """Inputs of the graph by name, for `run_frame`."""
        feed = {name: picture.numpy().astype(self._float, copy=False) for name, picture in pictures.items()}
        names = self.interface.states_in
        feed |= zip(names, rec or map(self._zero_state, names), strict=True)
        if 'downsample_ratio' in self._inputs:
            feed['downsample_ratio'] = np.array([graph_ratio(downsample_ratio, *feed['src'].shape[2:])], np.float32)
        return feed

    def run_frame(self, pictures: dict[str, Tensor], rec: list | None, downsample_ratio: float) -> list:
        """See `ExportedNetwork`."""
        outputs, rec = self.interface.split(self._run(self.feed(pictures, rec, downsample_ratio)))
        return [torch.from_numpy(array.astype(np.float32, copy=False)) for array in outputs.values()] + rec

    def _run(self, feed: dict) -> list:
        if self._place[0] != 'cpu':
            return self.run_bound(feed)
        return self._session.run(list(self.interface.names_out), feed)

    def run_bound(self, feed: dict) -> list:
        """Pictures as arrays; states stay where the runtime computes."""
        binding = self._session.io_binding()
        for name, value in feed.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in self.interface.names_out:
            binding.bind_output(name, *(('cpu',) if name in self.interface.outputs else self._place))
        self._session.run_with_iobinding(binding)
        outputs, rec = self.interface.split(binding.get_outputs())
        return [*(value.numpy() for value in outputs.values()), *rec]

    def _zero_state(self, name: str) -> np.ndarray:
        """Full size where the file fixes it, else a single zero, which the graph repeats."""
        shape = self._inputs[name].shape
        return np.zeros(shape if all(isinstance(n, int) for n in shape) else (1, 1, 1, 1), self._float)


def choose_providers(device: str, available: list[str]) -> tuple[list[str], tuple]:
    """
    Returns:
        Providers in order of preference, and the place of states in the words of onnxruntime.
    Raises:
        ValueError: none for this device.
    """
    kind, _, index = device.partition(':')
    if kind == 'auto':
        kind = next(kind for kind in ('cuda', 'dml', 'cpu') if PROVIDERS[kind][0] in available)
    if kind not in PROVIDERS or PROVIDERS[kind][0] not in available:
        raise ValueError(f'device {device}: this onnxruntime has {", ".join(available)}; install onnxruntime-gpu for '
                         'CUDA or onnxruntime-directml for Windows, or use device cpu')
    number = int(index or 0)
    chosen = PROVIDERS[kind][0]
    provider = chosen if kind in ('cpu', 'mps') else (chosen, {'device_id': number})
    return ([provider] if kind == 'cpu' else [provider, 'CPUExecutionProvider'],
            (kind, number) if kind in ('cuda', 'dml') else ('cpu', 0))
