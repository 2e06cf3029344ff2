"""Processes of one run, as torchrun starts them: NCCL on GPUs, gloo on CPUs, one or more nodes."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from .sync_batch_norm import convert_batch_norm

TIMEOUT = timedelta(minutes=30)  # the first rank may still be indexing a data set


@dataclass(frozen=True)
class Ranks:
    """This process among all."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """The one that writes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """True on every rank if it is true on one."""
        if self.world == 1:
            return flag
        value = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return value.item() > 0

    def sum(self, values: Iterable[float]) -> list[float]:
        """Element by element, over all ranks."""
        values = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        if self.world > 1:
            dist.all_reduce(values)
        return values.tolist()

    def wrap(self, module: nn.Module, compile: bool = False) -> nn.Module:
        """Batch statistics and gradients over all ranks; the first rank's weights go to the others.

        A pass leaves heads unused (the refiner, one of the projections), hence `find_unused_parameters`: their
        gradients stay None on every rank. Running statistics are equal on all ranks without broadcasting.
        """
        if self.world > 1:
            convert_batch_norm(module, self.device)
        if compile:
            module.compile(dynamic=True)
        if self.world == 1:
            return module
        devices = [self.device.index] if self.device.type == 'cuda' else None
        return DistributedDataParallel(module, devices, broadcast_buffers=False, find_unused_parameters=True)


def start(device: str, address: str, port: str) -> Ranks:
    """Join the processes that torchrun started; without torchrun, be the only one.

    Args:
        device: 'auto', 'cpu' or 'cuda'.
        address, port: of the first process, where the environment does not name them.
    Raises:
        ValueError: a GPU is asked for and there is none, or fewer than processes on this node.
    """
    local_rank, world = int(os.environ.get('LOCAL_RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
    gpus = torch.cuda.device_count()
    if device == 'auto':
        device = 'cuda' if gpus else 'cpu'
    if device == 'cuda' and local_rank >= gpus:
        raise ValueError(f'--device cuda: process {local_rank} of this node has no GPU, {gpus} are visible: '
                         'start as many processes as GPUs (torchrun --nproc-per-node), or use --device cpu')
    if device == 'cuda':
        torch.cuda.set_device(local_rank)
    place = torch.device(device, local_rank) if device == 'cuda' else torch.device('cpu')
    if world > 1:
        os.environ.setdefault('MASTER_ADDR', address)
        os.environ.setdefault('MASTER_PORT', port)
        dist.init_process_group('nccl' if device == 'cuda' else 'gloo', timeout=TIMEOUT)
    elif gpus > 1 and device == 'cuda':
        print(f'{gpus} GPUs are visible and one is used; all: torchrun --nproc-per-node {gpus} train.py ...')
    return Ranks(int(os.environ.get('RANK', 0)), world, place)


def stop() -> None:
    """Leave the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def clone_to_cpu(value):
    """Nested dictionaries and lists of a state, its tensors copied to the CPU."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: clone_to_cpu(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(clone_to_cpu(item) for item in value)
    return value
