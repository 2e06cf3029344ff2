"""OpenVINO IR files: two parts that belong together."""

import pytest

from files import is_partial

pytest.importorskip('onnx', reason='needs onnx: pip install -r requirements/onnx.txt')
pytest.importorskip('openvino', reason='needs openvino: pip install -r requirements/openvino.txt')

from engine.runtimes.openvino import OpenVINOFile
from export.verify import compare

from .networks import RATIO, SIZE, clip, filled_network


def test_both_parts_are_moved_into_place(exported):
    path, said = exported('openvino')
    assert path.with_suffix('.bin').is_file() and not any(map(is_partial, path.parent.iterdir()))
    megabytes = (path.stat().st_size + path.with_suffix('.bin').stat().st_size) / 1e6
    assert f'{megabytes:.1f} MB' in said[-1]


def test_static_file_knows_its_size_and_ratio(exported):
    network = OpenVINOFile(exported('openvino', shapes='static')[0])
    assert (network.size, network.downsample_ratio) == (SIZE, RATIO)
    assert compare(filled_network(), network, clip(3, SIZE), RATIO).maximum < 1e-4
    with pytest.raises(ValueError, match='made for frames of 96x64, got 48x32: resize the input'):
        compare(filled_network(), network, clip(1, (48, 32)), RATIO)


@pytest.mark.slow
def test_fp16_stores_half_the_bytes(exported):
    half, whole = exported('openvino', precision='fp16')[0], exported('openvino')[0]
    assert half.with_suffix('.bin').stat().st_size < 0.6 * whole.with_suffix('.bin').stat().st_size


def test_not_an_ir_file(tmp_path):
    (tmp_path / 'x.xml').write_text('<net/>')
    with pytest.raises(ValueError, match='OpenVINO cannot run this file'):
        OpenVINOFile(tmp_path / 'x.xml')
