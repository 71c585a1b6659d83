"""The discriminator on a diffusion network's feature maps, and the losses of the two sides."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sr4.networks.discriminator import Discriminator, generator_loss, hinge_loss
from sr4.networks.fast import FastUNet


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(FastUNet(widths=(16, 32), blocks=(1, 1)), width=8)


def scores(*values: float) -> list[Tensor]:
    return [torch.tensor(value).expand(2, 1, 4 - number, 4) for number, value in enumerate(values)]


def test_hinge_loss_by_hand() -> None:
    real, fake = scores(0.5, 3.0), scores(-2.0, 0.25)
    assert hinge_loss(real, fake).item() == pytest.approx(((0.5 + 0) + (0 + 1.25)) / 2)
    assert hinge_loss(scores(0.0, 0.0), scores(0.0, 0.0)).item() == 2  # knows nothing
    assert generator_loss(fake).item() == pytest.approx((2 - 0.25) / 2)


def test_one_score_a_place_and_level(discriminator: Discriminator) -> None:
    picture = torch.randn(3, 3, 32, 24)
    found = discriminator(discriminator.features(picture, torch.zeros(3), picture))
    assert [tuple(one.shape) for one in found] == [(3, 1, 8, 6), (3, 1, 4, 3)]


def test_only_the_heads_learn(discriminator: Discriminator) -> None:
    learning = {name for name, one in discriminator.named_parameters() if one.requires_grad}
    assert learning == {f"heads.{name}" for name, _ in discriminator.heads.named_parameters()}
    assert not discriminator.train().network.training


def test_it_learns_to_tell_soft_pictures_from_sharp_ones(discriminator: Discriminator) -> None:
    """Even on the features of a network with random weights."""
    optimiser = torch.optim.Adam(discriminator.heads.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    low_res, level = torch.zeros(8, 3, 32, 32), torch.full((8,), 4.0)
    loss = torch.tensor(math.nan)
    for _ in range(60):
        sharp = torch.randn(8, 3, 32, 32, generator=generator)
        soft = 2 * torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1)
        seen = [
            discriminator([one.detach() for one in discriminator.features(x, level, low_res)])
            for x in (sharp, soft)
        ]
        loss = hinge_loss(*seen)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 1  # 2 of one that knows nothing
