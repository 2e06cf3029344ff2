"""Peak memory of a process."""

import pytest
import torch

from cli.memory import peak_memory_mb, reset_peak_memory


def test_a_peak_sees_an_allocation_and_is_forgotten():
    reset_peak_memory('cpu')
    before = peak_memory_mb(torch.device('cpu'))
    if before is None:
        pytest.skip('this system does not say')
    torch.ones(64_000_000, dtype=torch.uint8).sum()
    assert peak_memory_mb('cpu') > before + 50
    reset_peak_memory('cpu')
    assert peak_memory_mb('cpu') < before + 50
