"""The efficient `sr4-fast` U-Net: works on patches, with one normalisation and one activation a
block, so that nearly all of its time goes into convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr4.degradation.known import KNOWN_LENGTH
from sr4.networks.blocks import (
    ChannelNorm,
    LogSNREmbedding,
    SelfAttention,
    to_target_size,
    zero_init,
)


class DenseBlock(nn.Module):
    """Two dense 3x3 convolutions: `x + conv(SiLU(conv(norm(x) * (1 + scale) + shift)))`.

    Scale and shift follow the noise level.

    (B, C, H, W) and (B, embedding) to (B, C, H, W).
    """

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.modulation = zero_init(nn.Linear(embedding, 2 * channels))
        self.conv_in = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_out = zero_init(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        normed = self.norm(x)
        hidden = torch.addcmul(shift.to(normed.dtype), normed, 1 + scale.to(normed.dtype))
        return x + self.conv_out(F.silu(self.conv_in(hidden)))  # type: ignore[no-any-return]


class Gate(nn.Module):
    """The product of both halves of the channels that some convolutions give, one after the other.

    (B, C, H, W) to (B, O / 2, H, W), where the last convolution has O channels.
    """

    def forward(self, x: Tensor, *convolutions: nn.Conv2d) -> Tensor:
        for convolution in convolutions:
            x = convolution(x)
        one, other = x.chunk(2, dim=1)
        return one * other


class GatedBlock(nn.Module):
    """The block of NAFNet (Chen et al. 2022, Simple Baselines for Image Restoration, figure 4c)
    without its attention over channels, whose means over the picture would tell tiles apart: the
    channels of each pixel mixed twice, around 3x3 neighbours of each channel by itself, with
    products of halves of the channels in the place of activations.

    Scale and shift of both normalisations follow the noise level.

    (B, C, H, W) and (B, embedding) to (B, C, H, W).
    """

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.modulation = zero_init(nn.Linear(embedding, 4 * channels))
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.neighbours = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.mix = zero_init(nn.Conv2d(channels, channels, 1))
        self.expand_again = nn.Conv2d(channels, 2 * channels, 1)
        self.mix_again = zero_init(nn.Conv2d(channels, channels, 1))
        self.gate = Gate()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        modulation = self.modulation(embedding)[:, :, None, None].to(x.dtype)
        scale, shift, scale_again, shift_again = modulation.chunk(4, dim=1)
        hidden = torch.addcmul(shift, self.norm(x), 1 + scale)
        x = x + self.mix(self.gate(hidden, self.expand, self.neighbours))
        hidden = torch.addcmul(shift_again, self.norm(x), 1 + scale_again)
        return x + self.mix_again(self.gate(hidden, self.expand_again))  # type: ignore[no-any-return]


BLOCKS: Mapping[str, type[nn.Module]] = {"dense": DenseBlock, "gated": GatedBlock}


class Stage(nn.Module):
    """A few blocks at one resolution, each followed by self-attention where asked for."""

    def __init__(
        self, block: type[nn.Module], channels: int, count: int, embedding: int, attention: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(block(channels, embedding) for _ in range(count))
        self.attention = nn.ModuleList(
            SelfAttention(channels) if attention else nn.Identity() for _ in range(count)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(block(x, embedding))
        return x


class FastUNet(nn.Module):
    """The `sr4-fast` network.

    Called as `network(x_t, log_snr, low_res)`; sizes must be multiples of `size_multiple`. One
    that is aware of the degradation takes `known` too: the vectors of `sr4.degradation.known`,
    (B, 6). Without it, nothing is known.

    Args:
        channels: colour channels of the pictures.
        patch: edge of the square patches that pixel-unshuffle turns into channels.
        widths: channels of each level; each level has half the resolution of the one before.
        blocks: blocks of each level (going down; as many again going up, except the last level).
        block: what each consists of, a name in `BLOCKS`.
        attention: whether the last level has self-attention.
        degradation_aware: whether the network is told what is known of the degradation.
        mean_output: whether it gives two predictions, (B, 2C, H, W): that of a sample, then that of
            the mean of all pictures that fit `low_res`.
        embedding: width of the noise-level embedding.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        patch: int = 4,
        widths: Sequence[int] = (96, 192, 256),
        blocks: Sequence[int] = (3, 3, 4),
        block: str = "dense",
        attention: bool = True,
        degradation_aware: bool = False,
        mean_output: bool = False,
        embedding: int = 256,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.size_multiple = patch * 2 ** (len(widths) - 1)
        patch_channels = channels * patch**2
        self.embed = LogSNREmbedding(embedding)
        self.embed_known = _embed_known(embedding) if degradation_aware else None
        self.conv_in = nn.Conv2d(2 * patch_channels, widths[0], 3, padding=1)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            Stage(BLOCKS[block], width, count, embedding, attention=False)
            for width, count in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.downsample = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.middle = Stage(BLOCKS[block], widths[-1], blocks[-1], embedding, attention)
        self.upsample = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.merge = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[:-1])
        self.up = nn.ModuleList(
            Stage(BLOCKS[block], width, count, embedding, attention=False)
            for width, count in zip(widths[:-1], blocks[:-1], strict=True)
        )
        self.norm_out = ChannelNorm(widths[0])
        outputs = patch_channels * (2 if mean_output else 1)
        self.conv_out = zero_init(nn.Conv2d(widths[0], outputs, 3, padding=1))

    def forward(
        self, x_t: Tensor, log_snr: Tensor, low_res: Tensor, known: Tensor | None = None
    ) -> Tensor:
        """One evaluation: (B, C, H, W), (B,), (B, C, H or h, W or w) to (B, C or 2C, H, W)."""
        embedding = self.embed(log_snr)
        if self.embed_known is not None:
            if known is None:
                known = log_snr.new_zeros((len(log_snr), KNOWN_LENGTH))
            embedding = embedding + self.embed_known(known)
        pictures = torch.cat([x_t, to_target_size(low_res, x_t)], dim=1)
        x = self.conv_in(F.pixel_unshuffle(pictures, self.patch))
        skips = []
        for stage, downsample in zip(self.down, self.downsample, strict=True):
            skips.append(stage(x, embedding))
            x = downsample(skips[-1])
        x = self.middle(x, embedding)
        for level in reversed(range(len(skips))):
            x = self.merge[level](torch.cat([self.upsample[level](x), skips[level]], dim=1))
            x = self.up[level](x, embedding)
        return F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(x))), self.patch)


def _embed_known(width: int) -> nn.Module:
    """What is known, (B, 6) to (B, width); 0 at the start of a training."""
    hidden = 64
    return nn.Sequential(
        nn.Linear(KNOWN_LENGTH, hidden), nn.SiLU(), zero_init(nn.Linear(hidden, width))
    )
