"""A discriminator that looks through a diffusion network's eyes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sr4.networks.blocks import ChannelNorm


class Discriminator(nn.Module):
    """Small heads on the feature maps of a frozen diffusion network, which judge noisy pictures
    (Sauer et al. 2024, Latent Adversarial Diffusion Distillation, section 3).

    A network that denoises knows what pictures look like at every noise level, and knows the
    `low_res` they belong to; so only the heads are trained, and nothing but the teacher is needed.

    Args:
        network: the frozen network, with `features` and `feature_widths`.
        width: channels inside the heads.
    """

    def __init__(self, network: Any, width: int = 96) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        widths: tuple[int, ...] = network.feature_widths
        self.heads = nn.ModuleList(_head(channels, width) for channels in widths)

    def train(self, mode: bool = True) -> Discriminator:
        """The heads alone change; the frozen network has no dropout in either mode."""
        self.heads.train(mode)
        return self

    def features(self, x_t: Tensor, log_snr: Tensor, low_res: Tensor) -> list[Tensor]:
        """What the heads judge, for the arguments of one evaluation of the network."""
        return self.network.features(x_t, log_snr, low_res)  # type: ignore[no-any-return]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Scores, (B, 1, edge, edge) for each level, one a place: high for real pictures."""
        return [head(one).float() for head, one in zip(self.heads, features, strict=True)]


def _head(channels: int, width: int) -> nn.Module:
    return nn.Sequential(
        ChannelNorm(channels),
        nn.Conv2d(channels, width, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(width, 1, 1),
    )


def hinge_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """What the discriminator minimises (Lim & Ye 2017): the mean over levels and places."""
    terms = [
        (1 - high).relu().mean() + (1 + low).relu().mean()
        for high, low in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_loss(fake: list[Tensor]) -> Tensor:
    """What the student minimises: minus its mean score, over levels and places alike."""
    return -torch.stack([one.mean() for one in fake]).mean()
