"""An OpenVINO IR file (model.xml beside model.bin) as a network (optional extra openvino)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .exported_network import (
    INFERENCE_SIZE,
    NAMES_IN,
    NAMES_OUT,
    ExportedNetwork,
    check_interface,
    graph_ratio,
)
from .openvino_network import openvino_core, require_openvino


class OpenVINOFile(ExportedNetwork):
    """OpenVINO runs the file.

    Args:
        path: of the .xml; its inputs and outputs have the names of the published ONNX files.
        device: 'auto' and 'cpu': the CPU; others as OpenVINO calls them ('GPU', 'NPU').
        precision: of the computation: 'f32', or 'bf16' where the CPU has it.
    Raises:
        RuntimeError: openvino is not installed; the message names the install line.
        ValueError: not such a file, or no such device.
    """

    def __init__(self, path: str | Path, device: str = 'auto', precision: str = 'f32'):
        require_openvino()
        core = openvino_core()
        path = Path(path)
        place = 'CPU' if str(device) in ('auto', 'cpu') else str(device).upper()
        try:
            model = core.read_model(path)
            compiled = core.compile_model(model, place, {'INFERENCE_PRECISION_HINT': precision,
                                                         'PERFORMANCE_HINT': 'LATENCY'})
        except RuntimeError as error:
            raise ValueError(f'{path}: OpenVINO cannot run this file on {place}: {_last_line(error)}') from error
        self._names = [value.any_name for value in compiled.inputs]
        check_interface(path, self._names, [value.any_name for value in compiled.outputs])
        shape = compiled.input('src').partial_shape
        self._shapes = {name: compiled.input(name).partial_shape for name in NAMES_IN[1:5]}
        fixed = shape[2].is_static and shape[3].is_static
        facts = {key: model.get_rt_info(key).astype(str) for key in ('downsample_ratio', 'inference_size')
                 if _has(model, key)}
        ratio = float(facts['downsample_ratio']) if 'downsample_ratio' in facts else None
        super().__init__(f'{path.name}, OpenVINO {place} {precision}',
                         (shape[3].get_length(), shape[2].get_length()) if fixed else None, ratio,
                         int(facts.get('inference_size', INFERENCE_SIZE)))
        self._request = compiled.create_infer_request()

    def run_frame(self, src: Tensor, rec: Sequence | None, downsample_ratio: float) -> list:
        feed = {'src': src.numpy(), **dict(zip(NAMES_IN[1:5], rec or map(self._zero_state, NAMES_IN[1:5])))}
        if 'downsample_ratio' in self._names:
            feed['downsample_ratio'] = np.array([graph_ratio(downsample_ratio, *src.shape[2:])], np.float32)
        result = self._request.infer(feed)
        fgr, pha, *rec = [np.array(result[name]) for name in NAMES_OUT]      # its memory is written by the next frame
        return [torch.from_numpy(fgr), torch.from_numpy(pha), *rec]

    def _zero_state(self, name: str) -> np.ndarray:
        shape = self._shapes[name]
        return np.zeros(shape.to_shape() if shape.is_static else (1, 1, 1, 1), np.float32)


def _has(model, key: str) -> bool:
    return key in model.get_rt_info()


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip()
