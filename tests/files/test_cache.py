"""What is kept between runs: whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from files.cache import Cache, cache_folder, digest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MATTING_CACHE', str(tmp_path / 'cache'))
    return Cache('kind')


def test_what_was_stored_is_loaded(cache):
    key = digest('a', b'b')
    assert cache.load(key) is None
    cache.store(key, b'some bytes')
    assert cache.load(key) == b'some bytes'
    cache.store(key, b'')
    assert cache.load(key) == b''
    assert [path.name for path in cache.path(key).parent.iterdir()] == [key]


def test_parts_of_a_key_are_told_apart():
    assert len({digest('ab', 'c'), digest('a', 'bc'), digest('abc'), digest('ab', b'c', ''), digest('ab', b'd')}) == 5


@pytest.mark.parametrize('damage', [lambda data: data[:-1], lambda data: data[:20], lambda data: b'',
                                    lambda data: data[:60] + b'X' + data[61:], lambda data: b'X' + data[1:]])
def test_a_damaged_entry_is_none(cache, damage):
    key = digest('a')
    cache.store(key, b'0123456789' * 10)
    cache.path(key).write_bytes(damage(cache.path(key).read_bytes()))
    assert cache.load(key) is None
    cache.store(key, b'again')
    assert cache.load(key) == b'again'


def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('no folder')
    monkeypatch.setenv('MATTING_CACHE', str(tmp_path / 'file'))
    cache = Cache('kind')
    cache.store(digest('a'), b'data')
    assert cache.load(digest('a')) is None


def test_what_was_used_longest_ago_goes_first(cache):
    cache.largest = 1000
    keys = [digest(str(number)) for number in range(3)]
    for number, key in enumerate(keys[:2]):
        cache.store(key, bytes(400))
        os.utime(cache.path(key), (number + 1, number + 1))
    assert cache.load(keys[0]) == bytes(400)          # used now
    cache.store(keys[2], bytes(400))
    assert [cache.load(key) is None for key in keys] == [False, True, False]


def test_two_processes_write_the_same_entry(cache, tmp_path):
    program = ("import sys; sys.path.insert(0, sys.argv[1])\nfrom files.cache import Cache\ncache = Cache('kind')\n"
               "for _ in range(50):\n    cache.store('key', sys.argv[2].encode() * 100000)\n"
               "    assert cache.load('key') in (b'a' * 100000, b'b' * 100000)\n")
    running = [subprocess.Popen([sys.executable, '-c', program, str(ROOT), letter]) for letter in 'ab']
    assert [process.wait(60) for process in running] == [0, 0]
    assert len(list((tmp_path / 'cache' / 'kind').iterdir())) == 1


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv('MATTING_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(sys, 'platform', 'linux')
    assert cache_folder() == tmp_path / 'video_matting'
