"""ONNX, by the exporter of TorchScript graphs, which alone keeps a ratio that is known at run time.

Interface of the published RVM files: src r1i r2i r3i r4i downsample_ratio -> fgr pha r1o r2o r3o r4o. A dynamic file
takes frames of any size, and zeros of shape (1, 1, 1, 1) as first states; a static one has no downsample_ratio, and
states start as zeros of the shapes that the file tells.

Of networks with a background plate: src bgr -> pha fgr pha_sm fgr_sm err_sm ref_sm, with the ratio of the export;
nothing in the graph branches on how many patches are refined.
"""

import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

from engine.base import ExportedNetwork
from engine.runtimes.onnx import OnnxNetwork, require
from model import MattingNetwork
from model.interface import Interface
from model.ss2d import SS2D

from .onnx_folding import fold_sizes
from .onnx_nodes import DOMAIN, ScanRecurrence, expand_recurrences
from .onnx_precision import check_finite, quantise
from .options import ExportOptions
from .scan import Recurrence
from .tracing import DynamicFrame, StaticFrame
from .verify import FP32, Limit

TITLE = 'ONNX: onnxruntime (also in browsers), DirectML, TensorRT, NCNN'
SUFFIXES = ('.onnx',)
PLATES = True
SHAPES = ('dynamic', 'static')
# of int8 the mean decides: a soft edge that moves by a pixel changes single values by anything
LIMITS = {'fp32': FP32, 'fp16': Limit(5e-2, 2e-3), 'int8': Limit(1., 1e-2)}
OPSET = 17
EXAMPLE_SIZE, EXAMPLE_RATIO = (160, 96), 0.5      # [px] traced; nothing of it stays in a dynamic file


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    if options.precision == 'int8':
        with tempfile.TemporaryDirectory(prefix='export_onnx_') as folder:
            source = Path(folder) / 'float32.onnx'
            write_float(network, source, options)
            quantise(source, path, options)
        finish(path, facts(network, options), options.static)
        return
    if options.precision == 'fp16':
        network = network.half()
    write_float(network, path, options)
    if options.precision == 'fp16':
        check_finite(path, options.calibration, options)


def open(path: Path) -> ExportedNetwork:
    """See `formats.Format`."""
    return OnnxNetwork(path, device='cpu')


def write_float(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """In the precision of the network."""
    trace(network, path, options)
    finish(path, facts(network, options), options.static)


def facts(network: MattingNetwork, options: ExportOptions) -> dict[str, str]:
    """What a file says about itself."""
    fixed = {'downsample_ratio': repr(options.ratio)} if is_fixed(network, options) else {}
    return network.facts() | {'precision': options.precision} | fixed


def is_fixed(network: nn.Module, options: ExportOptions) -> bool:
    """Whether the ratio is part of the graph: in static files, and of networks with a plate, whose published files have
    no input for it."""
    return network.interface.takes_ratio and (options.static or 'bgr' in network.interface.inputs)


def trace(network: MattingNetwork, path: Path, options: ExportOptions,
          recurrence: Recurrence = ScanRecurrence.apply) -> None:
    """Write the graph, in the dtype of the network. recurrence: see `tracing.make_traceable`."""
    require('onnx')
    dtype = next(network.parameters()).dtype
    interface = network.interface
    axes = {} if options.static else dynamic_axes(interface)
    if options.static or is_fixed(network, options) or not interface.takes_ratio:
        module, names = StaticFrame(network, options.ratio, recurrence), interface.frame_names
        examples = module.examples(options.size if options.static else EXAMPLE_SIZE, dtype)
    else:
        module, names = DynamicFrame(network, recurrence), interface.names_in
        examples = module.examples(EXAMPLE_SIZE, EXAMPLE_RATIO, dtype)
    with warnings.catch_warnings(), torch.no_grad():
        # the exporter is deprecated; tracing warns of Python checks on sizes, none of which chooses what is computed
        warnings.simplefilter('ignore')
        torch.onnx.export(module, examples, str(path), input_names=list(names), output_names=list(interface.names_out),
                          dynamic_axes=axes, opset_version=OPSET, dynamo=False,
                          custom_opsets={DOMAIN: 1} if has_scans(network) else None)


def has_scans(network: MattingNetwork) -> bool:
    """Whether the network has a selective scan."""
    return any(isinstance(module, SS2D) for module in network.modules())


def dynamic_axes(interface: Interface) -> dict[str, dict[int, str]]:
    """Input or output -> names of its axes that may change."""
    axes = {name: {0: 'batch', 2: 'height', 3: 'width'} for name in (*interface.inputs, *interface.outputs)}
    for before, after in zip(interface.states_in, interface.states_out):
        axes[before] = {axis: f'{before}_{axis}' for axis in range(4)}
        axes[after] = {0: 'batch', 2: f'{after}_height', 3: f'{after}_width'}
    return axes


def finish(path: Path, facts: dict[str, str], static: bool) -> None:
    """Replace our nodes, say in the file what it is, check it."""
    onnx = require('onnx')
    model = onnx.load(path)
    expand_recurrences(model)
    if static:
        fold_sizes(model)
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
