"""Gaussian blurs before a downscaling, against their spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.degradation import Degradation, gaussian_matrix, resize
from sr4.errors import UsageError


def noise(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape)


@pytest.mark.parametrize("deviation", [1.0, 2.5])
def test_a_row_is_a_gaussian_of_that_deviation(deviation: float) -> None:
    row, places = gaussian_matrix(101, deviation)[50], np.arange(101) - 50
    assert row.sum() == pytest.approx(1, rel=1e-12)
    assert (row * places**2).sum() == pytest.approx(deviation**2, rel=1e-6)
    assert row[51] / row[50] == pytest.approx(np.exp(-0.5 / deviation**2), rel=1e-12)


@pytest.mark.parametrize("deviation", [5e-324, 1e-200, 0.02])
def test_a_blur_of_nearly_nothing_leaves_all_as_it_is(deviation: float) -> None:
    np.testing.assert_array_equal(gaussian_matrix(9, deviation), np.eye(9))


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
