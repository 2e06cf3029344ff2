"""Atrous spatial pyramid pooling of the instance network. Paper: DeepLab v3, arXiv 1706.05587."""

import torch
from torch import Tensor, nn


class InstanceASPP(nn.Module):
    """Five views of the features at stride 32: 1x1, dilations 2, 4, 8 and the mean of the whole picture."""

    def __init__(self, channels: int = 512, branch: int = 256, dilations: tuple[int, ...] = (2, 4, 8)):
        super().__init__()
        self.aspp1 = nn.Conv2d(channels, branch, 1, bias=False)
        self.aspp2, self.aspp3, self.aspp4 = (
            nn.Conv2d(channels, branch, 3, padding=d, dilation=d, bias=False) for d in dilations)
        self.aspp5 = nn.Conv2d(channels, branch, 1, bias=False)
        for index in range(1, 6):
            setattr(self, f'aspp{index}_bn', nn.BatchNorm2d(branch))
        self.conv2, self.bn2 = nn.Conv2d(5 * branch, channels, 1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H/32, W/32), the same
        """(B, C, H, W) -> the same size."""
        views = [torch.relu(self.aspp1_bn(self.aspp1(x))), torch.relu(self.aspp2_bn(self.aspp2(x))),
                 torch.relu(self.aspp3_bn(self.aspp3(x))), torch.relu(self.aspp4_bn(self.aspp4(x)))]
        mean = torch.relu(self.aspp5_bn(self.aspp5(x.mean((2, 3), keepdim=True))))
        views.append(mean.expand_as(views[0]))
        return torch.relu(self.bn2(self.conv2(torch.cat(views, 1))))
