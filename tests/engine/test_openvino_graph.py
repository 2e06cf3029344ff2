"""OpenVINO with the states inside: the same as PyTorch, at any size, from the disk too."""

import pytest
import torch

from engine.matter import Matter
from engine.runtimes.pytorch import prepare_network
from files.cache import Cache
from model import VARIANTS, MattingNetwork
from tests.clips import BrightnessNetwork, picture

pytest.importorskip('openvino', reason='needs openvino: pip install -r requirements/openvino.txt')

from engine.runtimes.openvino import OpenVINOEngine
from engine.runtimes.openvino_graph import Graph, identify

CPU = torch.device('cpu')


def network(seed: int = 0, variant: str = 'mobilenetv3') -> MattingNetwork:
    torch.manual_seed(seed)
    return MattingNetwork(variant).eval()


def opened(seed: int = 0, variant: str = 'mobilenetv3', dtype: torch.dtype = torch.float32) -> OpenVINOEngine:
    return OpenVINOEngine(network(seed, variant), CPU, dtype)


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """An empty cache, and how often a network was converted and compiled."""
    monkeypatch.setenv('MATTING_CACHE', str(tmp_path))
    counts = {'_convert': 0, '_compile': 0}
    for name in counts:
        original = getattr(Graph, name)

        def counting(self, argument, name=name, original=original):
            counts[name] += 1
            return original(self, argument)
        monkeypatch.setattr(Graph, name, counting)
    return counts


def compare(engine, reference, size: tuple[int, int], frames: int = 2) -> None:
    past, true_past = [None] * 4, [None] * 4
    for index in range(frames):
        src = torch.from_numpy(picture(index, *size)).permute(2, 0, 1)[None].float() / 255
        found, *past = engine.coefficients(src, *past)
        with torch.inference_mode():
            true, *true_past = reference.coefficients(src, *true_past)
        torch.testing.assert_close(found, true, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('variant', [name for name in sorted(VARIANTS) if not name.startswith('mamba')])
def test_every_encoder_at_odd_sizes(variant):
    reference, engine = prepare_network(network(0, variant), CPU, torch.float32), opened(0, variant)
    for size in ((90, 53), (64, 64)):
        compare(engine, reference, size)


def test_the_second_process_neither_converts_nor_compiles(counted):
    reference = prepare_network(network(), CPU, torch.float32)
    compare(opened(), reference, (64, 48))
    assert counted == {'_convert': 1, '_compile': 1}
    compare(opened(), reference, (64, 48))
    assert counted == {'_convert': 1, '_compile': 1}
    compare(opened(), reference, (47, 62), 1)           # another size: compiled, not converted
    assert counted == {'_convert': 1, '_compile': 2}
    compare(opened(1), prepare_network(network(1), CPU, torch.float32), (64, 48), 1)      # other weights
    assert counted == {'_convert': 2, '_compile': 3}


@pytest.mark.slow
def test_damaged_entries_are_made_anew(counted, tmp_path):
    compare(opened(), prepare_network(network(), CPU, torch.float32), (64, 48), 1)
    for file in (tmp_path / 'openvino').iterdir():
        file.write_bytes(file.read_bytes()[:-100])
    compare(opened(), prepare_network(network(), CPU, torch.float32), (64, 48), 1)
    assert counted == {'_convert': 2, '_compile': 2}


@pytest.mark.slow
def test_an_entry_that_the_library_refuses_is_made_anew(counted, tmp_path, monkeypatch):
    compare(opened(), prepare_network(network(), CPU, torch.float32), (64, 48), 1)
    load = Cache.load
    monkeypatch.setattr(Cache, 'load', lambda self, key: b'whole, and no model' if (data := load(
        self, key)) and data[8:13] != b'<?xml' else data)
    compare(opened(), prepare_network(network(), CPU, torch.float32), (64, 48), 1)
    assert counted == {'_convert': 1, '_compile': 2}


def test_two_clips_take_turns():
    """Two matters of one engine, as two people in a live picture have them."""
    engine = opened()
    alone, together = Matter(engine, 0.5), (Matter(engine, 0.5), Matter(engine, 0.5))
    frames = [[picture(index + 7 * clip, 96, 64) for index in range(3)] for clip in range(2)]
    found = [[], []]
    for index in range(3):
        for clip, matter in enumerate(together):
            found[clip].append(matter.step(frames[clip][index])[1])
    for clip in range(2):
        alone.reset()
        for index in range(3):
            torch.testing.assert_close(alone.step(frames[clip][index])[1], found[clip][index])


def test_states_of_the_past_are_refused():
    engine, src = opened(), torch.rand(1, 3, 48, 64)
    _, *first = engine.coefficients(src, *[None] * 4)
    engine.coefficients(src, *first)
    with pytest.raises(ValueError, match='states of frame 1 are gone, the clip is at frame 2'):
        engine.coefficients(src, *first)
    _, *last = engine.coefficients(src, *[None] * 4)
    with pytest.raises(ValueError, match='pass None for every state when the frame size changes'):
        engine.coefficients(torch.rand(1, 3, 64, 48), *last)


def test_what_a_network_is_known_by():
    plain = identify(network())
    assert plain == identify(network()) and plain != identify(network(1))
    other = network()
    other.backbone.normalize_like_nobody = True      # what a class reads may change what it computes
    assert identify(other) != plain
    assert identify(BrightnessNetwork()) is None     # code of others
