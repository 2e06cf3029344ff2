"""A network as OpenVINO runs it: converted once for its weights, compiled once for a frame size, kept on disk.

States stay inside the compiled model, in the layout that its convolutions like: carrying them out and in again costs a
fifth of a frame.
"""

import hashlib
import io
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from files.cache import Cache, digest

from ..device import cpu_identity

EXAMPLE = 75, 109        # [px] odd sides, so that every crop to the size of a feature is part of the trace
OURS = {'model', 'torch', 'torchvision'}       # packages whose classes are known by their source or version


class Graph:
    """One method of a network.

    Args:
        module: the method; (*pictures, *states) -> (*outputs, *states), each (1, C, H, W).
        states: how many.
        identity: of the network (`identify`); None: nothing is kept on disk, and every size is traced anew.
        settings: OpenVINO's, of the compiled model.
        core: the one `openvino.Core`.
    """

    def __init__(self, module: nn.Module, name: str, states: int, identity: str | None, settings: dict, core):
        self.module, self.states, self.settings, self._core = module, states, settings, core
        self._identity = identity and digest(identity, name, versions())
        self._model, self._compiled = None, {}

    def start(self, shapes: Sequence[tuple[int, ...]]) -> 'Clip':
        """A new clip with frames of these shapes."""
        key = tuple(map(tuple, shapes))
        if key not in self._compiled:
            self._compiled[key] = self._kept(key) if self._identity else self._compile(self._fitted(key))
        return Clip(self._compiled[key].create_infer_request(), key)

    def _kept(self, key: tuple):
        """Compiled by an earlier process, or now and for later ones."""
        place = Cache('openvino')
        name = digest(self._identity, cpu_identity(), repr((key, sorted(self.settings.items()))))
        if (blob := place.load(name)) is not None:
            try:
                return self._core.import_model(blob, 'CPU', self.settings)
            except RuntimeError:                 # whole, and still not for this library
                pass
        compiled = self._compile(self._fitted(key))
        exported = compiled.export_model()
        place.store(name, exported.getvalue() if isinstance(exported, io.BytesIO) else bytes(exported))
        return compiled

    def _compile(self, model):
        return self._core.compile_model(model, 'CPU', self.settings)

    def _fitted(self, shapes: tuple):
        """The graph for these pictures, states inside."""
        from openvino import PartialShape
        from openvino._offline_transformations import apply_make_stateful_transformation
        if self._identity and self.states:
            self._model = self._model or self._read() or self._convert([(1, shape[1], *EXAMPLE) for shape in shapes])
            model = self._model.clone()
        else:
            model = self._convert(shapes)
        pictures = {port: PartialShape(shape) for port, shape in zip(model.inputs, shapes)}
        model.reshape(pictures)
        if not self.states:
            return model
        after = model.outputs[-self.states:]
        model.reshape(pictures | {port: PartialShape([1, *list(state.partial_shape)[1:]]) for port, state in zip(
            model.inputs[len(shapes):], after, strict=True)})
        pairs = {}
        for index, (before, state) in enumerate(zip(model.inputs[len(shapes):], model.outputs[-self.states:])):
            before.get_tensor().set_names({f'state_in{index}'})
            state.get_tensor().set_names({f'state_out{index}'})
            pairs[f'state_in{index}'] = f'state_out{index}'
        apply_make_stateful_transformation(model, pairs)
        return model

    def _convert(self, shapes: Sequence[tuple[int, ...]]):
        """From PyTorch; of networks of ours with states, for any size, and kept."""
        import openvino
        pictures = [torch.zeros(shape) for shape in shapes]
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')      # tracing warns of Python checks on sizes; tests compare the results
            answer = self.module(*pictures, *[None] * self.states)
            example = (*pictures, *(torch.zeros(state.shape) for state in answer[len(answer) - self.states:]))
            traced = torch.jit.freeze(torch.jit.trace(self.module, example, check_trace=False))
            model = openvino.convert_model(traced, example_input=example)
        if self._identity and self.states:
            self._write(model)
        return model

    def _read(self):
        """The converted network, or None."""
        stored = Cache('openvino').load(self._identity)
        if stored is None:
            return None
        length = int.from_bytes(stored[:8], 'little')
        return self._core.read_model(stored[8:8 + length], stored[8 + length:])

    def _write(self, model) -> None:
        import openvino
        with tempfile.TemporaryDirectory(prefix='openvino_') as folder:
            file = Path(folder) / 'model.xml'
            openvino.save_model(model, file, compress_to_fp16=False)
            graph, weights = file.read_bytes(), file.with_suffix('.bin').read_bytes()
        Cache('openvino').store(self._identity, len(graph).to_bytes(8, 'little') + graph + weights)


class Clip:
    """A clip on its way through a compiled network, with what that remembers of it."""

    def __init__(self, request, shapes: tuple):
        self._request, self._shapes, self.frames = request, shapes, 0

    def run(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of the next frame.

        Raises:
            ValueError: a frame of another size.
        """
        shapes = tuple(tuple(picture.shape) for picture in pictures)
        if shapes != self._shapes:
            raise ValueError(f'states are of frames of shape {list(self._shapes[0])}, got {list(shapes[0])}: pass None '
                             'for every state when the frame size changes')
        result = self._request.infer([picture.float().contiguous().numpy() for picture in pictures], share_inputs=True,
                                     share_outputs=True)
        self.frames += 1
        return [torch.from_numpy(np.array(result[index])) for index in range(len(result))]


class State:
    """Stands for a state of a clip after some frames: the last one is all that is kept."""

    def __init__(self, clip: Clip):
        self._clip, self._frames = clip, clip.frames

    @property
    def clip(self) -> Clip:
        """
        Raises:
            ValueError: the clip has gone on since.
        """
        if self._clip.frames != self._frames:
            raise ValueError(f'states of frame {self._frames} are gone, the clip is at frame {self._clip.frames}: pass '
                             'what the last call returned, or None for every state')
        return self._clip


def is_ours(network: nn.Module) -> bool:
    """Whether every part of it is of a class that we know by its source or version."""
    return all(type(module).__module__.split('.')[0] in OURS and not isinstance(module, torch.jit.ScriptModule)
               for module in network.modules())


def identify(network: nn.Module) -> str | None:
    """A name for everything that a network computes, its weights included; None where code of others is part of it."""
    if not is_ours(network):
        return None
    parts: list[str | bytes] = [_source_digest(), repr(network)]
    for name, module in network.named_modules():
        plain = {key: value for key, value in vars(module).items() if not key.startswith('_')
                 and isinstance(value, bool | int | float | str | tuple)}
        parts += [name, repr(sorted(plain.items()))]
    for name, tensor in network.state_dict().items():
        parts += [name, f'{tensor.dtype} {list(tensor.shape)}', tensor.contiguous().view(-1).numpy().tobytes()]
    return digest(*parts)


@cache
def _source_digest() -> str:
    """Of the code of our networks: the same weights mean something else after a change of it."""
    root = Path(find_spec('model').origin).parent
    return digest(*(part for path in sorted(root.rglob('*.py'))
                    for part in (str(path.relative_to(root)), path.read_bytes())))


@cache
def versions() -> str:
    """Of the libraries whose work is kept."""
    import openvino
    vision = sys.modules.get('torchvision')
    return f'torch {torch.__version__}, torchvision {getattr(vision, "__version__", "")}, openvino ' \
           f'{openvino.get_version()}, graph {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}'
