"""The instance decoder at stride 8: tokens of people and features of the clip look at each other."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import CrossAttention, FeedForward, Projection, SelfAttention

SLOPE = 0.2
BLOCKS = 2
STRIDE = 8      # of the features


class InstanceDecoder(nn.Module):
    """
    Args:
        channels: of the features at stride 8 and of the tokens inside.
        out_channels: of the enriched features and of the tokens that come out.
        slots: most people at a time.
    """

    def __init__(self, channels: int = 128, out_channels: int = 64, slots: int = 10):
        super().__init__()
        self.feat_proj = Projection(channels, channels)
        self.sa_layers = nn.ModuleList([SelfAttention(channels) for _ in range(BLOCKS)])
        self.token_feat_ca_layers = nn.ModuleList([CrossAttention(channels) for _ in range(BLOCKS)])
        self.mlp_layers = nn.ModuleList([FeedForward(channels) for _ in range(BLOCKS)])
        self.feat_token_ca_layers = nn.ModuleList([CrossAttention(channels) for _ in range(BLOCKS)])
        self.final_token_feat_ca = CrossAttention(channels)
        self.final_mlp = Projection(channels, out_channels)
        self.decoder_norm = nn.LayerNorm(out_channels)
        self.query_feat = nn.Embedding(slots, channels)
        self.id_embedding = nn.Embedding(slots + 1, channels)
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.LeakyReLU(SLOPE))

    def exchange(self, x: Tensor, msk: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Let tokens and features look at each other.

        Args:
            x: (B, T, C, h, w) at stride 8.
            msk: (B, T, N, H, W) of 0 and 1 at full size, N the number of slots.
        Returns:
            Features (B, T, C, h, w), tokens (B, N, C_out), and three attention maps (B, N, T*h*w) of tokens on
            features.
        """
        B, T, C, h, w = x.shape
        hit = F.max_pool2d(msk.flatten(0, 1), STRIDE)                                      # any hit: the mean is > 0
        slots = torch.arange(1, msk.size(2) + 1, device=x.device)
        owner = (hit * slots[:, None, None]).amax(1).long()                                # (B*T, h, w), 0: nobody
        place = self.id_embedding(owner).view(B, T * h * w, C)
        empty = msk.sum((1, 3, 4)) == 0                                                    # (B, N)
        empty = empty & ~empty.all(1, keepdim=True)     # where nobody is, everybody may be looked at: no NaN
        features = self.feat_proj(x.permute(0, 1, 3, 4, 2).reshape(B, T * h * w, C))
        tokens = self.query_feat.weight.expand(B, -1, -1)
        names = self.id_embedding.weight[1:].expand(B, -1, -1)
        maps = []
        for look, think, talk, tell in zip(self.token_feat_ca_layers, self.mlp_layers, self.sa_layers,
                                           self.feat_token_ca_layers):
            tokens, share = look(tokens, names, features, place)
            maps.append(share)
            tokens = talk(think(tokens), names, empty)
            features, _ = tell(features, place, tokens, names, empty)
        tokens, share = self.final_token_feat_ca(tokens, names, features, place)
        maps.append(share)
        features = features.view(B, T, h, w, C).permute(0, 1, 4, 2, 3)
        return features, self.decoder_norm(self.final_mlp(tokens)), maps

    def enrich(self, features: Tensor) -> Tensor:
        """(B, T, C, h, w) -> (B, T, C_out, h, w)."""
        B, T, _, h, w = features.shape
        return self.conv(features.flatten(0, 1)).view(B, T, -1, h, w)


def logits_of(tokens: Tensor, enriched: Tensor) -> Tensor:
    """(B, N, C) tokens on (B, T, C, h, w) features -> (B, T, N, h, w)."""
    return torch.einsum('bnc,btchw->btnhw', tokens, enriched)


def alpha_of(raw: Tensor) -> Tensor:
    """Raw values to [0, 1]; the same as sigmoid(2 * raw)."""
    return (raw.tanh() + 1) / 2
