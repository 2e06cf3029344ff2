"""Files of networks with a background plate: proven at two sizes, settings adjustable, no branch on the patches."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.base import ExportedNetwork
from engine.matter import Matter
from engine.opening import open_engine
from engine.sizes import auto_ratio
from export.command import export
from export.formats import Format
from export.options import ExportOptions
from model.background import MattingBase, MattingRefine
from tests.export.networks import clip

SIZE = 96, 64


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = MattingRefine('mobilenetv2', refine_sample_pixels=16 * 60).eval()
    network.inference_size = 48
    nn.init.normal_(network.decoder.conv4.weight[:5], std=0.1)
    nn.init.constant_(network.decoder.conv4.bias[:5], 0.4)
    return network


def exported(network, name, path, shapes=None, precision='fp32'):
    chosen = Format.load(name)
    options = ExportOptions(SIZE, None, precision, shapes or chosen.module.SHAPES[0], clip(4, SIZE),
                            network.inference_size, network.interface.refines)
    return list(export(network, chosen, path, options, clip(3, SIZE)))


@pytest.mark.parametrize('name, suffix, shapes', [
    ('torchscript', '.torchscript', 'dynamic'), ('onnx', '.onnx', 'dynamic'), ('onnx', '.onnx', 'static'),
    pytest.param('openvino', '.xml', 'dynamic', marks=pytest.mark.slow)])
def test_files_equal_pytorch_and_run_with_a_plate(network, name, suffix, shapes, tmp_path):
    pytest.importorskip({'torchscript': 'torch', 'onnx': 'onnxruntime'}.get(name, name))
    path = tmp_path / f'net{suffix}'
    lines = exported(network, name, path, shapes)
    proofs = [line for line in lines if 'max difference' in line]
    assert len(proofs) == (1 if shapes == 'static' else 2) and not any('nearly constant' in line for line in lines)
    engine = open_engine(path)
    assert isinstance(engine, ExportedNetwork) and engine.interface == network.interface
    frames = clip(2, SIZE)
    plate = np.full_like(frames[0], 128)
    pha = Matter(engine, background_plate=plate).step(frames[0])[1]
    expected = Matter(network, background_plate=plate).step(frames[0])[1]
    torch.testing.assert_close(pha, expected, atol=1e-4, rtol=0)


def test_settings_of_a_torchscript_file_can_be_changed(network, tmp_path):
    exported(network, 'torchscript', tmp_path / 'net.pt')
    module = torch.jit.load(str(tmp_path / 'net.pt'))
    src, bgr = torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96)
    module.refine_mode, module.backbone_scale = 'full', 0.5
    assert module(src, bgr)[5].min() == 1 and module(src, bgr)[2].shape == (1, 1, 32, 48)
    module.refine_mode, module.refine_sample_pixels = 'sampling', 16 * 7
    assert module(src, bgr)[5].sum() == 7


def test_the_graph_takes_batches_small_pictures_and_none_to_refine(network, tmp_path):
    onnxruntime, onnx = pytest.importorskip('onnxruntime'), pytest.importorskip('onnx')
    exported(network, 'onnx', tmp_path / 'net.onnx')
    kinds = {node.op_type for node in onnx.load(tmp_path / 'net.onnx').graph.node}
    assert not kinds & {'If', 'Loop', 'RoiAlign'}
    session = onnxruntime.InferenceSession(str(tmp_path / 'net.onnx'), providers=['CPUExecutionProvider'])
    assert [value.name for value in session.get_inputs()] == ['src', 'bgr']
    for B, H, W in ((2, 61, 83), (1, 24, 40)):
        src, bgr = torch.rand(B, 3, H, W), torch.rand(B, 3, H, W)
        outputs = session.run(None, {'src': src.numpy(), 'bgr': bgr.numpy()})
        with torch.no_grad():
            for a, b in zip(outputs, network(src, bgr, auto_ratio(*SIZE, network.inference_size)), strict=True):
                assert np.abs(a - b.numpy()).max() < 1e-5
    network.refine_mode, network.refine_threshold = 'thresholding', 2.
    try:
        exported(network, 'onnx', tmp_path / 'none.onnx')
    finally:
        network.refine_mode = 'sampling'
    session = onnxruntime.InferenceSession(str(tmp_path / 'none.onnx'), providers=['CPUExecutionProvider'])
    assert session.run(['ref_sm'], {'src': src.numpy(), 'bgr': bgr.numpy()})[0].sum() == 0


@pytest.mark.slow
def test_base_networks_too(tmp_path):
    pytest.importorskip('onnxruntime')
    torch.manual_seed(0)
    base = MattingBase('mobilenetv2').eval()
    nn.init.normal_(base.decoder.conv4.weight[:5], std=0.1)
    nn.init.constant_(base.decoder.conv4.bias[:5], 0.4)
    exported(base, 'onnx', tmp_path / 'base.onnx')
    assert open_engine(tmp_path / 'base.onnx').interface.outputs == ('pha', 'fgr', 'err', 'hid')


def test_other_formats_are_refused_in_one_line(network):
    with pytest.raises(ValueError, match='--format tfjs is not possible for networks with a background plate: use '
                                         'torchscript or onnx or openvino'):
        Format.load('tfjs').check_network(network)
