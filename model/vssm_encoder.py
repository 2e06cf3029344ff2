"""VMamba as a dense encoder: stages of state-space blocks that read the image in four directions.

Paper: VMamba: Visual State Space Model, arXiv 2401.10166. The sizes are those of its later, faster generation: one
state per channel, no gate, an MLP in every block.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from .channel_norm import ChannelNorm
from .imagenet import load_imagenet, normalize_imagenet
from .selective_scan import resolve_scan_path
from .ss2d import SS2D, select_scan
from .time_axis import fold_time, unfold_time

EPS = 1e-5
RELEASES = 'https://github.com/MzeroMiko/VMamba/releases/download/%23v2cls/'
OLD_NAMES = {'patch_embed.proj.': 'patch_embed.0.', 'patch_embed.norm.': 'patch_embed.2.', '.ln_1.': '.norm.',
             '.self_attention.': '.op.'}
LINEAR_NAMES = ('in_proj.weight', 'out_proj.weight', 'fc1.weight', 'fc2.weight')


@dataclass(frozen=True)
class VSSMSize:
    """What differs between the published sizes."""

    depths: tuple[int, int, int, int]
    channels: int    # of stage 0, doubling with every stage
    expand: float    # inner channels of the scan over the stage's
    file: str        # published ImageNet weights


SIZES: dict[str, VSSMSize] = {
    'tiny': VSSMSize((2, 2, 8, 2), 96, 1.0, 'vssm1_tiny_0230s_ckpt_epoch_264.pth'),
    'small': VSSMSize((2, 2, 20, 2), 96, 1.0, 'vssm1_small_0229s_ckpt_epoch_240.pth'),
}


class MLP(nn.Module):
    """Each pixel alone."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class VSSBlock(nn.Module):
    """Mixing over space, then over channels, each normalised before and added to its input."""

    def __init__(self, channels: int, expand: float):
        super().__init__()
        self.norm = nn.LayerNorm(channels, EPS)
        self.op = SS2D(channels, expand=expand)
        self.norm2 = nn.LayerNorm(channels, EPS)
        self.mlp = MLP(channels)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W), best channels-last in memory
        """(B, C, H, W), best channels-last in memory."""
        x = x.permute(0, 2, 3, 1)
        x = x + self.op(self.norm(x))
        x = x + self.mlp(self.norm2(x))
        return x.permute(0, 3, 1, 2)


class VSSStage(nn.Module):
    """Blocks at one size, then the way down to the next stage (None for the last that is built)."""

    def __init__(self, depth: int, channels: int, expand: float, last: bool):
        super().__init__()
        self.blocks = nn.Sequential(*[VSSBlock(channels, expand) for _ in range(depth)])
        self.downsample = None if last else nn.Sequential(
            nn.Identity(), nn.Conv2d(channels, 2 * channels, 3, 2, 1), nn.Identity(), ChannelNorm(2 * channels, EPS))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The stage's feature, and the input of the next stage."""
        x = self.blocks(x)
        if self.downsample is not None:
            return x, self.downsample(x)
        else:
            return x, x


class VSSMEncoder(nn.Module):
    """f1 is the activation inside the patch embedding, f2.. are the normalised outputs of stages 0, 1, 2.

    Stage 3 holds 40 % of the parameters, runs at stride 32 and would need a fifth recurrent state: it is not built.
    Stochastic depth is left out; it changes no weights' names.

    Args:
        size: a name in `SIZES`.
        pretrained: start from VMamba's ImageNet weights: True downloads them, a path names a checkpoint.
    """

    def __init__(self, size: str = 'tiny', pretrained: bool | str | Path = False):
        super().__init__()
        self.normalize = True
        spec = SIZES[size]
        C = spec.channels
        self.patch_embed = nn.Sequential(
            nn.Conv2d(3, C // 2, 3, 2, 1), nn.Identity(), ChannelNorm(C // 2, EPS), nn.Identity(), nn.GELU(),
            nn.Conv2d(C // 2, C, 3, 2, 1), nn.Identity(), ChannelNorm(C, EPS))
        self.layers = nn.ModuleList([VSSStage(spec.depths[i], C << i, spec.expand, last=i == 2)
                                     for i in range(3)])
        self.outnorm0 = ChannelNorm(C, EPS)
        self.outnorm1 = ChannelNorm(2 * C, EPS)
        self.outnorm2 = ChannelNorm(4 * C, EPS)
        self.apply(init_linear)
        if pretrained:
            not_built = ('layers.3.', 'layers.2.downsample.', 'outnorm3.')
            load_imagenet(self, pretrained, RELEASES + spec.file, unused=('classifier.', *not_built),
                          fresh=('outnorm',), convert=convert_names)

    def select_scan(self, path: str) -> None:
        """Which scan runs: a name in `SCAN_PATHS`; see `select_scan`."""
        select_scan(self, path)

    def describe(self) -> str:
        """Which scan runs."""
        op = self.layers[0].blocks[0].op
        device = op.in_proj.weight.device.type
        return f'scan: {resolve_scan_path(op.scan_path, device)} ({op.scan_path} on {device})'

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """Normalised (B, 3, H, W) -> half-resolution activation of the stem, then the stages' outputs, unnormalised."""
        outputs: list[Tensor] = []
        for index, layer in enumerate(self.patch_embed):
            x = layer(x)
            if index == 4:
                outputs.append(x)
        for stage in self.layers:
            feature, x = stage(x)
            outputs.append(feature)
        return outputs

    def features(self, x: Tensor) -> list[Tensor]:
        """Normalised (B, 3, H, W) -> features at strides 2, 4, 8, 16."""
        outputs = self.stage_outputs(x)
        return [outputs[0], self.outnorm0(outputs[1]), self.outnorm1(outputs[2]), self.outnorm2(outputs[3])]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, [T,] 3, H, W) RGB in [0, 1] -> features of 48, 96, 192, 384 channels (tiny) at strides 2, 4, 8, 16."""
        x, T = fold_time(x)
        return [unfold_time(f, T) for f in self.features(normalize_imagenet(x) if self.normalize else x)]


def init_linear(module: nn.Module) -> None:
    """As VMamba does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def convert_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring names of older VMamba checkpoints up to date, and 1x1 convolutions to the matrices they stand for."""
    converted = {}
    for name, tensor in state.items():
        for old, new in OLD_NAMES.items():
            name = name.replace(old, new)
        if name.startswith(('norm.', 'head.')):
            name = f'classifier.{name}'
        if name.endswith(LINEAR_NAMES) and tensor.dim() == 4:
            tensor = tensor.flatten(1)
        converted[name] = tensor
    return converted
