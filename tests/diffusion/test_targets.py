"""What is diffused: decoding undoes encoding, and the null space keeps `low_res`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.degradation import Degradation
from sr4.diffusion.targets import Frame, Target

Float64 = NDArray[np.float64]
D = Degradation(4)
KINDS = ["picture", "residual", "null-space"]


@pytest.fixture
def high_res() -> Float64:
    """Smooth pictures with some noise, inside [-1, 1]."""
    random = np.random.default_rng(0)
    smooth = D.upsample(random.uniform(-0.8, 0.8, (2, 3, 6, 4)))
    return np.clip(smooth + random.normal(0, 0.05, smooth.shape), -1, 1)


@pytest.fixture
def low_res(high_res: Float64) -> Float64:
    return np.asarray(D(high_res))


def frame(kind: str, low_res: Float64, scale: float = 0.3) -> Frame:
    return Target(kind, D, scale).frame(low_res)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 0.14])
def test_decoding_undoes_encoding(
    kind: str, scale: float, high_res: Float64, low_res: Float64
) -> None:
    framed = frame(kind, low_res, scale)
    x_0 = framed.encode(high_res)
    np.testing.assert_allclose(framed.decode(x_0), high_res, atol=1e-12)


def test_the_bases(high_res: Float64, low_res: Float64) -> None:
    assert np.array_equal(frame("picture", low_res, 1.0).encode(high_res), high_res)
    residual = frame("residual", low_res, 0.5).encode(high_res)  # equation (9) of the paper
    np.testing.assert_allclose(residual, (high_res - D.upsample(low_res)) / 0.5, atol=1e-14)
    base = frame("null-space", low_res).base
    np.testing.assert_allclose(D(base), low_res, atol=1e-12)
    # The bicubic picture moved by no more than it takes: the nearest one that fits.
    moved = base - D.upsample(low_res)
    np.testing.assert_allclose(D.null_space(moved), 0, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1 / 255])
def test_the_null_space_residual_is_what_low_res_does_not_tell(
    noise: float, high_res: Float64, low_res: Float64
) -> None:
    """Also for a `low_res` that is not exactly D(high_res), as an 8-bit file holds it."""
    given = low_res + noise * np.random.default_rng(1).standard_normal(low_res.shape)
    x_0 = frame("null-space", given, 0.3).encode(high_res)
    np.testing.assert_allclose(D(x_0), 0, atol=1e-12)
    expected = D.null_space(high_res - D.upsample(given)) / 0.3
    np.testing.assert_allclose(x_0, expected, atol=1e-12)


def test_any_null_space_detail_is_consistent(low_res: Float64) -> None:
    framed = frame("null-space", low_res)
    detail = D.null_space(np.random.default_rng(1).standard_normal((2, 3, 24, 16)))
    assert detail.std() > 0.5
    np.testing.assert_allclose(D(framed.decode(detail)), low_res, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_constraining_clips_and_projects(kind: str, low_res: Float64) -> None:
    framed = frame(kind, low_res)
    guess = 3 * np.random.default_rng(1).standard_normal((2, 3, 24, 16))
    clipped = framed.decode(framed.constrain(guess, consistency=False))
    expected = np.clip(framed.decode(guess), -1, 1)
    np.testing.assert_allclose(clipped, expected, atol=1e-12)
    assert np.abs(expected).max() == 1
    x_0 = framed.constrain(guess, consistency=True)
    projected = framed.decode(x_0)
    np.testing.assert_allclose(D(projected), low_res, atol=1e-12)
    np.testing.assert_allclose(projected, D.project(expected, low_res), atol=1e-12)
    if kind == "null-space":
        np.testing.assert_allclose(D(x_0), 0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_training_projects_without_clipping(kind: str, low_res: Float64) -> None:
    framed = frame(kind, low_res)
    guess = 3 * np.random.default_rng(1).standard_normal((2, 3, 24, 16))
    x_0 = framed.constrain_unclipped(guess, consistency=True)
    projected = D.project(framed.decode(guess), low_res)
    np.testing.assert_allclose(framed.decode(x_0), projected, atol=1e-12)
    assert np.abs(projected).max() > 2
    free = framed.constrain_unclipped(guess, consistency=False)
    expected = projected if kind == "null-space" else framed.decode(guess)
    np.testing.assert_allclose(framed.decode(free), expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_possible_pictures_are_left_alone(kind: str, high_res: Float64, low_res: Float64) -> None:
    framed = frame(kind, low_res)
    x_0 = framed.encode(high_res)
    for consistency in (True, False):
        np.testing.assert_allclose(framed.constrain(x_0, consistency=consistency), x_0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_torch_gives_what_numpy_gives(kind: str, high_res: Float64, low_res: Float64) -> None:
    torch = pytest.importorskip("torch")
    framed = frame(kind, low_res)
    in_torch = Target(kind, D, 0.3).frame(torch.from_numpy(low_res))
    x_0 = in_torch.encode(torch.from_numpy(high_res))
    assert x_0.dtype == torch.float64
    np.testing.assert_allclose(x_0.numpy(), framed.encode(high_res), atol=1e-12)
    guess = 3 * np.random.default_rng(1).standard_normal((2, 3, 24, 16))
    got = in_torch.constrain(torch.from_numpy(guess), consistency=True)
    np.testing.assert_allclose(got.numpy(), framed.constrain(guess, consistency=True), atol=1e-12)
    assert Target(kind, D).frame(torch.from_numpy(low_res).float()).base.dtype == torch.float32
