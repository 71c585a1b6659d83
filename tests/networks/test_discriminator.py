"""The discriminator, and the loss of the two sides."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sr4.networks.discriminator import Discriminator, relativistic_loss


def scores(*values: float) -> list[Tensor]:
    return [torch.tensor(value).expand(2, 1, 4 - number, 4) for number, value in enumerate(values)]


def test_relativistic_loss_by_hand() -> None:
    real, fake = scores(0.5, 3.0), scores(-2.0, 3.0)
    by_hand = (math.log1p(math.exp(-2.5)) + math.log(2)) / 2
    assert relativistic_loss(real, fake).item() == pytest.approx(by_hand)
    by_hand = (math.log1p(math.exp(2.5)) + math.log(2)) / 2
    assert relativistic_loss(fake, real).item() == pytest.approx(by_hand)


def test_one_score_a_place_and_level() -> None:
    found = Discriminator(1, widths=(8, 16, 16))(*torch.randn(2, 3, 1, 32, 24).unbind())
    assert [tuple(one.shape) for one in found] == [(3, 1, 16, 12), (3, 1, 8, 6), (3, 1, 4, 3)]


def test_every_weight_learns_and_every_pixel_counts() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(widths=(8, 16))
    x_0 = torch.randn(1, 3, 16, 16, requires_grad=True)
    sum(one.sum() for one in discriminator(x_0, torch.randn(1, 3, 16, 16))).backward()
    assert x_0.grad is not None
    assert (x_0.grad != 0).all()
    for name, weight in discriminator.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any(), name


def test_it_learns_to_tell_soft_pictures_from_sharp_ones() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(widths=(8, 16))
    optimiser = torch.optim.Adam(discriminator.parameters(), 1e-3)
    low_res = torch.zeros(8, 3, 32, 32)
    for _ in range(60):
        sharp = torch.randn(8, 3, 32, 32)
        soft = 2 * torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1)
        loss = relativistic_loss(discriminator(sharp, low_res), discriminator(soft, low_res))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.35  # log 2 of one that knows nothing
