"""Peak memory, in one unit: MB of 1e6 bytes."""

import sys
from pathlib import Path

CLEAR, STATUS = Path('/proc/self/clear_refs'), Path('/proc/self/status')


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
