"""An ONNX file as a network (optional extra onnxruntime): ours, and those that RVM publishes."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .exported_network import INFERENCE_SIZE, NAMES_IN, NAMES_OUT, ExportedNetwork, check_interface, graph_ratio

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
        check_interface(path, list(self._inputs), [value.name for value in session.get_outputs()])
        H, W = self._inputs['src'].shape[2:]
        facts = session.get_modelmeta().custom_metadata_map
        ratio = facts.get('downsample_ratio')
        super().__init__(f'{path.name}, onnxruntime {session.get_providers()[0]}',
                         (W, H) if isinstance(H, int) and isinstance(W, int) else None,
                         float(ratio) if ratio else None, int(facts.get('inference_size', INFERENCE_SIZE)))
        self._float = np.float16 if self._inputs['src'].type == 'tensor(float16)' else np.float32

    def feed(self, src: Tensor, rec: Sequence | None, downsample_ratio: float) -> dict:
        """Inputs of the graph by name, for `run_frame`."""
        feed = {'src': src.numpy().astype(self._float, copy=False)}
        for name, state in zip(NAMES_IN[1:5], rec or [None] * 4, strict=True):
            feed[name] = self._zero_state(name) if state is None else state
        if 'downsample_ratio' in self._inputs:
            feed['downsample_ratio'] = np.array([graph_ratio(downsample_ratio, *src.shape[2:])], np.float32)
        return feed

    def run_frame(self, src: Tensor, rec: Sequence | None, downsample_ratio: float) -> list:
        fgr, pha, *rec = self._run(self.feed(src, rec, downsample_ratio))
        return [torch.from_numpy(array.astype(np.float32, copy=False)) for array in (fgr, pha)] + rec

    def _run(self, feed: dict) -> list:
        return self._session.run(list(NAMES_OUT), feed) if self._place[0] == 'cpu' else self.run_bound(feed)

    def run_bound(self, feed: dict) -> list:
        """fgr and pha as arrays; states stay where the runtime computes."""
        binding = self._session.io_binding()
        for name, value in feed.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in NAMES_OUT:
            binding.bind_output(name, *(('cpu',) if name in ('fgr', 'pha') else self._place))
        self._session.run_with_iobinding(binding)
        fgr, pha, *rec = binding.get_outputs()
        return [fgr.numpy(), pha.numpy(), *rec]

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
