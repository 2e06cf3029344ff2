"""Matter: states, sizes, ratios, precision, engines."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.cuts import CutDetector
from engine.device import choose_device, choose_precision, cpu_has_bfloat16
from engine.matter import Matter
from engine.runtimes.pytorch import fold_batch_norms
from engine.sizes import auto_ratio, choose_inference_size
from model import MattingNetwork
from tests.clips import BrightnessNetwork, picture

ROOT = Path(__file__).resolve().parents[2]
CLIP = [picture(index, 96, 64) for index in range(12)]


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = MattingNetwork().eval()
    with torch.no_grad():
        for module in network.modules():       # statistics that folding could get wrong
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network


@pytest.mark.parametrize('size, ratio', [((1920, 1080), 512 / 1920), ((1080, 1920), 512 / 1920),
                                         ((640, 480), 443 / 640), ((300, 200), 1), ((100, 100), 1),
                                         ((2560, 320), 1086 / 2560),
                                         ((1000, 1000), 384 / 1000)])
def test_auto_ratio_gives_frames_of_every_shape_as_many_pixels(size, ratio):
    assert auto_ratio(*size) == ratio
    pixels = round(size[0] * ratio) * round(size[1] * ratio)
    assert ratio == 1 or pixels == pytest.approx(512 * 288, rel=0.01)


def test_sizes_asked_for_are_sizes_got():
    """A floor for the short side once made 192, 256 and 320 the same run."""
    assert [auto_ratio(1920, 1080, side) * 1920 for side in (64, 192, 256, 320)] == [64, 192, 256, 320]


@torch.no_grad()
@pytest.mark.parametrize('ratio', [0.5, 1])
def test_step_equals_the_network(network, ratio):
    matter, rec = Matter(network, ratio), [None] * 4
    for pixels in CLIP[:3]:
        fgr, pha = matter.step(pixels)
        src = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        true_fgr, true_pha, *rec = network(src, *rec, ratio)
        torch.testing.assert_close(pha, true_pha[0], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(fgr, true_fgr[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('ratio', [0.5, 1])
def test_chunk_1_equals_chunk_12(network, ratio):
    one, twelve = Matter(network, ratio), Matter(network, ratio)
    single = [one.predict([pixels])[0].rows(0, 64)['pha'] for pixels in CLIP]
    together = [prediction.rows(0, 64)['pha'] for prediction in twelve.predict(CLIP)]
    torch.testing.assert_close(torch.stack(single), torch.stack(together), atol=1e-5, rtol=1e-4)
    for a, b in zip(one.rec, twelve.rec, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_given_network_is_left_as_it_was(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    Matter(network.train(), dtype=torch.bfloat16).step(CLIP[0])
    assert network.training and all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    network.eval()


def test_folding_batch_norms_changes_nothing(network):
    import copy
    folded = copy.deepcopy(network)
    fold_batch_norms(folded)
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules()) == 0
    src = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(folded(src, downsample_ratio=0.5)[1], network(src, downsample_ratio=0.5)[1],
                                   atol=1e-4, rtol=1e-3)


def test_bfloat16_stays_close(network):
    exact, quick = Matter(network, 0.5), Matter(network, 0.5, dtype=torch.bfloat16)
    for pixels in CLIP:
        difference = exact.step(pixels)[1] - quick.step(pixels)[1]
    assert difference.abs().mean() < 2 / 255


def test_a_new_size_starts_anew():
    matter = Matter(BrightnessNetwork(), 1)
    first = matter.step(CLIP[0])[1]
    matter.step(picture(0, 48, 32))
    torch.testing.assert_close(matter.step(CLIP[0])[1], first)


@pytest.mark.parametrize('chunk', [1, 6])
def test_reset_on_cut(chunk):
    dark, bright = [np.full((32, 48, 3), value, np.uint8) for value in (30, 225)]
    frames = [dark, dark, dark, bright, bright, dark]

    def alphas(reset):
        matter = Matter(BrightnessNetwork(0.9), 1, reset_on_cut=reset)
        groups = [frames[i:i + chunk] for i in range(0, len(frames), chunk)]
        return [float(p.rows(0, 32)['pha'].mean()) for group in groups for p in matter.predict(group)]
    assert alphas(True) == pytest.approx([0, 0, 0, 1, 1, 0])
    assert alphas(False)[3] == pytest.approx(0.1, abs=1e-6) and alphas(False)[5] > 0.1


def test_slow_motion_is_no_cut():
    cuts = CutDetector()
    assert [cuts.first_cut([pixels]) for pixels in CLIP] == [None] * 12


def test_tensors_are_accepted(network):
    pixels = CLIP[0]
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(Matter(network, 0.5).step(tensor)[1], Matter(network, 0.5).step(pixels)[1],
                               atol=1e-3, rtol=1e-2)


def test_scripted_and_frozen_networks(network):
    scripted = torch.jit.freeze(torch.jit.script(network))
    with pytest.raises(ValueError, match='no parameters to read device and dtype from: give both'):
        Matter(scripted, 0.5)
    matter = Matter(scripted, 0.5, device='cpu', dtype=torch.float32)
    reference = Matter(network, 0.5)
    for pixels in CLIP[:2]:
        torch.testing.assert_close(matter.step(pixels)[1], reference.step(pixels)[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('ratio', [0.5, pytest.param(1, marks=pytest.mark.slow)])
def test_openvino_equals_torch(network, ratio):
    pytest.importorskip('openvino')
    fast, reference = Matter(network, ratio, engine='openvino'), Matter(network, ratio)
    for pixels in CLIP[:3]:
        for ours, theirs in zip(fast.step(pixels), reference.step(pixels), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-2)
    # and a new size compiles anew, states and all
    other = [picture(index, 80, 120) for index in range(2)]
    for pixels in other:
        torch.testing.assert_close(fast.step(pixels)[1], reference.step(pixels)[1], atol=1e-3, rtol=1e-2)


SIGNAL_AFTER_TWO_ENGINES = """
import gc, os, signal
import numpy as np
from model import MattingNetwork
from engine.matter import Matter
matters = [Matter(MattingNetwork('mobilenetv3', 'fast_guided_filter'), 0.5, engine='openvino') for _ in range(2)]
for matter in matters:
    matter.step(np.zeros((64, 64, 3), np.uint8))
while matters:
    del matters[0], matter      # the first goes first
    gc.collect()
    matter = None
signal.signal(signal.SIGUSR1, lambda number, frame: print('handled', flush=True))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.skipif(not hasattr(signal, 'SIGUSR1'), reason='needs the signals of Unix')
def test_signals_are_handled_after_two_openvino_engines():
    pytest.importorskip('openvino', reason='needs openvino: pip install -r requirements/openvino.txt')
    done = subprocess.run([sys.executable, '-c', SIGNAL_AFTER_TWO_ENGINES], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'handled\n'), done.stderr


def test_missing_openvino_names_the_install_line(network, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'openvino', None)
    with pytest.raises(RuntimeError, match='pip install -r requirements/openvino.txt'):
        Matter(network, engine='openvino')


@pytest.mark.parametrize('engine', ['torch', 'openvino'])
def test_automatic_ratio_aims_at_the_size_that_the_weights_are_for(engine):
    if engine == 'openvino':
        pytest.importorskip('openvino', reason='needs openvino: pip install -r requirements/openvino.txt')
    network = MattingNetwork()
    assert Matter(network, engine=engine).ratio_for(1920, 1080) == 512 / 1920
    network.inference_size = 384
    assert Matter(network, engine=engine).internal_size(1920, 1080) == (384, 216)
    started = Matter(network, engine=engine).engine
    assert Matter(started, engine=engine, device='cpu', dtype=torch.float32).internal_size(1920, 1080) == (384, 216)
    assert Matter(network, inference_size='full-body', engine=engine).internal_size(1920, 1080) == (576, 324)
    assert Matter(network, inference_size=640, engine=engine).internal_size(1920, 1080) == (640, 360)
    assert choose_inference_size(object()) == 512


def test_bad_arguments(network):
    for ratio in (0, 1.5, -1):
        with pytest.raises(ValueError, match=r'downsample_ratio must be in \(0, 1\]'):
            Matter(network, ratio)
    with pytest.raises(ValueError, match='inference_size must be at least 32'):
        Matter(network, inference_size=5)
    with pytest.raises(ValueError, match='inference_size must be pixels or one of auto, portrait, full-body'):
        Matter(network, inference_size='large')
    with pytest.raises(ValueError, match='engine must be auto or torch or openvino'):
        Matter(network, engine='tensorrt')
    with pytest.raises(ValueError, match='leaves no pixel of a 1x1 frame'):
        Matter(network, 0.5).step(np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(ValueError, match='device must be auto, cpu, cuda'):
        choose_device('abacus')
    with pytest.raises(ValueError, match='precision must be auto'):
        choose_precision('int4', torch.device('cpu'))
    with pytest.raises(ValueError, match='fp16 is slower than fp32 on a CPU'):
        choose_precision('fp16', torch.device('cpu'))


def test_automatic_choices():
    assert choose_device('auto').type == ('cuda' if torch.cuda.is_available() else 'cpu')
    expected = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    assert choose_precision('auto', torch.device('cpu')) == expected
    assert choose_precision('auto', torch.device('cuda')) == torch.float16


def test_one_pixel_frame(network):
    fgr, pha = Matter(network).step(np.zeros((1, 1, 3), np.uint8))
    assert fgr.shape == (3, 1, 1) and pha.shape == (1, 1, 1)


@pytest.mark.parametrize('variant', ['mobilenetv3', 'resnet50', 'mobileone', 'mamba', 'unireplknet'])
def test_every_kind_of_encoder(variant):
    """Prepared (merged, folded, channels-last) equals the plain network, and bfloat16 stays finite and near."""
    torch.manual_seed(0)
    network = MattingNetwork(variant).eval()
    prepared, quick = Matter(network, 0.5), Matter(network, 0.5, dtype=torch.bfloat16)
    rec = [None] * 4
    for pixels in CLIP[:2]:
        src = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            _, true_pha, *rec = network(src, *rec, 0.5)
        torch.testing.assert_close(prepared.step(pixels)[1], true_pha[0], atol=1e-3, rtol=1e-2)
        assert (quick.step(pixels)[1] - true_pha[0]).abs().mean() < 0.02
    assert not any(getattr(block, 'merged', True) is False for block in prepared.engine.modules())


class Spy(torch.nn.Module):
    """Remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, src, *rec):
        self.src = src.detach().clone()
        return src, src[..., :1, :, :], *[None] * 4


def seen(pixels) -> torch.Tensor:
    matter = Matter(Spy())
    matter.step(pixels)
    return matter.engine.network.src        # of the copy that runs


@pytest.mark.parametrize('make', [
    lambda rgb: rgb[:, :, ::-1].copy()[:, :, ::-1], lambda rgb: rgb[:, ::-1].copy()[:, ::-1],
    lambda rgb: rgb[::-1].copy()[::-1], lambda rgb: np.asfortranarray(rgb),
    lambda rgb: torch.from_numpy(rgb).permute(2, 0, 1), lambda rgb: rgb.astype('>u2') * 257,
    lambda rgb: torch.from_numpy(rgb).permute(2, 0, 1) / 255,
    lambda rgb: torch.from_numpy(rgb).permute(2, 0, 1).double() / 255,
])
def test_arrays_of_all_kinds_show_the_same_picture(make):
    torch.testing.assert_close(seen(make(CLIP[0])), seen(CLIP[0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize('make, message', [
    (lambda rgb: rgb.astype(np.int16), 'uint8 or uint16, got int16: array.astype'),
    (lambda rgb: rgb.astype(np.int64), 'got int64'), (lambda rgb: rgb > 3, 'got bool'),
    (lambda rgb: rgb / 255., 'got float64'), (lambda rgb: rgb[..., 0], r'array \(H, W, 3\)'),
    (lambda rgb: rgb.transpose(2, 0, 1), r'array \(H, W, 3\)'), (lambda rgb: rgb.tolist(), 'got list'),
    (lambda rgb: torch.from_numpy(rgb), r'a tensor must be \(3, H, W\)'),
    (lambda rgb: torch.from_numpy(rgb).permute(2, 0, 1).int(), 'float in .0, 1., or uint8, got torch.int32'),
    (lambda rgb: torch.from_numpy(rgb).permute(2, 0, 1).float(), 'divide by 255'),
    (lambda rgb: torch.full((3, 8, 8), torch.nan), 'not finite'),
])
def test_arrays_that_nobody_can_read_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        seen(make(CLIP[0]))


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a CUDA device')
def test_a_device_that_is_not_there():
    with pytest.raises(ValueError, match='device must be .* present on this machine'):
        Matter(BrightnessNetwork(), device='cuda')


@pytest.mark.parametrize('ratio', [1, 0.5])
def test_answers_that_are_no_numbers_are_an_error(network, ratio):
    import copy
    broken = copy.deepcopy(network)
    with torch.no_grad():
        broken.project_mat.conv.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match='not finite numbers'):
        Matter(broken, ratio).step(CLIP[0])
