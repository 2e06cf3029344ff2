"""What a CoreML file says, computed by PyTorch: the proof of files on machines without CoreML.

It reads the saved program, weights and all, and evaluates one operation after the other as Apple's reference describes
them. So it finds what goes wrong in the conversion; what CoreML itself does on a device only a device can show.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.base import ExportedNetwork, match_interface

from .mil_operations import MIL_OPERATIONS


class MilNetwork(ExportedNetwork):
    """The main function of an .mlpackage.

    Args:
        path: of the package.
        model: coremltools' MLModel of it.
    Raises:
        ValueError: weights that are not finite, or operations that are not in `MIL_OPERATIONS`; they are named.
    """

    def __init__(self, path: Path, model):
        from coremltools.converters.mil.frontend.milproto.load import load
        spec = model.get_spec()
        self._function = load(spec, spec.specificationVersion, model.weights_dir).functions['main']
        self._last_use = self._check(path)
        image = spec.description.input[0].type.imageType
        interface = match_interface(path, self._function.inputs, [var.name for var in self._function.outputs])
        super().__init__(f'PyTorch, from the operations in {path.name} (CoreML itself runs on macOS only)', interface,
                         (image.width, image.height), float(model.user_defined_metadata.get('downsample_ratio', 1)))

    def run_frame(self, pictures: dict[str, Tensor], rec: list | None, downsample_ratio: float) -> list:
        """See `ExportedNetwork`."""
        names = self.interface.states_in
        rec = rec or [torch.zeros(tuple(self._function.inputs[name].shape)) for name in names]
        answer = self.evaluate({name: picture * 255 for name, picture in pictures.items()}
                               | dict(zip(names, rec, strict=True)))
        return [*(answer[name].float() / 255 for name in self.interface.outputs),
                *(answer[name] for name in self.interface.states_out)]

    def evaluate(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs by name -> outputs by name."""
        values = {self._function.inputs[name]: tensor.to(torch_dtype(self._function.inputs[name]))
                  for name, tensor in inputs.items()}
        for index, op in enumerate(self._function.operations):
            if op.op_type == 'const':
                continue
            arguments = {name: resolve(given, values) for name, given in op.inputs.items() if given is not None}
            answer = MIL_OPERATIONS[op.op_type](**arguments)
            for var, tensor in zip(op.outputs, answer if len(op.outputs) > 1 else [answer], strict=True):
                if tuple(tensor.shape) != tuple(var.shape):
                    raise ValueError(f'{op.op_type} {op.name}: the file says shape {list(var.shape)}, '
                                     f'computed {list(tensor.shape)}')
                values[var] = tensor
            for var in self._last_use.get(index, ()):
                values.pop(var, None)
        return {var.name: values[var] for var in self._function.outputs}

    def _check(self, path: Path) -> dict[int, list]:
        """Refuse what cannot be evaluated; index of an operation -> variables that nobody needs after it."""
        operations = list(self._function.operations)
        unknown = sorted({op.op_type for op in operations} - set(MIL_OPERATIONS) - {'const'})
        if unknown:
            raise ValueError(f'{path.name}: no evaluation is written for the operations {", ".join(unknown)}')
        last = {}
        for index, op in enumerate(operations):
            if op.op_type == 'const':
                value = op.outputs[0].val
                if isinstance(value, np.ndarray) and value.dtype.kind == 'f' and not np.isfinite(value).all():
                    raise ValueError(f'{path.name}: weight {op.name} has values that are not finite numbers')
                continue
            for given in op.inputs.values():
                for var in given if isinstance(given, (list, tuple)) else [given]:
                    last[var] = index
        uses = {}
        for var, index in last.items():
            if var is not None and var not in self._function.outputs:
                uses.setdefault(index, []).append(var)
        return uses


def resolve(given, values: dict):
    """An argument of an operation: a tensor that was computed, weights as a tensor, or plain Python values."""
    if isinstance(given, (list, tuple)):
        return [resolve(item, values) for item in given]
    if given in values:
        return values[given]
    constant = given.val
    if isinstance(constant, np.ndarray):
        small = constant.ndim <= 1 and constant.dtype.kind in 'ib'
        return constant.tolist() if small else torch.from_numpy(np.ascontiguousarray(constant))
    return constant.item() if isinstance(constant, np.generic) else constant


def torch_dtype(var) -> torch.dtype:
    """Of a variable."""
    from coremltools.converters.mil.mil import types
    return torch.float16 if types.builtin_to_string(var.dtype) == 'fp16' else torch.float32
