"""A matting network run by OpenVINO (optional extra), the fastest CPU engine we know."""

import functools
import warnings

import numpy as np
import torch
from torch import Tensor, nn

INSTALL = 'OpenVINO (--engine openvino, .xml files) needs its package: pip install -r requirements/openvino.txt'


def require_openvino():
    """The module, or a RuntimeError that names the install line."""
    try:
        import openvino
    except ImportError as error:
        raise RuntimeError(INSTALL) from error
    return openvino


@functools.cache
def openvino_core():
    """The one `openvino.Core` of this process, which lives as long as it does.

    Each core that loads the CPU plugin gives the thread a new alternate signal stack and takes it away when it goes. Of
    two cores with overlapping lives the second puts back the freed stack of the first, and the next signal with a
    Python handler (Ctrl-C, the end of a child of a DataLoader) kills the process.
    """
    return require_openvino().Core()


class OpenVINONetwork(nn.Module):
    """Stands in for a MattingNetwork on the CPU; compiled once per frame size.

    Args:
        network: any module with `forward` and `coefficients` as MattingNetwork has them, float32.
        dtype: torch.bfloat16 lets OpenVINO compute in bfloat16 where the CPU can; torch.float32 forbids it.
    Raises:
        RuntimeError: openvino is not installed; the message names the install line.
        ValueError: a network without `coefficients`.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        super().__init__()
        openvino = require_openvino()
        if not hasattr(network, 'coefficients'):
            raise ValueError('engine openvino runs MattingNetwork only: use engine torch for this model')
        self._openvino, self._compiled = openvino, {}
        self.inference_size = network.inference_size
        self._parts = {'coefficients': _Coefficients(network).eval(), 'full_size': _FullSize(network).eval()}
        self._hint = 'bf16' if dtype == torch.bfloat16 else 'f32'

    def coefficients(self, base_src: Tensor, *rec: Tensor | None) -> list[Tensor]:
        """As `MattingNetwork.coefficients`, for one frame (1, 3, h, w)."""
        coefficients, *rec = self._run('coefficients', 1, base_src[:, None], rec)
        return [coefficients[:, 0], *rec]

    def forward(self, src: Tensor, *rec_and_ratio) -> list[Tensor]:
        """As `MattingNetwork.forward`, for clips (1, T, 3, H, W) at ratio 1, where there is no refiner."""
        *rec, ratio = rec_and_ratio
        if ratio != 1:
            raise ValueError(f'ratio must be 1 here, got {ratio}: smaller ones go through coefficients')
        return self._run('full_size', 2, src, rec)

    def _run(self, part: str, outputs: int, clip: Tensor, rec) -> list[Tensor]:
        """Frame by frame through the compiled part: its `outputs` stacked over time, then the last states."""
        collected = []
        states = None if rec[0] is None else [state.numpy() for state in rec]
        for frame in clip.float().unbind(1):
            if states is None:
                states = self._zero_states(part, frame)
            result = self._request(part, frame)([frame.contiguous().numpy(), *states])
            arrays = [np.array(result[index]) for index in range(outputs + 4)]
            collected.append([torch.from_numpy(array) for array in arrays[:outputs]])
            states = arrays[outputs:]
        return [*(torch.stack(output, dim=1) for output in zip(*collected, strict=True)),
                *map(torch.from_numpy, states)]

    def _zero_states(self, part: str, frame: Tensor) -> list[np.ndarray]:
        return [np.zeros(state.shape, np.float32) for state in self._parts[part](frame, *[None] * 4)[-4:]]

    def _request(self, part: str, frame: Tensor):
        """The compiled part for this frame size."""
        key = part, frame.shape
        if key not in self._compiled:
            example = (frame.contiguous(), *map(torch.from_numpy, self._zero_states(part, frame)))
            with warnings.catch_warnings():      # tracing warns of Python checks on sizes, which are fixed here
                warnings.simplefilter('ignore')
                converted = self._openvino.convert_model(self._parts[part], example_input=example,
                                                         input=[tensor.shape for tensor in example])
            self._compiled[key] = openvino_core().compile_model(
                converted, 'CPU', {'INFERENCE_PRECISION_HINT': self._hint, 'PERFORMANCE_HINT': 'LATENCY'})
        return self._compiled[key]


class _Coefficients(nn.Module):
    """`coefficients` as a forward, which is what the converter traces."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, src: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, r4: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.coefficients(src, r1, r2, r3, r4))


class _FullSize(_Coefficients):
    """The network at ratio 1."""

    def forward(self, src: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, r4: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(src, r1, r2, r3, r4, 1.0))
