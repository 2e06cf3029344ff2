"""Where tests find the material that stands beside the project and never in it."""

import importlib.util
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / 'shared'


@pytest.fixture(scope='session')
def shared() -> Path:
    """The shared folder; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f'needs the material in {SHARED}, which is not part of the repository')
    return SHARED


@pytest.fixture(scope='session')
def golden(shared):
    """Module `reference_fill` of the golden cases, with `path(name)` to the files."""
    spec = importlib.util.spec_from_file_location('reference_fill', shared / 'golden' / 'reference_fill.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.path = lambda name: shared / 'golden' / name
    return module
