"""A discriminator, which a student learns against."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Discriminator(nn.Module):
    """Tells pictures from results, place by place, given the low-res picture that both fit (as the
    patch discriminator of Isola et al. 2017, with scores at several resolutions).

    It sees patches of 2x2 pixels as channels, so that its first maps still hold every pixel.

    Args:
        channels: of the pictures.
        widths: channels of its levels, each of half the resolution of the one before.
    """

    patch = 2

    def __init__(self, channels: int = 3, widths: Sequence[int] = (64, 96, 160, 192)) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(2 * channels * self.patch**2, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(_block(width) for width in widths)
        self.downsample = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 1)) for width in widths
        )

    def forward(self, x_0: Tensor, low_res: Tensor) -> list[Tensor]:
        """Scores, float32 (B, 1, edge, edge) for each level: high for real pictures.

        Args:
            x_0: what the student makes, or the same of a picture, (B, C, H, W).
            low_res: the low-res picture at that size.
        """
        x = self.conv_in(F.pixel_unshuffle(torch.cat([x_0, low_res], dim=1), self.patch))
        scores = []
        for number, (level, head) in enumerate(zip(self.levels, self.heads, strict=True)):
            x = self.downsample[number - 1](x) if number else x
            x = x + level(x)
            scores.append(head(x).float())
        return scores


def _block(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, channels, 3, padding=1),
    )


class FeatureDiscriminator(nn.Module):
    """Tells pictures from results by feature maps of a fixed network that knows many pictures
    (Sauer et al. 2021, Projected GANs Converge Faster): a small head on each map gives scores.

    Args:
        channels: of each map.
        width: of the heads.
    """

    def __init__(self, channels: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(count, width, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, width, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, 1, 1),
            )
            for count in channels
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Scores, float32 (B, 1, h, w) for each map (B, C, h, w): high for real pictures."""
        return [head(one).float() for head, one in zip(self.heads, maps, strict=True)]


def relativistic_loss(ahead: Sequence[Tensor], behind: Sequence[Tensor]) -> Tensor:
    """How little one side's scores are ahead of the other's: log(1 + exp(behind - ahead)), the
    mean over levels of that over pictures and places (Jolicoeur-Martineau 2019).

    The discriminator wants pictures ahead of the results for the same low-res picture, the student
    the reverse. log 2 if neither is.
    """
    terms = [F.softplus(low - high).mean() for high, low in zip(ahead, behind, strict=True)]
    return torch.stack(terms).mean()
