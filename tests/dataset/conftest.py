"""One generated tree for all data tests, and an index cache that leaves the user's alone."""

import shutil

import pytest

from dataset import data_paths
from dataset.synthetic import write_tree


@pytest.fixture(scope='session', autouse=True)
def index_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('MATTING_CACHE', str(tmp_path_factory.mktemp('index')))
        patch.delenv('MATTING_DATA', raising=False)
        yield


@pytest.fixture(scope='session')
def tree(tmp_path_factory):
    """Read only; copy what a test changes with `branch`."""
    return write_tree(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='session')
def paths(tree):
    return data_paths(tree)


@pytest.fixture
def branch(tree, tmp_path):
    """A root of its own with copies of the named sets."""
    def copy(*names):
        for name in names:
            shutil.copytree(tree / name, tmp_path / 'root' / name)
        return tmp_path / 'root'
    return copy


def damage(path):
    """Leave only the beginning of a file."""
    path.write_bytes(path.read_bytes()[:100])
