"""Where tests find the material that stands beside the project and never in it."""

import importlib.util
import signal
from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / 'shared'


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Tensors in tests are small: on a busy machine threads only wait for each other, many times longer than they work.

    The variable is for commands that tests start.
    """
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('OMP_NUM_THREADS', '1')
        yield


@pytest.fixture(scope='session', autouse=True)
def own_cache(tmp_path_factory):
    """Nothing of an earlier run, and nothing left in the user's folder; also for commands that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MATTING_CACHE', str(tmp_path_factory.mktemp('cache')))
        patch.setenv('MATTING_ENGINE', 'torch')          # what --engine auto takes, without measuring
        yield


@pytest.fixture(scope='session', autouse=True)
def interruptible():
    """A shell's background jobs ignore Ctrl-C, and what they start inherits that: tests that send it would wait."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session')
def shared() -> Path:
    """The shared folder; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f'needs the material in {SHARED}, which is not part of the repository')
    return SHARED


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """`exported(format, variant, shapes, precision)` -> the file and what the exporter said; each is exported once."""
    from export.command import export
    from export.formats import Format
    from export.options import ExportOptions
    from tests.export.networks import RATIO, SIZE, clip, filled_network
    folder, done = tmp_path_factory.mktemp('exported'), {}

    def once(name: str, variant: str = 'mobilenetv3', shapes: str | None = None, precision: str = 'fp32'):
        chosen = Format.load(name)
        shapes = shapes or chosen.module.SHAPES[0]
        key = name, variant, shapes, precision
        if key not in done:
            path = folder / f'{"_".join(key)}{chosen.module.SUFFIXES[0]}'
            frames = clip(24, SIZE)
            options = ExportOptions(SIZE, RATIO, precision, shapes, frames[8::4])
            done[key] = path, list(export(filled_network(variant), chosen, path, options, frames[:8]))
        return done[key]
    return once


@pytest.fixture(scope='session')
def golden(shared):
    """Module `reference_fill` of the golden cases, with `path(name)` to the files."""
    spec = importlib.util.spec_from_file_location('reference_fill', shared / 'golden' / 'reference_fill.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.path = lambda name: shared / 'golden' / name
    return module
