"""A network on whole clips, with memory that does not grow with their length."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class ClipNetwork(nn.Module):
    """The heads of a recurrent network for a clip; recurrent states start empty and stay inside.

    Args:
        network: answers `*heads, *rec = network(src, *rec, **arguments)`, without `rec` for the first frames.
        checkpoint_frames: keep activations of the pieces' borders alone and compute those inside a second time in the
            backward pass; 0 keeps all. Batch statistics are then those of a piece, not of the clip.
    """

    def __init__(self, network: nn.Module, checkpoint_frames: int = 0):
        super().__init__()
        self.network, self.checkpoint_frames = network, checkpoint_frames

    def forward(self, src: Tensor, heads: int = 2, **arguments) -> list[Tensor]:
        """(B, T, C, H, W) -> the first `heads` outputs, each (B, T, ...)."""
        frames = self.checkpoint_frames
        if frames == 0 or frames >= src.size(1):
            return self.network(src, **arguments)[:heads]
        pieces, rec = [], []
        for piece in src.split(frames, dim=1):
            output = checkpoint(self.network, piece, *rec, use_reentrant=False, context_fn=self._contexts, **arguments)
            pieces.append(output[:heads])
            rec = output[heads:]
        return [torch.cat(head, dim=1) for head in zip(*pieces)]

    def _contexts(self):
        return nullcontext(), untracked_statistics(self.network)


@contextmanager
def untracked_statistics(network: nn.Module) -> Iterator[None]:
    """Running statistics stay: the second computation of a piece must not count it twice."""
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    before = [(layer.momentum, layer.num_batches_tracked.clone()) for layer in layers]
    for layer in layers:
        layer.momentum = 0.
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before):
            layer.momentum = momentum
            layer.num_batches_tracked.copy_(count)


def resize_height(*clips: Tensor, share: float) -> list[Tensor]:
    """Clips (B, T, C, H, W) -> width as their longer side, height `share` of it, to even numbers; bilinear."""
    side = max(clips[0].shape[-2:])
    size = (max(2, int(side * share) // 2 * 2), max(2, side // 2 * 2))
    return [F.interpolate(clip.flatten(0, 1), size, mode='bilinear', align_corners=False)
            .unflatten(0, clip.shape[:2]) for clip in clips]


def channels_last(clip: Tensor) -> Tensor:
    """The same clip (B, T, C, H, W), laid out so that its frames are channels-last once time is folded into them."""
    return clip.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, clip.shape[:2])


def seeded(*key) -> random.Random:
    """Python draws for one place in a run; PyTorch's generators start at the same place.

    Random state is thus a function of the seed, the step, the rank and the pass: a resumed run needs none of it.
    """
    draws = random.Random(' '.join(map(str, key)))
    torch.manual_seed(draws.getrandbits(63))
    return draws
