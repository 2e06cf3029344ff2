"""What the machine is, how much memory was used, and how much energy where it says so."""

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import torch

POWERCAP = Path('/sys/class/powercap')
SAMPLE_INTERVAL = 100      # [ms] between two readings of a GPU's power


def describe_machine(device: torch.device) -> dict[str, str | int]:
    """Names and versions that a number means nothing without."""
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu_name()
    return {'device': str(device), 'name': name, 'cores': os.cpu_count(), 'threads': torch.get_num_threads(),
            'torch': torch.__version__, 'python': platform.python_version(), 'system': platform.platform()}


def cpu_name() -> str:
    """As the system calls it."""
    info = Path('/proc/cpuinfo')
    names = [line.partition(':')[2].strip() for line in info.read_text().splitlines() if line.startswith('model name')
             ] if info.is_file() else []
    return names[0] if names else platform.processor() or platform.machine()


def synchronise(device: torch.device) -> None:
    """Wait until the device has done everything it was given."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    elif device.type == 'mps':
        torch.mps.synchronize()


class EnergyMeter:
    """Energy spent between entering and leaving the `with` block.

    CPU: the RAPL counters of all processor packages (Linux, readable by root only on many systems). CUDA: the mean
    power that nvidia-smi reports for the device, times the time. Both include idle power and other programs.

    Attributes:
        joules: [J], or None where the machine does not say.
        source: what was read, or why nothing was.
    """

    def __init__(self, device: torch.device, powercap: Path = POWERCAP):
        self.joules, self.source, self._device = None, '', device
        self._counters: list[Path] = []
        self._sampler: subprocess.Popen | None = None
        if device.type == 'cpu':
            # intel-rapl:0 is a package; intel-rapl:0:0 a part of it, which would count twice
            self._counters = [path / 'energy_uj' for path in sorted(powercap.glob('intel-rapl:*'))
                              if path.name.count(':') == 1 and os.access(path / 'energy_uj', os.R_OK)]
            self.source = 'RAPL, processor packages' if self._counters else f'no readable RAPL counter in {powercap}'
        elif device.type == 'cuda':
            self.source = ('nvidia-smi, whole board' if shutil.which('nvidia-smi') else 'nvidia-smi is not installed')
        else:
            self.source = f'no meter for {device.type}'

    def __enter__(self):
        self._started, self._before = time.perf_counter(), self._read()
        if self._device.type == 'cuda' and shutil.which('nvidia-smi'):
            uuid = f'GPU-{torch.cuda.get_device_properties(self._device).uuid}'
            self._sampler = subprocess.Popen(
                ['nvidia-smi', f'--id={uuid}', '--query-gpu=power.draw', '--format=csv,noheader,nounits',
                 f'--loop-ms={SAMPLE_INTERVAL}'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return self

    def __exit__(self, kind, error, traceback):
        if self._counters:
            self.joules = sum(self._spent(*readings) for readings in
                              zip(self._counters, self._before, self._read(), strict=True)) / 1e6
        if self._sampler is not None:
            self._sampler.terminate()
            power = mean_power(self._sampler.communicate()[0])
            if power is None:
                self.source = 'nvidia-smi does not report the power of this device'
            else:
                self.joules = power * (time.perf_counter() - self._started)

    def _read(self) -> list[int]:
        return [int(counter.read_text()) for counter in self._counters]

    @staticmethod
    def _spent(counter: Path, before: int, after: int) -> int:
        """[uJ]; the counter starts again at 0 when it is full."""
        if after < before:
            after += int((counter.parent / 'max_energy_range_uj').read_text())
        return after - before


def mean_power(output: str) -> float | None:
    """Mean of what nvidia-smi printed, a number [W] a line; None when it printed no number."""
    values = []
    for line in output.rpartition('\n')[0].splitlines():      # the last line may be cut off
        try:
            values.append(float(line))
        except ValueError:                                    # '[N/A]'
            continue
    return sum(values) / len(values) if values else None
