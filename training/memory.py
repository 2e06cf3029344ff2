"""How much memory a run will need, before it starts."""

import copy
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

GIB = 2 ** 30
PROBE_SIDE = 64  # [px] inside the network


def saved_bytes(module: nn.Module, src: Tensor, autocast: AbstractContextManager, **arguments) -> int:
    """Bytes that a forward pass keeps for its backward pass, parameters left out."""
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), autocast:
        outputs = module(src, **arguments)     # held, or storages would be used again and counted once
    del outputs
    return sum(storages.values())


def estimate(network: nn.Module, config, precision_dtype: torch.dtype) -> dict[str, float]:
    """[GiB] by what needs it, measured on a small clip on the CPU and scaled by pixels and frames.

    A GPU adds its context and the workspaces of its libraries, about 1 GiB.
    """
    probe = copy.deepcopy(network).cpu().train()
    weights = sum(p.numel() for p in probe.parameters()) * 4 / GIB
    copies = 5 if config.ema else 4                       # weights, gradients, two moments of Adam, average
    numbers = {'weights, gradients, optimizer': weights * copies}
    passes = {'lr': (config.resolution_lr, config.seq_length_lr, 1.)}
    if config.train_hr:
        passes['hr'] = (config.resolution_hr, config.seq_length_hr, config.downsample_ratio)
    for name, (side, frames, ratio) in passes.items():
        small = round(PROBE_SIDE / ratio)
        autocast = torch.autocast('cpu', precision_dtype, enabled=precision_dtype != torch.float32)
        kept = saved_bytes(probe, torch.rand(1, 2, 3, small, small), autocast, downsample_ratio=ratio)
        if config.checkpoint_frames:
            frames = min(frames, config.checkpoint_frames)
        scale = (side / small) ** 2 * frames / 2 * config.batch_size_per_gpu
        numbers[f'activations of the {name} pass'] = kept * scale / GIB
    numbers['peak'] = numbers['weights, gradients, optimizer'] + max(v for k, v in numbers.items() if 'pass' in k)
    return numbers
