"""The SR3 U-Net of the widely used unofficial implementation (SR3 paper, section 2.3; SR4 paper,
section 5.5): the arithmetic is the same to float rounding, so its checkpoints give its pictures
(see `sr4.compat`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr4.errors import UsageError
from sr4.networks.blocks import to_target_size
from sr4.networks.fused import Dropout, GroupNormSiLU


class NoiseLevelEmbedding(nn.Module):
    """Sines, then cosines, of `alpha_t` at geometric frequencies, then two dense layers.

    (B,) log_snr to (B, width). Frequencies fall from 1 to about 1e-4.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        if width % 2:
            raise UsageError(
                f"got {width} features of the noise level; expected as many sines as cosines: "
                "choose an even number of inner channels"
            )
        frequencies = torch.exp(-math.log(1e4) * torch.arange(width // 2) / (width // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )

    def forward(self, log_snr: Tensor) -> Tensor:
        alpha = torch.sigmoid(log_snr).sqrt()
        angles = alpha[:, None] * self.frequencies  # (B, width / 2)
        return self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))  # type: ignore[no-any-return]


class GroupAttention(nn.Module):
    """Self-attention over all pixels after a group normalisation, as a residual branch.

    (B, C, H, W) to the same shape. The queries, keys and values of one head lie side by side in
    the channels, so the layout is (heads, 3, C / heads).
    """

    def __init__(self, channels: int, *, groups: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(
            batch, self.heads, 3, channels // self.heads, height * width
        )
        q, k, v = qkv.transpose(3, 4).unbind(2)  # each (B, heads, H * W, C / heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(x.shape)
        return x + self.out(mixed)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two normalised convolutions with the noise level added in between, a shortcut around them,
    and self-attention where asked for.

    (B, channels_in, H, W) and (B, embedding) to (B, channels_out, H, W). `heads = 0` means no
    attention.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        embedding: int,
        groups: int,
        dropout: float,
        heads: int = 0,
    ) -> None:
        super().__init__()
        self.norm_in = GroupNormSiLU(groups, channels_in)
        self.conv_in = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.noise = nn.Linear(embedding, channels_out)
        self.norm_out = GroupNormSiLU(groups, channels_out)
        self.dropout = Dropout(dropout)
        self.conv_out = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut = (
            nn.Identity()
            if channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1)
        )
        self.attention = (
            GroupAttention(channels_out, groups=groups, heads=heads) if heads else nn.Identity()
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.conv_in(self.norm_in(x))
        hidden = hidden + self.noise(embedding)[:, :, None, None]
        hidden = self.conv_out(self.dropout(self.norm_out(hidden)))
        return self.attention(hidden + self.shortcut(x))  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a convolution: (B, C, H, W) to (B, C, 2H, 2W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]


class DownLevel(nn.Module):
    """All blocks of one resolution on the way down, behind the layer that leads to it."""

    def __init__(self, entry: nn.Module, blocks: Sequence[ResidualBlock]) -> None:
        super().__init__()
        self.entry = entry
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, embedding: Tensor, addition: Tensor | None) -> list[Tensor]:
        """The feature maps that the way up needs again: at the entry and after each block."""
        x = self.entry(x)
        maps = [x if addition is None else x + addition]
        for block in self.blocks:
            maps.append(block(maps[-1], embedding))
        return maps


class UpLevel(nn.Module):
    """All blocks of one resolution on the way up, behind the layer that leads to it."""

    def __init__(self, entry: nn.Module, blocks: Sequence[ResidualBlock]) -> None:
        super().__init__()
        self.entry = entry
        self.blocks = nn.ModuleList(blocks)

    def forward(
        self, x: Tensor, skips: list[Tensor], embedding: Tensor, addition: Tensor | None
    ) -> Tensor:
        """`skips` are the maps of the `DownLevel` of this resolution; the last is used first."""
        x = self.entry(x)
        x = x if addition is None else x + addition
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = block(torch.cat([x, skip], dim=1), embedding)
        return x


class Entry(NamedTuple):
    """What enters a U-Net: (B, 2 * channels, H, W), the condition before the noisy picture, and by
    level what to add to the feature maps that enter it on the way down and on the way up.
    `SR3UNet.down_widths` and `up_widths` hold their channels.
    """

    pictures: Tensor
    down: Mapping[int, Tensor] = {}
    up: Mapping[int, Tensor] = {}


class SR3UNet(nn.Module):
    """The SR3 U-Net; 97.8 M parameters with the default arguments, which are the paper's.

    Called as `network(x_t, log_snr, low_res)`; sizes must be multiples of `size_multiple`.

    Args:
        channels: colour channels of the pictures.
        out_channels: channels of the output: `2 * channels` when a variance is learned too.
        inner: channels of the first level's input and of the noise-level embedding.
        multipliers: channels of each level, over `inner`; each level has half the resolution of
            the one before.
        groups: groups of the group normalisations.
        attention_resolutions: edges of the feature maps that get self-attention, at an input of
            `image_size`. The middle always has it.
        heads: heads of each self-attention.
        blocks: blocks of each level on the way down; on the way up there is one more.
        dropout: probability inside each block.
        image_size: edge of the training pictures. It only decides which levels
            `attention_resolutions` means.

    Raises:
        UsageError: the arguments contradict each other.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        out_channels: int = 3,
        inner: int = 64,
        multipliers: Sequence[int] = (1, 2, 4, 8, 8),
        groups: int = 32,
        attention_resolutions: Sequence[int] = (16,),
        heads: int = 1,
        blocks: int = 2,
        dropout: float = 0.2,
        image_size: int = 128,
    ) -> None:
        super().__init__()
        widths = [inner * multiplier for multiplier in multipliers]
        edges = level_edges(image_size, len(widths))
        attending = {level_of("attention", edge, edges) for edge in attention_resolutions}
        _check_divides("groups", groups, [inner, *widths])
        _check_divides("heads", heads, [widths[-1], *(widths[level] for level in attending)])
        self.size_multiple = 2 ** (len(widths) - 1)
        self.down_widths = [inner, *widths[:-1]]  # at the entry of each level, going down
        self.up_widths = [*widths[1:], widths[-1]]  # and going up

        block = partial(ResidualBlock, embedding=inner, groups=groups, dropout=dropout)
        self.embed = NoiseLevelEmbedding(inner)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            below, above = self.up_widths[level], self.down_widths[level]
            enter_down: nn.Module = nn.Conv2d(above, above, 3, stride=2, padding=1)
            enter_up: nn.Module = Upsample(below)
            if level == 0:
                enter_down = nn.Conv2d(2 * channels, inner, 3, padding=1)
            if level == len(widths) - 1:
                enter_up = nn.Identity()
            make = partial(block, channels_out=width, heads=heads if level in attending else 0)
            maps = [above] + [width] * blocks  # those of this level that its way up takes
            inputs = [a + b for a, b in zip([below] + [width] * blocks, maps[::-1], strict=True)]
            self.down.append(DownLevel(enter_down, [make(n) for n in maps[:-1]]))
            self.up.append(UpLevel(enter_up, [make(n) for n in inputs]))
        deepest = widths[-1]
        self.middle = nn.ModuleList([block(deepest, deepest, heads=heads), block(deepest, deepest)])
        self.norm_out = GroupNormSiLU(groups, widths[0])
        self.conv_out = nn.Conv2d(widths[0], out_channels, 3, padding=1)

    def forward(self, x_t: Tensor, log_snr: Tensor, low_res: Tensor) -> Tensor:
        """One evaluation: (B, C, H, W), (B,), (B, C, H or h, W or w) to (B, out_channels, H, W)."""
        entry = self.entry(x_t, to_target_size(low_res, x_t))
        embedding = self.embed(log_snr)
        x, maps = entry.pictures, []
        for level, going_down in enumerate(self.down):
            maps.append(going_down(x, embedding, entry.down.get(level)))
            x = maps[-1][-1]
        for block in self.middle:
            x = block(x, embedding)
        for level in reversed(range(len(maps))):
            x = self.up[level](x, maps[level], embedding, entry.up.get(level))
        return self.conv_out(self.norm_out(x))  # type: ignore[no-any-return]

    def entry(self, x_t: Tensor, upsampled: Tensor) -> Entry:
        """What enters the U-Net proper; other networks with this body differ here alone."""
        return Entry(torch.cat([upsampled, x_t], dim=1))


def level_edges(image_size: int, levels: int) -> list[int]:
    """The edges of the levels' feature maps for pictures of `image_size`."""
    if levels < 1 or image_size % 2 ** (levels - 1):
        raise UsageError(
            f"got image_size {image_size} and {levels} levels, each half the size of the one "
            f"before; expected a multiple of {2 ** max(levels - 1, 0)}: change one of them"
        )
    return [image_size >> level for level in range(levels)]


def level_of(what: str, edge: int, edges: Sequence[int]) -> int:
    """The level whose feature maps have this edge."""
    if edge not in edges:
        raise UsageError(
            f"got {what} at resolution {edge}; expected one that a level has: choose from "
            f"{', '.join(map(str, edges))}"
        )
    return edges.index(edge)


def _check_divides(what: str, count: int, widths: Sequence[int]) -> None:
    for width in widths:
        if count < 1 or width % count:
            raise UsageError(
                f"got {what} {count} for feature maps of {width} channels; expected a divisor: "
                f"change {what}, inner or multipliers"
            )
