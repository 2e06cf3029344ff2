"""OpenVINO IR (model.xml and model.bin), converted from our ONNX graph, whose names, free sizes and ratio it keeps."""

import tempfile
from pathlib import Path

from engine.base import ExportedNetwork
from engine.runtimes.openvino import OpenVINOFile, require_openvino
from model import MattingNetwork

from . import onnx
from .options import ExportOptions
from .verify import FP32, Limit

TITLE = 'OpenVINO IR: Intel CPUs, GPUs and NPUs'
SUFFIXES = ('.xml',)
PLATES = True
SHAPES = ('dynamic', 'static')
LIMITS = {'fp32': FP32, 'fp16': Limit(5e-2, 2e-3)}     # fp16 is how weights are stored
REASONS = {'int8': 'quantising IR needs nncf, which excludes our PyTorch: use onnx, whose int8 files OpenVINO reads'}


def write(network: MattingNetwork, path: Path, options: ExportOptions) -> None:
    """See `formats.Format`."""
    openvino = require_openvino()
    with tempfile.TemporaryDirectory(prefix='export_openvino_') as folder:
        source = Path(folder) / 'network.onnx'
        onnx.write_float(network, source, options)
        model = openvino.convert_model(source)
    interface = network.interface
    names = [*interface.names_in[:len(model.inputs)], *interface.names_out]
    for port, name in zip([*model.inputs, *model.outputs], names, strict=True):
        assert name in port.get_names(), f'{name} is not {port}'
    facts = onnx.facts(network, options)
    for key, value in facts.items():
        model.set_rt_info(value, key)
    openvino.save_model(model, path, compress_to_fp16=options.precision == 'fp16')


def open(path: Path) -> ExportedNetwork:
    """See `formats.Format`."""
    return OpenVINOFile(path, 'cpu')
