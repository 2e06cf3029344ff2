"""The formats: a name on the command line -> the module of this room that knows it.

Modules are imported when their format is asked for, so that each may need packages of its own. A format module has

    TITLE: str                      one line for --help and for the documentation
    SUFFIXES: tuple[str, ...]       names that an output may end in; '' is a folder
    SHAPES: tuple[str, ...]         'dynamic' (size and ratio free) and/or 'static' (both fixed), its default first
    LIMITS: dict[str, Limit]        offered precisions -> largest difference to PyTorch that verification accepts
    write(network, path, options)   network: an eval-mode float32 MattingNetwork with merged branches, to do anything
                                    with; path: a temporary name with the right suffix in the final folder; options:
                                    `ExportOptions`. Raises ValueError for what cannot be (one line, what to do) and
                                    RuntimeError with the install line when a package is missing.
    open(path)                      the file as an `ExportedNetwork` (engine/base.py): called
                                    `fgr, pha, *rec = net(src, *rec, downsample_ratio)` like the network itself, in the
                                    runtime that its users have; verification, convert_video and the benchmark use it

and, only where it applies,

    CALIBRATED: bool                False: int8 looks at no frames
    PLATES: bool                    True: networks with a background plate or masks too
    REASONS: dict[str, str]         precisions that are not offered -> why, in one line
    check_structure(path, options)  for formats whose runtime may be absent (CoreML predicts on macOS only): inspect the
                                    file, raise ValueError when it is not what it must be, return one line that says
                                    what was checked. `open` then raises `RuntimeAbsent` with one line that says where
                                    the runtime exists; the exporter runs the structural check instead and says so.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from torch import nn

from .options import PRECISIONS, ExportOptions

FORMATS: dict[str, str] = {
    'torchscript': 'export.torchscript',
    'onnx': 'export.onnx',
    'openvino': 'export.openvino',
    'coreml': 'export.coreml',
    'tensorflow': 'export.tensorflow',
    'tflite': 'export.tflite',
    'tfjs': 'export.tfjs',
    'torch_export': 'export.torch_export',
}


class RuntimeAbsent(RuntimeError):
    """The file cannot be run on this machine at all; not a package that pip could install."""


@dataclass(frozen=True)
class Format:
    """A row of the table, loaded."""

    name: str
    module: ModuleType

    @classmethod
    def load(cls, name: str) -> 'Format':
        """
        Raises:
            ValueError: unknown name.
        """
        if name not in FORMATS:
            raise ValueError(f'--format must be one of {", ".join(FORMATS)}, got {name!r}')
        return cls(name, import_module(FORMATS[name]))

    def check_network(self, network: nn.Module) -> None:
        """Refuse a network that this format is not made for.

        Raises:
            ValueError: naming those that are.
        """
        taken = network.interface.inputs
        if taken != ('src',) and not getattr(self.module, 'PLATES', False):
            able = [name for name in FORMATS if getattr(import_module(FORMATS[name]), 'PLATES', False)]
            kind = 'masks of people' if 'msk' in taken else 'a background plate'
            raise ValueError(f'--format {self.name} is not possible for networks with {kind}: use {" or ".join(able)}')

    def check(self, output: Path, options: ExportOptions) -> None:
        """Refuse what this format cannot be, before slow work.

        Raises:
            ValueError: naming the flag.
        """
        module = self.module
        if output.suffix not in module.SUFFIXES:
            expected = ' or '.join(suffix or 'no suffix (a folder)' for suffix in module.SUFFIXES)
            raise ValueError(f'--output of format {self.name} must end in {expected}, got {output.name!r}')
        if options.shapes not in module.SHAPES:
            raise ValueError(f'--{options.shapes} is not possible with format {self.name}: '
                             f'use --{" or --".join(module.SHAPES)}')
        if options.precision not in module.LIMITS:
            reason = getattr(module, 'REASONS', {}).get(options.precision, 'not offered')
            raise ValueError(f'--precision {options.precision} is not possible with format {self.name} ({reason}): use '
                             f'{" or ".join(p for p in PRECISIONS if p in module.LIMITS)}')
