"""Memory of the process: its peak in one unit, MB of 1e6 bytes, and what happens to what is freed."""

import ctypes
import os
import sys
from pathlib import Path

CLEAR, STATUS = Path('/proc/self/clear_refs'), Path('/proc/self/status')
KEEP = {-4: 0,                  # M_MMAP_MAX: no allocation is a mapping of its own
        -1: 2 ** 31 - 1,        # M_TRIM_THRESHOLD [bytes] that may lie free at the end of the heap
        -2: 2 ** 26}            # M_TOP_PAD [bytes] asked for beside what is needed


def keep_freed_memory() -> bool:
    """Let the C library use freed memory again instead of giving it back.

    A network makes and frees the same large tensors all the time. By default each is mapped, cleared page by page by
    the kernel and unmapped again: 6 to 14 % of a conversion, 10 to 20 % of a training step on a CPU.

    Returns:
        Whether it does now. Only glibc can; a MALLOC_... variable in the environment is left to say otherwise.
    """
    if sys.platform != 'linux' or any(name.startswith('MALLOC_') for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all([mallopt(option, value) for option, value in KEEP.items()])


def reset_peak_memory(device) -> None:
    """Start measuring; systems other than Linux do not forget the peak of a process.

    Args:
        device: a torch.device, or its name.
    """
    if _is_cuda(device):
        import torch
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == 'linux':
        CLEAR.write_text('5')


def peak_memory_mb(device) -> float | None:
    """Peak so far, or since `reset_peak_memory`; None where nothing tells.

    On CUDA what PyTorch held on the device; elsewhere the resident memory of the whole process, Python and the
    libraries included, so a comparison needs a process for each network.
    """
    if _is_cuda(device):
        import torch
        return torch.cuda.max_memory_allocated(device) / 1e6
    if sys.platform == 'linux':
        lines = STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith('VmHWM:'))
    try:
        import resource
    except ImportError:             # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == 'darwin' else peak * 1024) / 1e6


def _is_cuda(device) -> bool:
    return str(device).startswith('cuda')
