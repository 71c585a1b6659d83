"""The degradation operator against torch, Pillow and its own algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sr4 import degradation
from sr4.degradation import Degradation, resize, resize_matrix
from sr4.errors import UsageError

Float64 = NDArray[np.float64]
D = Degradation(4)


def noise(*shape: int, seed: int = 0) -> Float64:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((32, 32), (4, 4)),
        ((32, 48), (8, 6)),
        ((30, 17), (7, 11)),
        ((5, 7), (40, 21)),
        ((9, 9), (9, 9)),
    ],
)
def test_resize_equals_torch(before: tuple[int, int], after: tuple[int, int]) -> None:
    x = noise(2, 3, *before)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), size=after, mode="bicubic", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(resize(x, *after), expected.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [((256, 192), (32, 24)), ((16, 16), (64, 128))])
def test_resize_equals_pillow(before: tuple[int, int], after: tuple[int, int]) -> None:
    # Away from black and white, since Pillow clips between its two passes.
    pixels = np.random.default_rng(0).integers(64, 192, before, dtype=np.uint8)
    expected = Image.fromarray(pixels).resize(after[::-1], Image.Resampling.BICUBIC)
    ours = np.clip(np.round(resize(pixels.astype(np.float64), *after)), 0, 255)
    difference = ours - np.asarray(expected, dtype=np.float64)
    assert np.abs(difference).max() <= 1
    assert np.abs(difference.mean()) < 0.03


def test_resize_matrix_in_closed_form() -> None:
    assert np.array_equal(resize_matrix(5, 5), np.eye(5))
    np.testing.assert_allclose(resize_matrix(48, 7).sum(axis=1), 1, atol=1e-14)
    # Doubling a picture, pixel 7 lies at 5/4, 1/4, 3/4 and 7/4 pixels from pixels 2 to 5; Keys'
    # kernel with a = -1/2 there, times 128:
    np.testing.assert_allclose(resize_matrix(8, 16)[7] * 128, [0, 0, -9, 111, 29, -3, 0, 0])
    assert not resize_matrix(8, 16).flags.writeable


def test_constant_pictures_stay() -> None:
    constant = np.full((1, 16, 24), 0.3)
    np.testing.assert_allclose(D(constant), 0.3)
    np.testing.assert_allclose(D.upsample(D(constant)), constant)


def test_adjoint() -> None:
    x, y = noise(3, 16, 24), noise(3, 4, 6, seed=1)
    np.testing.assert_allclose(np.sum(D(x) * y), np.sum(x * D.adjoint(y)), rtol=1e-12)


def test_pseudo_inverse_has_penroses_four_properties() -> None:
    x, y = noise(3, 16, 24), noise(3, 4, 6, seed=1)
    other_x, other_y = noise(3, 16, 24, seed=2), noise(3, 4, 6, seed=3)
    invert = D.pseudo_inverse
    np.testing.assert_allclose(D(invert(D(x))), D(x), atol=1e-12)
    np.testing.assert_allclose(invert(D(invert(y))), invert(y), atol=1e-12)
    np.testing.assert_allclose(np.sum(D(invert(y)) * other_y), np.sum(y * D(invert(other_y))))
    np.testing.assert_allclose(np.sum(invert(D(x)) * other_x), np.sum(x * invert(D(other_x))))


def test_projection_is_exact_and_the_nearest() -> None:
    x, low_res = noise(3, 16, 24), noise(3, 4, 6, seed=1)
    projected = D.project(x, low_res)
    assert np.abs(D(projected) - low_res).max() < 1e-10
    for seed in range(2, 7):  # any other picture that fits is farther away
        other = projected + D.null_space(noise(3, 16, 24, seed=seed))
        assert np.abs(D(other) - low_res).max() < 1e-10
        assert np.sum((other - x) ** 2) > np.sum((projected - x) ** 2)
    np.testing.assert_allclose(D.project(projected, low_res), projected, atol=1e-12)


def test_projection_with_clipping_converges_inside_the_range() -> None:
    low_res = D(noise(3, 16, 24))  # of a picture inside the range, so that one fits
    x = 1.5 * noise(3, 16, 24, seed=1)
    errors = []
    for rounds in (1, 2, 5, 20, 200):
        result = D.project(x, low_res, rounds=rounds, value_range=(-1.0, 1.0))
        assert np.abs(result).max() <= 1
        errors.append(float(np.mean((D(result) - low_res) ** 2)))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1e-6
    assert errors[-1] < 1e-12


def test_null_space() -> None:
    x = noise(3, 16, 24)
    unseen = D.null_space(x)
    assert np.abs(D(unseen)).max() < 1e-12
    assert np.sum(unseen**2) > 0.5 * np.sum(x**2)
    np.testing.assert_allclose(D.null_space(unseen), unseen, atol=1e-12)
    np.testing.assert_allclose(unseen + D.pseudo_inverse(D(x)), x, atol=1e-12)


def test_scale_one_is_the_identity() -> None:
    x, identity = noise(3, 5, 7), Degradation(1)
    for result in (identity(x), identity.upsample(x), identity.pseudo_inverse(x)):
        np.testing.assert_allclose(result, x, atol=1e-14)


def test_observe_is_on_the_8_bit_grid() -> None:
    high_res = noise(3, 16, 24)
    high_res[0, :8] = 1.0
    high_res[0, 8:] = -1.0  # the edge between them overshoots
    assert np.abs(D(high_res)).max() > 1
    observed = D.observe(high_res)
    levels = (observed + 1) * 127.5
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-9)
    assert levels.min() >= 0
    assert levels.max() <= 255
    clipped = np.clip(D(high_res), -1, 1)
    assert np.abs(observed - clipped).max() <= 0.5 / 127.5 + 1e-12


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "degrade": lambda x, y: D(x),
    "adjoint": lambda x, y: D.adjoint(y),
    "pseudo_inverse": lambda x, y: D.pseudo_inverse(y),
    "upsample": lambda x, y: D.upsample(y),
    "null_space": lambda x, y: D.null_space(x),
    "project": lambda x, y: D.project(x, y, rounds=3, value_range=(-1.0, 1.0)),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_and_torch_agree(name: str, dtype: type[np.floating[Any]]) -> None:
    x, y = noise(2, 3, 16, 24).astype(dtype), noise(2, 3, 4, 6, seed=1).astype(dtype)
    ours = OPERATIONS[name](x, y)
    theirs = OPERATIONS[name](torch.from_numpy(x), torch.from_numpy(y))
    assert isinstance(ours, np.ndarray)
    assert isinstance(theirs, torch.Tensor)
    assert ours.dtype == theirs.numpy().dtype == dtype
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=64 * np.finfo(dtype).eps)


def test_observations_of_numpy_and_torch_agree() -> None:
    x = noise(3, 16, 24)
    np.testing.assert_allclose(D.observe(x), D.observe(torch.from_numpy(x)).numpy(), atol=1e-12)


def test_gradients_are_the_adjoint() -> None:
    y = torch.from_numpy(noise(3, 4, 6, seed=1))
    x = torch.from_numpy(noise(3, 16, 24)).requires_grad_()
    torch.sum(D(x) * y).backward()
    torch.testing.assert_close(x.grad, D.adjoint(y))


@pytest.mark.parametrize("scale", [0, -2])
def test_impossible_scale(scale: int) -> None:
    with pytest.raises(UsageError, match=f"got scale {scale}"):
        Degradation(scale)


@pytest.mark.parametrize("operation", [D, D.null_space, D.observe])
def test_sizes_must_be_multiples_of_the_scale(operation: Callable[[Float64], Float64]) -> None:
    with pytest.raises(UsageError, match=r"got a 18x16 high-res size; expected multiples .* 4"):
        operation(noise(3, 16, 18))


def test_empty_axis() -> None:
    with pytest.raises(UsageError, match="got sizes 0 and 4"):
        resize_matrix(0, 4)
    with pytest.raises(UsageError, match="at least 1 pixel"):
        resize(noise(3, 4, 4), 0, 4)


@pytest.mark.parametrize("scale", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("kind", ["resize", "adjoint", "inverse"])
@pytest.mark.parametrize("blur", [0, 0.8])
def test_long_axes_are_done_in_blocks_of_the_same_matrix(
    kind: str, scale: int, blur: float
) -> None:
    if blur and scale > 3:
        pytest.skip("the blur of one axis as a whole matrix would take gigabytes")
    low = 2100 // scale + 200
    whole = degradation._MATRICES[kind](low * scale, low, blur)
    got, row = np.zeros_like(whole), 0
    blocks = degradation._blocks(kind, low * scale, low, blur, np, np.float64, "cpu")
    assert len(blocks) > 3
    for first, last, matrix in blocks:
        got[row : row + len(matrix), first:last] = matrix
        row += len(matrix)
    assert row == len(whole)
    np.testing.assert_allclose(got, whole, atol=1e-8 * np.abs(whole).max())


def test_a_very_long_axis_takes_little() -> None:
    """Its matrices would take 34 GB, and their inverse hours."""
    low_res = np.random.default_rng(0).uniform(-1, 1, (1, 2, 2**15)).astype(np.float32)
    large = Degradation(4).pseudo_inverse(low_res)
    assert large.shape == (1, 8, 2**17)
    np.testing.assert_allclose(Degradation(4)(large), low_res, atol=1e-5)


def test_a_blur_multiplies_the_spectrum() -> None:
    """Far from the borders, cosines stay cosines and lose exp(-(2 pi f s)² / 2)."""
    places = np.arange(512) + 0.5
    for frequency in (0.01, 0.02, 0.05):
        wave = np.cos(2 * np.pi * frequency * places)[None, None]
        sharp, soft = (Degradation(4, blur)(np.tile(wave, (1, 64, 1))) for blur in (0, 0.7))
        expected = np.exp(-0.5 * (2 * np.pi * frequency * 0.7 * 4) ** 2)
        inside = np.s_[:, 4:-4, 16:-16]
        np.testing.assert_allclose(soft[inside], expected * sharp[inside], atol=2e-6)


@pytest.mark.parametrize("blur", [0.3, 1.0])
def test_a_blurred_degradation_has_its_adjoint(blur: float) -> None:
    blurred = Degradation(4, blur)
    x, y = noise(3, 16, 24), noise(3, 4, 6, seed=1)
    np.testing.assert_allclose(np.sum(blurred(x) * y), np.sum(x * blurred.adjoint(y)), rtol=1e-12)
    constant = np.full((1, 16, 24), 0.3)
    np.testing.assert_allclose(blurred(constant), 0.3)


def test_the_inverse_of_a_blur_brings_back_what_is_there_and_no_noise() -> None:
    blurred, random = Degradation(4, 1.0), np.random.default_rng(0)
    smooth = resize(random.uniform(-1, 1, (3, 8, 8)), 128, 128)
    low_res = blurred(smooth)
    found = blurred.project(np.zeros_like(smooth), low_res, rounds=20)
    assert np.abs(blurred(found) - low_res).max() < 0.02
    # Without regularisation the noise of rounding would come back 1e4 times as large.
    noisy = 1e-3 * random.standard_normal(low_res.shape)
    assert np.abs(blurred.pseudo_inverse(noisy)).max() < 0.2


@pytest.mark.parametrize("blur", [-0.1, 9, float("nan")])
def test_impossible_blurs_are_named(blur: float) -> None:
    with pytest.raises(UsageError, match=r"got a blur of .*; expected a deviation of 0 to 8"):
        Degradation(4, blur)
