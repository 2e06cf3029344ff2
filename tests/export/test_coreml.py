"""CoreML files: what the description says, and what their program computes."""

import platform

import numpy as np
import pytest
import torch
from PIL import Image

from export import coreml
from export.coreml_network import CoreMLNetwork
from export.mil import MilNetwork
from export.mil_operations import MIL_OPERATIONS
from export.options import ExportOptions
from export.verify import compare
from model import reparameterize_model
from model.interface import MATTING

from .networks import RATIO, SIZE, clip, filled_network
from .test_matrix import VARIANTS


@pytest.fixture
def tools():
    return pytest.importorskip('coremltools', reason='needs coremltools: pip install -r requirements/coreml.txt')


@pytest.mark.parametrize('variant', [pytest.param(variant, marks=() if variant == 'mobilenetv3' else pytest.mark.slow)
                                     for variant in VARIANTS])
def test_eight_recurrent_frames(exported, variant, tools):
    """On a Mac by CoreML, elsewhere the saved program by PyTorch; `said` tells which."""
    path, said = exported('coreml', variant)
    difference = compare(filled_network(variant), coreml.open(path), clip(8, SIZE), RATIO)
    print(f'\n{variant} coreml: {difference}; {said[-1]}')
    assert difference.maximum <= coreml.LIMITS['fp32'].maximum and difference.spread > 0.2
    assert ('CoreML itself runs on macOS only' in said[0]) == (platform.system() != 'Darwin')


def test_description(exported, tools):
    """Names, kinds, shapes and types of a half-precision file, as a program in Swift meets them."""
    path, _ = exported('coreml')
    spec = tools.models.MLModel(str(path), skip_model_load=True).get_spec()
    width, height = SIZE
    inputs, outputs = ({port.name: port.type for port in ports}
                       for ports in (spec.description.input, spec.description.output))
    assert list(inputs) == list(MATTING.frame_names) and list(outputs) == list(MATTING.names_out)
    for port in (inputs['src'], outputs['fgr'], outputs['pha']):
        assert (port.imageType.width, port.imageType.height) == (width, height)
    kinds = type(inputs['src'].imageType).ColorSpace
    assert inputs['src'].imageType.colorSpace == outputs['fgr'].imageType.colorSpace == kinds.Value('RGB')
    assert outputs['pha'].imageType.colorSpace == kinds.Value('GRAYSCALE')
    shapes = [list(state.shape) for state in filled_network()(torch.zeros(1, 3, height, width), None, None, None, None,
                                                              RATIO)[2:]]
    for name, shape in zip(MATTING.states_in, shapes, strict=True):
        assert list(inputs[name].multiArrayType.shape) == shape
        assert list(outputs[name.replace('i', 'o')].multiArrayType.shape) == shape
    assert spec.description.metadata.userDefined['downsample_ratio'] == str(RATIO)


@pytest.mark.skipif(platform.system() != 'Darwin', reason='CoreML predicts on macOS only')
def test_prediction(exported, tools):
    network = coreml.open(exported('coreml')[0])
    assert isinstance(network, CoreMLNetwork)
    assert compare(filled_network(), network, clip(8, SIZE), RATIO).within(coreml.EIGHT_BITS)


class StandIn:
    """Answers as CoreML does, pictures of 8 bits included, by the evaluated program."""

    def __init__(self, path, tools):
        self.model = tools.models.MLModel(str(path), skip_model_load=True)
        self.user_defined_metadata, self.get_spec = self.model.user_defined_metadata, self.model.get_spec
        self.program = MilNetwork(path, self.model)

    def predict(self, given):
        src = torch.from_numpy(np.array(given['src'])).permute(2, 0, 1)[None].float()
        states = {name: torch.from_numpy(given[name]) for name in MATTING.states_in}
        answer = self.program.evaluate({'src': src} | states)
        answer = {name: tensor.numpy() for name, tensor in answer.items()}
        fgr, pha = (answer[name][0].transpose(1, 2, 0).round().astype(np.uint8) for name in ('fgr', 'pha'))
        return answer | {'fgr': Image.fromarray(fgr).convert('RGBA'), 'pha': Image.fromarray(pha[..., 0])}


def test_network_of_pictures(exported, tools):
    """How we drive CoreML: pictures in 8 bits both ways, states by name."""
    path = exported('coreml')[0]
    difference = compare(filled_network(), CoreMLNetwork(path, StandIn(path, tools)), clip(4, SIZE), RATIO)
    assert difference.maximum > 1e-4 and difference.within(coreml.EIGHT_BITS)


@pytest.mark.slow
def test_odd_sizes(tmp_path, tools):
    """Partial windows of the pooling and cropped upsampling: 51x35 inside."""
    path, options = tmp_path / 'odd.mlpackage', ExportOptions((102, 70), 0.5, 'fp32', 'static')
    coreml.write(reparameterize_model(filled_network()), path, options)
    assert compare(filled_network(), coreml.open(path), clip(4, options.size), 0.5).maximum < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize('precision, largest, mean', [('fp16', 5e-2, 2e-3), ('int8', 0.2, 2e-2)])
def test_smaller_files(exported, precision, largest, mean, tools):
    path, said = exported('coreml', precision=precision)
    difference = compare(filled_network(), coreml.open(path), clip(8, SIZE), RATIO)
    print(f'\ncoreml {precision}: {difference}; {said[-1]}')
    assert difference.maximum < largest and difference.mean < mean


def test_fractions_of_pixels_are_refused(tmp_path, tools):
    with pytest.raises(ValueError, match='854x480|854 480 times --downsample-ratio 0.6 is 512.40x288.00'):
        coreml.write(filled_network(), tmp_path / 'x.mlpackage', ExportOptions((854, 480), 0.6, 'fp32', 'static'))


@pytest.mark.parametrize('name, given, expected', [
    ('thresholded_relu', {'x': [-4., -3., 2.], 'alpha': -3.}, [0., -3., 2.]),
    ('sigmoid_hard', {'x': [-9., 0., 1.2], 'alpha': 0.5, 'beta': 0.1}, [0., 0.1, 0.7]),
    ('slice_by_index', {'x': [0., 1., 2., 3.], 'begin': [1], 'end': [-1], 'end_mask': [False]}, [1., 2.]),
    ('constexpr_affine_dequantize', {'quantized_data': [3., 5.], 'zero_point': 1., 'scale': 0.5, 'axis': 0}, [1., 2.]),
])
def test_operations_by_hand(name, given, expected):
    arguments = {key: torch.tensor(value) if key in ('x', 'quantized_data', 'zero_point', 'scale') else value
                 for key, value in given.items()}
    np.testing.assert_allclose(MIL_OPERATIONS[name](**arguments).numpy(), expected, rtol=1e-6)
