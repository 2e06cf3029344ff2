"""Where a network computes and in which precision: the one choice of both."""

import platform
from functools import cache
from pathlib import Path

import torch

PRECISIONS = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
SPELLINGS = {'float32': 'fp32', 'float16': 'fp16', 'bfloat16': 'bf16'}      # of published commands

CPU_FACTS = ('vendor_id', 'cpu family', 'model', 'model name', 'stepping', 'flags', 'CPU implementer', 'CPU part',
             'Features')      # lines of /proc/cpuinfo


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """'auto' or None: CUDA, then Apple's MPS, then the CPU.

    Raises:
        ValueError: no such device on this machine.
    """
    if device in (None, 'auto'):
        device = 'cuda' if torch.cuda.is_available() else 'mps' if torch.backends.mps.is_available() else 'cpu'
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f'device must be auto, cpu, cuda, cuda:N or mps, and present on this machine; got {device!r} '
                         f'({str(error).splitlines()[0]})') from error
    return chosen


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """'auto': fp16 on CUDA; bf16 on CPUs with instructions for it; fp32 elsewhere.

    Raises:
        ValueError: an unknown name, or fp16 on a CPU, which is slower there than fp32.
    """
    if precision == 'auto':
        if device.type == 'cuda':
            return torch.float16
        return torch.bfloat16 if device.type == 'cpu' and cpu_has_bfloat16() else torch.float32
    if precision not in PRECISIONS:
        raise ValueError(f'precision must be auto, {", ".join(PRECISIONS)}, got {precision!r}')
    if precision == 'fp16' and device.type == 'cpu':
        raise ValueError('precision fp16 is slower than fp32 on a CPU: use auto, bf16 or fp32')
    return PRECISIONS[precision]


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself (AVX512-BF16 or AMX); emulation would be slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@cache
def cpu_identity() -> str:
    """What code compiled for this processor depends on: its name alone does not say what it can do."""
    info = Path('/proc/cpuinfo')
    if not info.is_file():
        return f'{platform.machine()} {platform.processor()}'
    first = info.read_text().split('\n\n')[0]
    told = {key.strip(): value for key, _, value in (line.partition(':') for line in first.splitlines())}
    return ','.join(told.get(key, '') for key in CPU_FACTS)
