"""Files of the instance network: masks of a fixed number of people and the state go in as tensors."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.base import ExportedNetwork
from engine.frames import bright_bands
from engine.opening import open_engine
from export.command import export
from export.formats import Format
from export.options import ExportOptions
from model.instance.frames import InstanceFrames, InstanceFramesForm
from model.instance.network import InstanceForm
from tests.export.networks import clip

SIZE = 160, 96
SUFFIXES = {'torchscript': '.torchscript', 'onnx': '.onnx', 'openvino': '.xml'}


NARROW = (8, 8, 16, 16, 16)


def network(video: bool, channels: tuple[int, ...] = NARROW, slots: int = 3) -> InstanceFrames:
    torch.manual_seed(0)
    built = InstanceFramesForm(InstanceForm(channels, slots=slots, video=video, begins=channels == NARROW)).build()
    for layer in built.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    built.inference_size = 80
    return built.eval()


def exported(own, name, path, shapes=None):
    chosen = Format.load(name)
    options = ExportOptions(SIZE, None, 'fp32', shapes or chosen.module.SHAPES[0], clip(2, SIZE), own.inference_size)
    return list(export(own, chosen, path, options, clip(4, SIZE)))


@pytest.mark.parametrize('name, shapes, video', [
    ('torchscript', 'dynamic', True), ('torchscript', 'dynamic', False), ('onnx', 'dynamic', True),
    pytest.param('onnx', 'dynamic', False, marks=pytest.mark.slow),
    pytest.param('onnx', 'static', True, marks=pytest.mark.slow),
    pytest.param('openvino', 'dynamic', True, marks=pytest.mark.slow)])
def test_files_equal_pytorch_over_frames_at_two_sizes(name, shapes, video, tmp_path):
    pytest.importorskip({'torchscript': 'torch', 'onnx': 'onnxruntime'}.get(name, name))
    own, path = network(video), tmp_path / f'net{SUFFIXES[name]}'
    lines = exported(own, name, path, shapes)
    proofs = [line for line in lines if '4 frames' in line and 'max difference' in line]
    assert len(proofs) == (1 if shapes == 'static' else 2) and not any('nearly constant' in line for line in lines)
    engine = open_engine(path)
    assert isinstance(engine, ExportedNetwork) and engine.interface == own.interface and engine.interface.people == 3


@pytest.mark.slow
@pytest.mark.parametrize('name', ['torchscript', 'onnx'])
def test_the_published_width_and_number_of_slots(name, tmp_path):
    pytest.importorskip({'torchscript': 'torch', 'onnx': 'onnxruntime'}[name])
    published = InstanceForm()
    own = network(True, published.channels, published.slots)
    lines = exported(own, name, tmp_path / f'net{SUFFIXES[name]}')
    assert sum('4 frames' in line and 'max difference' in line for line in lines) == 2
    assert open_engine(tmp_path / f'net{SUFFIXES[name]}').interface.people == published.slots == 10


def test_a_file_is_run_at_other_sizes_and_where_nobody_is(tmp_path):
    pytest.importorskip('onnxruntime')
    own = network(True)
    exported(own, 'onnx', tmp_path / 'net.onnx')
    engine = open_engine(tmp_path / 'net.onnx')
    for H, W in ((101, 130), (64, 64)):
        src, rec, own_rec = torch.rand(3, 1, 3, H, W), None, None
        for index, frame in enumerate(src):
            masks = bright_bands(frame, 3) * (index != 1)
            pha, rec = engine(frame, masks, rec)
            with torch.inference_mode():
                expected, own_rec = own(frame, masks, own_rec)
            np.testing.assert_allclose(pha.numpy(), expected.numpy(), atol=1e-5)
            assert (pha.max() == 0) == (index == 1)


def test_formats_that_have_no_masks_say_which_do():
    with pytest.raises(ValueError, match='--format tflite is not possible for networks with masks of people: use '
                                         'torchscript or onnx or openvino'):
        Format.load('tflite').check_network(network(False))
