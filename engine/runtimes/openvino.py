"""OpenVINO (optional extra), the fastest CPU engine we know: for our own networks, and for its IR files."""

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.interface import interface_of

from ..base import INFERENCE_SIZE, Engine, ExportedNetwork, graph_ratio, match_interface
from .pytorch import prepare_network

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


class OpenVINOEngine(Engine):
    """Runs one of our networks on the CPU, frame by frame; compiled once per frame size.

    Args:
        network: with `coefficients` as MattingNetwork has them, or one that takes no ratio. It stays as it is.
        dtype: torch.bfloat16 lets OpenVINO compute in bfloat16 where the CPU can; torch.float32 forbids it.
    Raises:
        RuntimeError: openvino is not installed; the message names the install line.
        ValueError: another network, or another device.
    """

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype):
        self._openvino, self._compiled = require_openvino(), {}
        if device.type != 'cpu':
            raise ValueError(f'engine openvino runs on the CPU here, got device {device}')
        network = prepare_network(network, device, torch.float32)
        interface, splits = interface_of(network), hasattr(network, 'coefficients')
        if interface.takes_ratio and not splits:
            raise ValueError('engine openvino runs MattingNetwork only: use engine torch for this model')
        super().__init__('OpenVINO', interface, inference_size=getattr(network, 'inference_size', INFERENCE_SIZE))
        self.dtype, self._hint = dtype, 'bf16' if dtype == torch.bfloat16 else 'f32'
        self._parts = {'whole': _Traced(network, 'forward', 1.0 if interface.takes_ratio else None)}
        if splits:
            self._parts['coefficients'], self.coefficients = _Traced(network, 'coefficients'), self._coefficients

    def _coefficients(self, base_src: Tensor, *rec: Tensor | None) -> list[Tensor]:
        """As `MattingNetwork.coefficients`, for one frame (1, 3, h, w)."""
        return self._run_frame('coefficients', [base_src], None if rec[0] is None else rec)

    def forward(self, *arguments) -> list[Tensor]:
        """As the network, at ratio 1, where there is no refiner."""
        pictures, rec, ratio = self.interface.parse(arguments)
        if ratio not in (None, 1):
            raise ValueError(f'ratio must be 1 here, got {ratio}: smaller ones go through coefficients')
        if pictures[0].dim() == 4:
            return self._run_frame('whole', pictures, rec)
        collected = []
        for frame in zip(*(picture.unbind(1) for picture in pictures), strict=True):
            outputs, rec = self.interface.split(self._run_frame('whole', frame, rec))
            collected.append(outputs.values())
        return [*(torch.stack(output, dim=1) for output in zip(*collected, strict=True)), *rec]

    def _run_frame(self, part: str, pictures: Sequence[Tensor], rec: Sequence[Tensor] | None) -> list[Tensor]:
        pictures = [picture.float().contiguous() for picture in pictures]
        states = self._zero_states(part, pictures) if rec is None else rec
        result = self._request(part, pictures)([tensor.numpy() for tensor in (*pictures, *states)])
        return [torch.from_numpy(np.array(result[index])) for index in range(len(result))]

    def _zero_states(self, part: str, pictures: list[Tensor]) -> list[Tensor]:
        """Of the sizes that the part itself answers."""
        states = self.interface.first_states()
        return [torch.zeros(state.shape) for state in self._parts[part](*pictures, *states)[-len(states):]] if states \
            else []

    def _request(self, part: str, pictures: list[Tensor]):
        """The compiled part for this frame size."""
        key = part, pictures[0].shape
        if key not in self._compiled:
            example = (*pictures, *self._zero_states(part, pictures))
            with warnings.catch_warnings():      # tracing warns of Python checks on sizes, which are fixed here
                warnings.simplefilter('ignore')
                converted = self._openvino.convert_model(self._parts[part], example_input=example,
                                                         input=[tensor.shape for tensor in example])
            self._compiled[key] = openvino_core().compile_model(
                converted, 'CPU', {'INFERENCE_PRECISION_HINT': self._hint, 'PERFORMANCE_HINT': 'LATENCY'})
        return self._compiled[key]


class _Traced(nn.Module):
    """A method of a network for pictures and states as a module, which is what the converter traces."""

    def __init__(self, network: nn.Module, method: str, ratio: float | None = None):
        super().__init__()
        self.network, self.method, self.ratio = network, method, ratio
        self.eval()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(getattr(self.network, self.method)(*tensors, *([] if self.ratio is None else [self.ratio])))


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

    def __init__(self, path: str | Path, device: str | torch.device = 'auto', precision: str = 'f32'):
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
        interface = match_interface(path, self._names, [value.any_name for value in compiled.outputs])
        shape = compiled.input('src').partial_shape
        self._shapes = {name: compiled.input(name).partial_shape for name in interface.states_in}
        fixed = shape[2].is_static and shape[3].is_static
        facts = {key: model.get_rt_info(key).astype(str) for key in ('downsample_ratio', 'inference_size')
                 if key in model.get_rt_info()}
        ratio = float(facts['downsample_ratio']) if 'downsample_ratio' in facts else None
        super().__init__(f'{path.name}, OpenVINO {place} {precision}', interface,
                         (shape[3].get_length(), shape[2].get_length()) if fixed else None, ratio,
                         int(facts.get('inference_size', INFERENCE_SIZE)))
        self._request = compiled.create_infer_request()

    def run_frame(self, pictures: dict[str, Tensor], rec: list | None, downsample_ratio: float) -> list:
        """See `ExportedNetwork`."""
        feed = {name: picture.numpy() for name, picture in pictures.items()}
        feed |= zip(self._shapes, rec or map(self._zero_state, self._shapes), strict=True)
        if 'downsample_ratio' in self._names:
            feed['downsample_ratio'] = np.array([graph_ratio(downsample_ratio, *feed['src'].shape[2:])], np.float32)
        result = self._request.infer(feed)
        # its memory is written by the next frame
        outputs, rec = self.interface.split([np.array(result[name]) for name in self.interface.names_out])
        return [*map(torch.from_numpy, outputs.values()), *rec]

    def _zero_state(self, name: str) -> np.ndarray:
        shape = self._shapes[name]
        return np.zeros(shape.to_shape() if shape.is_static else (1, 1, 1, 1), np.float32)


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip()
