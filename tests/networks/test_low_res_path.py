"""The four ways down of the low-res path."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.networks.low_res_path import DOWNSCALES, LowResPath


def picture(size: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scheme", DOWNSCALES)
@pytest.mark.parametrize("halvings", [1, 3])
def test_shapes_and_a_start_at_zero(scheme: str, halvings: int) -> None:
    path = LowResPath(scheme=scheme, channels=3, halvings=halvings, outputs=(5, 7), width=4)
    places = path(picture(32))
    edge = 32 >> halvings
    assert [place.shape for place in places] == [(2, 5, edge, edge), (2, 7, edge, edge)]
    assert not any(place.any() for place in places)
    nn.init.ones_(path.project[1].weight)  # type: ignore[arg-type]
    assert path(picture(32))[1].abs().min() > 0


@pytest.mark.parametrize(
    ("scheme", "parameters"),
    [
        ("convolutions", (27 * 4 + 4) + (9 * 4 * 8 + 8) + (9 * 8 * 16 + 16)),
        ("large-kernel", 3 * 16 * 16 * 16 + 16),
        ("bicubic", 0),
        ("direct", 0),
    ],
)
def test_what_a_scheme_learns(scheme: str, parameters: int) -> None:
    path = LowResPath(scheme=scheme, channels=3, halvings=3, outputs=(5,), width=4)
    assert sum(parameter.numel() for parameter in path.downscale.parameters()) == parameters
    assert path.project[0].in_channels == (16 if parameters else 3)


def test_schemes_that_learn_nothing_in_closed_form() -> None:
    x = picture(24)
    found = {name: DOWNSCALES[name](3, 2, 32, nn.SiLU)[0](x) for name in ("direct", "bicubic")}
    rows = torch.arange(0, 24, 4)
    assert torch.equal(found["direct"], x[:, :, rows][..., rows])
    torch.testing.assert_close(found["bicubic"], Degradation(4)(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("scheme", "first", "last"),
    [
        ("convolutions", 25, 39),  # 15 = 1 + 2 (1 + 2 + 4) pixels, around 32
        ("large-kernel", 28, 43),  # twice the stride, around the middle of 32 to 39
        ("direct", 32, 32),
    ],
)
def test_what_a_place_sees(scheme: str, first: int, last: int) -> None:
    path = LowResPath(scheme=scheme, channels=1, halvings=3, outputs=(2,), width=4)
    nn.init.ones_(path.project[0].weight)  # type: ignore[arg-type]
    x = torch.zeros(1, 1, 64, 64, requires_grad=True)
    path(x)[0][0, 0, 4, 4].backward()
    assert x.grad is not None
    rows = x.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert rows[[0, -1]].tolist() == [first, last]


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown low-res path 'bicubik': did you mean 'bicubic'"):
        LowResPath(scheme="bicubik", channels=3, halvings=1, outputs=(1,))


@pytest.mark.parametrize("scheme", ["convolutions", "large-kernel"])
@pytest.mark.parametrize(
    ("activation", "below", "above"),
    [
        ("silu", -0.26894, 0.73106),
        ("relu", 0, 1),
        ("leaky-relu", -0.2, 1),
        ("gelu", -0.15866, 0.84134),
    ],
)
def test_activations_by_hand(scheme: str, activation: str, below: float, above: float) -> None:
    """What becomes of -1 and 1, behind a single convolution that gives them."""
    path = LowResPath(
        scheme=scheme, channels=1, halvings=1, outputs=(1,), width=2, activation=activation
    )
    convolution = path.downscale.get_submodule("0")
    nn.init.zeros_(convolution.get_parameter("weight"))
    convolution.get_parameter("bias").data = torch.tensor([-1.0, 1.0])
    found = path.downscale(torch.zeros(1, 1, 4, 4))[0, :, 0, 0]
    assert found.tolist() == pytest.approx([below, above], abs=1e-4)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown activation 'relo': did you mean 'relu'"):
        LowResPath(channels=3, halvings=1, outputs=(1,), activation="relo")
