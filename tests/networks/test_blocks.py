"""The weights that networks begin with."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sr4.networks.blocks import initialise, zero_init


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(8, 64, 3), nn.Linear(64, 32), nn.GroupNorm(4, 32), zero_init(nn.Conv2d(32, 4, 1))
    )


def tensors(one: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in one.state_dict().values()]


@pytest.mark.parametrize("how", ["orthogonal", "kaiming"])
def test_what_is_drawn_anew(how: str) -> None:
    found, before = network(), tensors(network())
    initialise(found, how)
    convolution, linear, norm, last = found
    for layer in (convolution, linear):
        assert not layer.get_parameter("bias").any()
    assert not torch.equal(convolution.get_parameter("weight"), before[0])
    assert norm.get_parameter("weight").eq(1).all()
    assert not last.get_parameter("weight").any()


def test_orthogonal_rows() -> None:
    found = network()
    initialise(found, "orthogonal")
    rows = found[1].get_parameter("weight").detach()
    torch.testing.assert_close(rows @ rows.T, torch.eye(32), atol=1e-5, rtol=0)


def test_deviation_of_kaiming() -> None:
    """sqrt(2 / inputs): He et al. 2015, equation 10."""
    found = network()
    initialise(found, "kaiming")
    deviation = found[0].get_parameter("weight").detach().std().item()
    assert deviation == pytest.approx(math.sqrt(2 / 72), rel=0.05)


def test_the_default_is_left() -> None:
    found = network()
    initialise(found, "default")
    assert all(torch.equal(*pair) for pair in zip(tensors(found), tensors(network()), strict=True))
