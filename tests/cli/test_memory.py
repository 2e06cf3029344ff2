"""Memory of a process: its peak, and what happens to what is freed."""

import mmap
import os
import subprocess
import sys

import pytest
import torch

from cli.memory import peak_memory_mb, reset_peak_memory

FAULTS = """
import resource, sys, torch
from cli.memory import keep_freed_memory
kept = sys.argv[1] == 'keep' and keep_freed_memory()
for _ in range(3):
    torch.ones(12_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(12_000_000)
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_peak_sees_an_allocation_and_is_forgotten():
    reset_peak_memory('cpu')
    before = peak_memory_mb(torch.device('cpu'))
    if before is None:
        pytest.skip('this system does not say')
    with mmap.mmap(-1, 64_000_000) as memory:       # a command that ran in this process made the C library keep its own
        for _ in range(64):
            memory.write(bytes(1_000_000))
    assert peak_memory_mb('cpu') > before + 50
    reset_peak_memory('cpu')
    assert peak_memory_mb('cpu') < before + 50


def faults(how: str, **environment: str) -> tuple[int, int]:
    """Whether memory is kept, and page faults of twenty tensors of 48 MB."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith('MALLOC_')}
    out = subprocess.run([sys.executable, '-c', FAULTS, how], capture_output=True, text=True, check=True,
                         env=plain | environment).stdout
    kept, count = map(int, out.split())
    return kept, count


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc alone can be told')
def test_freed_memory_is_used_again():
    kept, count = faults('keep')
    if not kept:
        pytest.skip('the C library of this system is not glibc')
    assert count < 0.4 * faults('as it is')[1]
    assert faults('keep', MALLOC_ARENA_MAX='2')[0] == 0                 # who sets such variables decides
