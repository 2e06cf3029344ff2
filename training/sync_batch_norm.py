"""Batch normalisation over all ranks. PyTorch's own refuses CPU tensors; this one is plain and runs anywhere."""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class PlainSyncBatchNorm2d(nn.BatchNorm2d):
    """As `nn.BatchNorm2d`, with mean and variance of the pixels of all ranks, in two passes for exactness.

    In training every rank must call it, in the same order. Names in a checkpoint are those of `nn.BatchNorm2d`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W); B, H and W may differ between ranks."""
        if not self.training:
            return super().forward(x)
        wide = x.float()
        count = wide.new_tensor([x.numel() / x.size(1)])
        total = all_reduce(torch.cat([wide.sum((0, 2, 3)), count]))
        mean, count = total[:-1] / total[-1], total[-1].detach()
        centred = wide - mean[:, None, None]
        var = all_reduce(centred.square().sum((0, 2, 3))) / count
        if self.track_running_stats:
            self.update_running(mean.detach(), var.detach() * count / (count - 1).clamp(min=1))
        scale = torch.rsqrt(var + self.eps) * self.weight.float()
        return (centred * scale[:, None, None] + self.bias.float()[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def update_running(self, mean: Tensor, unbiased_var: Tensor) -> None:
        """As `nn.BatchNorm2d` does."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased_var, self.momentum)


def convert_batch_norm(module: nn.Module, device: torch.device) -> None:
    """Make every `nn.BatchNorm2d` inside `module` one over all ranks, in place: names and tensors stay."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            if device.type == 'cpu':
                child.__class__ = PlainSyncBatchNorm2d
            else:
                setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        else:
            convert_batch_norm(child, device)
