"""OpenVINO (optional extra), the fastest CPU engine we know: for our own networks, and for its IR files."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.interface import interface_of

from ..base import INFERENCE_SIZE, Engine, ExportedNetwork, graph_ratio, match_interface
from .openvino_graph import Graph, State, identify
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
    """Runs one of our networks on the CPU, frame by frame; compiled once per frame size, see `openvino_graph`.

    States are opaque: None before the first frame, or what the previous call returned, is all that callers may pass.

    Args:
        network: with `coefficients` as MattingNetwork has them, or one that takes no ratio. It stays as it is.
        dtype: torch.bfloat16 lets OpenVINO compute in bfloat16 where the CPU can; torch.float32 forbids it.
    Raises:
        RuntimeError: openvino is not installed; the message names the install line.
        ValueError: another network, or another device.
    """

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype):
        require_openvino()
        if device.type != 'cpu':
            raise ValueError(f'engine openvino runs on the CPU here, got device {device}')
        network = prepare_network(network, device, torch.float32)
        interface, splits = interface_of(network), hasattr(network, 'coefficients')
        if interface.takes_ratio and not splits:
            raise ValueError('engine openvino runs MattingNetwork only: use engine torch for this model')
        super().__init__(f'OpenVINO, {str(dtype).removeprefix("torch.")}', interface,
                         inference_size=getattr(network, 'inference_size', INFERENCE_SIZE))
        self.dtype = dtype
        # the other stages of a conversion need the cores too: its threads go where there is room
        settings = {'INFERENCE_PRECISION_HINT': 'bf16' if dtype == torch.bfloat16 else 'f32', 'NUM_STREAMS': 1,
                    'INFERENCE_NUM_THREADS': torch.get_num_threads(), 'ENABLE_CPU_PINNING': False}
        identity = identify(network)

        def graph(method: str, ratio: float | None = None) -> Graph:
            return Graph(_Traced(network, method, ratio), method, len(interface.states), identity, settings,
                         openvino_core())
        self._whole = graph('forward', 1.0 if interface.takes_ratio else None)
        if splits:
            self._part, self.coefficients = graph('coefficients'), self._coefficients

    def _coefficients(self, base_src: Tensor, *rec: State | None) -> list:
        """As `MattingNetwork.coefficients`, for one frame (1, 3, h, w)."""
        return self._run_frame(self._part, [base_src], rec)

    def forward(self, *arguments) -> list:
        """As the network, at ratio 1, where there is no refiner."""
        pictures, rec, ratio = self.interface.parse(arguments)
        if ratio not in (None, 1):
            raise ValueError(f'ratio must be 1 here, got {ratio}: smaller ones go through coefficients')
        if pictures[0].dim() == 4:
            return self._run_frame(self._whole, pictures, rec)
        collected = []
        for frame in zip(*(picture.unbind(1) for picture in pictures), strict=True):
            outputs, rec = self.interface.split(self._run_frame(self._whole, frame, rec))
            collected.append(outputs.values())
        return [*(torch.stack(output, dim=1) for output in zip(*collected, strict=True)), *rec]

    def _run_frame(self, graph: Graph, pictures: Sequence[Tensor], rec: Sequence[State | None] | None) -> list:
        if not rec or rec[0] is None:
            clip = graph.start([picture.shape for picture in pictures])
        else:
            clip = rec[0].clip
        return [*clip.run(pictures), *[State(clip)] * graph.states]


class _Traced(nn.Module):
    """A method of a network for pictures and states as a module, which is what the converter traces."""

    def __init__(self, network: nn.Module, method: str, ratio: float | None = None):
        super().__init__()
        self.network, self.method, self.ratio = network, method, ratio
        self.eval()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(getattr(self.network, self.method)(*tensors, *([] if self.ratio is None else [self.ratio])))


def traced(network: nn.Module, method: str = 'coefficients') -> nn.Module:
    """(*pictures, *states) -> (*outputs, *states) of a method, for converters that trace."""
    return _Traced(network, method)


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
        self._names, outputs = ([_shortest_name(port) for port in ports] for ports in (compiled.inputs,
                                                                                       compiled.outputs))
        people = compiled.input('msk').partial_shape[1].get_length() if 'msk' in self._names else 1
        interface = match_interface(path, self._names, outputs, people)
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


def _shortest_name(port) -> str:
    """Of an input or output: what it is reshaped to at once goes by its name too."""
    return min(port.get_names(), key=len)


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip()
