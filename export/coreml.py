"""CoreML ML program (.mlpackage) for iPhones, iPads and Macs: pictures in, pictures out, states as arrays.

As the CoreML files that RVM publishes: input src is an RGB image, outputs fgr and pha are an RGB and a grey image,
r1i..r4i and r1o..r4o are arrays. Frame size and ratio are fixed; every state must be given, zeros at first.
"""

import io
import logging
import platform
import warnings
from contextlib import redirect_stderr
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.base import ExportedNetwork
from model import MattingNetwork
from model.interface import CHANNELS, Interface

from . import onnx
from .options import ExportOptions
from .tracing import StaticFrame
from .verify import FP32, Limit

TITLE = 'CoreML ML program: iOS 16, macOS 13 and newer'
SUFFIXES = ('.mlpackage',)
SHAPES = ('static',)
CALIBRATED = False
ON_MAC = platform.system() == 'Darwin'
EIGHT_BITS = Limit(4.5e-3, 2.5e-3)       # CoreML answers pictures of 8 bits; elsewhere they are seen before rounding
# int8 is how weights are stored; computed with in half precision
LIMITS = {'fp32': EIGHT_BITS if ON_MAC else FP32, 'fp16': Limit(5e-2, 2e-3), 'int8': Limit(1., 1e-2)}
# Layers with fewer weights stay as they are: they hold few bytes
FEWEST_WEIGHTS = 8192
INSTALL = 'format coreml needs the coremltools package: pip install -r requirements/coreml.txt'


class ImageFrame(nn.Module):
    """One frame whose answers are pictures, 0 to 255; the scale of the input belongs to the file's description."""

    def __init__(self, frame: StaticFrame):
        super().__init__()
        self.frame = frame
        self.eval()

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Pictures in 0 to 255, as CoreML's images are."""
        outputs, states = self.frame.network.interface.split(self.frame(*tensors))
        return *(picture * 255 for picture in outputs.values()), *states


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    coremltools = require_coremltools()
    check_size(options)
    facts = onnx.facts(network, options)
    frame = StaticFrame(network, options.ratio)
    examples = frame.examples(options.size)
    with warnings.catch_warnings(), torch.no_grad(), redirect_stderr(io.StringIO()):      # progress bars
        warnings.simplefilter('ignore')      # tracing is deprecated, and warns of Python checks on sizes
        traced = torch.jit.trace(ImageFrame(frame), examples, check_trace=False)
        model = convert(coremltools, traced, examples, network.interface, half=options.precision != 'fp32')
        if options.precision == 'int8':
            model = quantize(coremltools, model)
    model.short_description = 'Human video matting: one frame, alpha and foreground; feed r1o..r4o back as r1i..r4i'
    model.user_defined_metadata.update(facts)
    model.save(str(path))


def open(path: Path) -> ExportedNetwork:
    """See `formats.Format`; anywhere but on a Mac by our own interpreter."""
    coremltools = require_coremltools()
    if ON_MAC:
        from .coreml_network import CoreMLNetwork
        return CoreMLNetwork(path, coremltools.models.MLModel(str(path)))
    from .mil import MilNetwork
    return MilNetwork(path, coremltools.models.MLModel(str(path), skip_model_load=True))


def convert(coremltools, traced: torch.jit.ScriptModule, examples: tuple[Tensor, ...], interface: Interface,
            half: bool):
    """
    Args:
        interface: names of what goes in and comes out.
        half: compute in half precision, as the neural engine does; states are then of that type too.
    """
    import numpy as np
    dtype = np.float16 if half else np.float32
    layouts, precisions = coremltools.colorlayout, coremltools.precision
    layout = {name: layouts.RGB if channels == 3 else layouts.GRAYSCALE for name, channels in CHANNELS.items()}
    shapes = {name: example.shape for name, example in zip(interface.frame_names, examples, strict=True)}
    inputs = [*(coremltools.ImageType(name, shape=shapes[name], scale=1 / 255, color_layout=layout[name])
                for name in interface.inputs),
              *(coremltools.TensorType(name, shape=shapes[name], dtype=dtype) for name in interface.states_in)]
    outputs = [*(coremltools.ImageType(name, color_layout=layout[name]) for name in interface.outputs),
               *(coremltools.TensorType(name, dtype=dtype) for name in interface.states_out)]
    return coremltools.convert(traced, source='pytorch', inputs=inputs, outputs=outputs, convert_to='mlprogram',
                               compute_precision=in_half(coremltools) if half else precisions.FLOAT32,
                               minimum_deployment_target=coremltools.target.iOS16, skip_model_load=True)


def in_half(coremltools):
    """Everything but the guided filter, whose variances are small differences of large numbers."""
    from coremltools.converters.mil.mil.scope import ScopeSource
    return coremltools.transform.FP16ComputePrecision(
        op_selector=lambda op: 'refiner' not in op.scopes.get(ScopeSource.TORCHSCRIPT_MODULE_NAME, ()))


def quantize(coremltools, model):
    """Weights of large convolutions in 8 bits, one scale for each output channel."""
    optimize = coremltools.optimize.coreml
    config = optimize.OpLinearQuantizerConfig(mode='linear_symmetric', weight_threshold=FEWEST_WEIGHTS)
    return optimize.linear_quantize_weights(model, optimize.OptimizationConfig(global_config=config))


def check_size(options: ExportOptions) -> None:
    """Refuse small sizes with a fraction: how CoreML samples them is not known to be as PyTorch does."""
    small = [side * options.ratio for side in options.size]
    if any(abs(side - round(side)) > 1e-4 for side in small):
        raise ValueError(f'--size {options.size[0]} {options.size[1]} times --downsample-ratio {options.ratio:g} is '
                         f'{small[0]:.2f}x{small[1]:.2f}: format coreml needs whole numbers, choose another ratio')


def require_coremltools():
    """
    Raises:
        RuntimeError: it is not installed; the message names the install line.
    """
    # on Linux it says at every import that it cannot predict, and that it knows no newer PyTorch
    logging.getLogger('coremltools').setLevel(logging.ERROR)
    try:
        import coremltools
    except ImportError as error:
        raise RuntimeError(INSTALL) from error
    return coremltools
