"""ONNX, by the exporter of TorchScript graphs, which alone keeps a ratio that is known at run time.

Interface of the published RVM files: src r1i r2i r3i r4i downsample_ratio -> fgr pha r1o r2o r3o r4o. A dynamic file
takes frames of any size, and zeros of shape (1, 1, 1, 1) as first states; a static one has no downsample_ratio, and
states start as zeros of the shapes that the file tells.
"""

import tempfile
import warnings
from pathlib import Path

import torch

from model import MattingNetwork
from model.ss2d import SS2D
from video.exported_network import NAMES_IN, NAMES_OUT, ExportedNetwork
from video.onnx_network import OnnxNetwork, require

from .onnx_folding import fold_sizes
from .onnx_nodes import DOMAIN, ScanRecurrence, expand_recurrences
from .onnx_precision import check_finite, quantise
from .options import ExportOptions
from .scan import Recurrence
from .tracing import DynamicFrame, StaticFrame
from .verify import FP32, Limit

TITLE = 'ONNX: onnxruntime (also in browsers), DirectML, TensorRT, NCNN'
SUFFIXES = ('.onnx',)
SHAPES = ('dynamic', 'static')
# of int8 the mean decides: a soft edge that moves by a pixel changes single values by anything
LIMITS = {'fp32': FP32, 'fp16': Limit(5e-2, 2e-3), 'int8': Limit(1., 1e-2)}
OPSET = 17
EXAMPLE_SIZE, EXAMPLE_RATIO = (160, 96), 0.5      # [px] traced; nothing of it stays in a dynamic file


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    if options.precision == 'int8':
        with tempfile.TemporaryDirectory(prefix='export_onnx_') as folder:
            source = Path(folder) / 'float32.onnx'
            write_float(network, source, options)
            quantise(source, path, options)
        finish(path, facts(network, options))
        return
    if options.precision == 'fp16':
        network = network.half()
    write_float(network, path, options)
    if options.precision == 'fp16':
        check_finite(path, options.calibration, options)


def open(path: Path) -> ExportedNetwork:
    return OnnxNetwork(path, device='cpu')


def write_float(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """In the precision of the network."""
    trace(network, path, options)
    finish(path, facts(network, options))


def facts(network: MattingNetwork, options: ExportOptions) -> dict[str, str]:
    """What a file says about itself."""
    known = {'variant': network.variant, 'refiner': network.refiner_name, 'precision': options.precision,
             'inference_size': str(network.inference_size)}
    return known | ({'downsample_ratio': repr(options.ratio)} if options.static else {})


def trace(network: MattingNetwork, path: Path, options: ExportOptions,
          recurrence: Recurrence = ScanRecurrence.apply) -> None:
    """Write the graph, in the dtype of the network. recurrence: see `tracing.make_traceable`."""
    require('onnx')
    dtype = next(network.parameters()).dtype
    if options.static:
        module, names, axes = StaticFrame(network, options.ratio, recurrence), NAMES_IN[:5], {}
        examples = module.examples(options.size, dtype)
    else:
        module, names, axes = DynamicFrame(network, recurrence), NAMES_IN, dynamic_axes()
        examples = module.examples(EXAMPLE_SIZE, EXAMPLE_RATIO, dtype)
    with warnings.catch_warnings(), torch.no_grad():
        # the exporter is deprecated; tracing warns of Python checks on sizes, none of which chooses what is computed
        warnings.simplefilter('ignore')
        torch.onnx.export(module, examples, str(path), input_names=list(names), output_names=list(NAMES_OUT),
                          dynamic_axes=axes, opset_version=OPSET, dynamo=False,
                          custom_opsets={DOMAIN: 1} if has_scans(network) else None)


def has_scans(network: MattingNetwork) -> bool:
    return any(isinstance(module, SS2D) for module in network.modules())


def dynamic_axes() -> dict[str, dict[int, str]]:
    axes = {name: {0: 'batch', 2: 'height', 3: 'width'} for name in ('src', 'fgr', 'pha')}
    for index in range(1, 5):
        axes[f'r{index}i'] = {axis: f'r{index}i_{axis}' for axis in range(4)}
        axes[f'r{index}o'] = {0: 'batch', 2: f'r{index}o_height', 3: f'r{index}o_width'}
    return axes


def finish(path: Path, facts: dict[str, str]) -> None:
    """Replace our nodes, say in the file what it is, check it."""
    onnx = require('onnx')
    model = onnx.load(path)
    expand_recurrences(model)
    if 'downsample_ratio' in facts:
        fold_sizes(model)
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
