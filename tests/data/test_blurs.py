"""Blurs, against the moments and the spectrum that define them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sr4.data.blurs import anisotropic_kernel, blurred, convolved, sinc_kernel

RANDOM = np.random.default_rng(0).uniform(-1, 1, (2, 23, 31))


def test_a_blur_spreads_a_point_by_its_deviation() -> None:
    point = np.zeros((1, 61, 61))
    point[0, 30, 30] = 1
    found = blurred(point, 2.0)[0]
    places = np.arange(61) - 30
    assert found.sum() == pytest.approx(1)
    assert (found.sum(axis=1) @ places**2) == pytest.approx(4, rel=1e-6)
    assert blurred(point, 0.05) is point


@pytest.mark.parametrize("angle", [0.0, math.pi / 6, math.pi / 2])
def test_an_anisotropic_kernel_has_the_covariance_of_its_axes(angle: float) -> None:
    kernel = anisotropic_kernel(3.0, 1.5, angle)
    radius = len(kernel) // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    found = np.array([[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, turn @ np.diag([9, 2.25]) @ turn.T, atol=0.3)  # cut at 3 s


def test_a_sinc_passes_what_is_below_its_cutoff() -> None:
    kernel = sinc_kernel(1.5)
    assert kernel.shape == (21, 21)
    assert kernel.sum() == pytest.approx(1)
    across = kernel.sum(axis=0)  # what waves across meet
    places = np.arange(21) - 10
    passed, stopped = (float(across @ np.cos(w * places)) for w in (0.5, 2.6))
    assert passed == pytest.approx(1, abs=0.1)
    assert stopped == pytest.approx(0, abs=0.1)


def test_a_convolution_is_the_sum_over_the_kernel() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    kernel = np.random.default_rng(1).uniform(size=(5, 5))
    expected = ndimage.convolve(RANDOM, kernel[None], mode="reflect")
    np.testing.assert_allclose(convolved(RANDOM, kernel), expected, atol=1e-12)
