"""Parametrisations of the denoiser, and the learned-range variance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.diffusion.predictions import (
    PREDICTIONS,
    VARIANCES,
    VPrediction,
    implied_eps,
    learned_log_variance,
)
from sr4.diffusion.process import Transition, q_sample

Float64 = NDArray[np.float64]
LEVELS = np.array([-9.0, -1.0, 0.0, 3.0, 9.0])


@pytest.fixture
def pictures() -> tuple[Float64, Float64]:
    x_0, eps = np.random.default_rng(0).standard_normal((2, LEVELS.size, 3, 4, 4))
    return x_0, eps


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_target_gives_back_its_clean_variable(
    name: str, pictures: tuple[Float64, Float64]
) -> None:
    x_0, eps = pictures
    prediction = PREDICTIONS[name]
    x_t = q_sample(x_0, eps, LEVELS)
    back = prediction.x_0(prediction.target(x_0, eps, LEVELS), x_t, LEVELS)
    np.testing.assert_allclose(back, x_0, rtol=1e-9, atol=1e-11)
    one_level = prediction.target(x_0, eps, 3.0)[3]
    assert np.array_equal(one_level, prediction.target(x_0, eps, LEVELS)[3])


def test_targets_are_what_their_names_say(pictures: tuple[Float64, Float64]) -> None:
    x_0, eps = pictures
    assert np.array_equal(PREDICTIONS["eps"].target(x_0, eps, LEVELS), eps)
    assert np.array_equal(PREDICTIONS["x0"].target(x_0, eps, LEVELS), x_0)
    gamma = 1 / (1 + np.exp(-LEVELS)).reshape(-1, 1, 1, 1)
    v = np.sqrt(gamma) * eps - np.sqrt(1 - gamma) * x_0
    np.testing.assert_allclose(PREDICTIONS["v"].target(x_0, eps, LEVELS), v, rtol=1e-12, atol=1e-12)


def test_v_is_the_velocity_along_the_circle(pictures: tuple[Float64, Float64]) -> None:
    """v = d x_t / d phi for alpha = cos phi, sigma = sin phi (Salimans & Ho 2022, appendix D)."""
    x_0, eps = pictures
    phi, step = 0.7, 1e-6

    def x(angle: float) -> Float64:
        return q_sample(x_0, eps, 2 * np.log(np.cos(angle) / np.sin(angle)))

    slope = (x(phi + step) - x(phi - step)) / (2 * step)
    log_snr = 2 * np.log(np.cos(phi) / np.sin(phi))
    np.testing.assert_allclose(VPrediction().target(x_0, eps, log_snr), slope, atol=1e-8)


def test_implied_eps_completes_any_clean_variable(pictures: tuple[Float64, Float64]) -> None:
    x_t, x_0 = pictures
    eps = implied_eps(x_t, x_0, LEVELS)
    np.testing.assert_allclose(q_sample(x_0, eps, LEVELS), x_t, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_torch_gives_what_numpy_gives(name: str, pictures: tuple[Float64, Float64]) -> None:
    torch = pytest.importorskip("torch")
    x_0, eps = (array.astype(np.float32) for array in pictures)
    tensors = torch.from_numpy(x_0), torch.from_numpy(eps)
    prediction = PREDICTIONS[name]
    for method in (prediction.target, prediction.x_0):
        got = method(*tensors, LEVELS)
        assert got.dtype == torch.float32
        assert np.array_equal(got.numpy(), method(x_0, eps, LEVELS))
    got = implied_eps(*tensors, LEVELS)
    assert np.array_equal(got.numpy(), implied_eps(x_0, eps, LEVELS))


def test_the_learned_variance_lies_between_the_fixed_ones() -> None:
    transition = Transition(np.array([-3.0, 2.0]), np.array([-2.0, 4.0]))
    small, large = (np.log(VARIANCES[name](transition)) for name in ("small", "large"))
    assert np.all(small < large)
    ones = np.ones((2, 3, 4, 4))

    def column(output: float) -> Float64:
        log_variance = learned_log_variance(output * ones, transition)
        assert log_variance.shape == ones.shape
        assert np.ptp(log_variance, axis=(1, 2, 3)).max() == 0
        return log_variance[:, 0, 0, 0]

    np.testing.assert_allclose(column(-1), small, rtol=1e-14)
    np.testing.assert_allclose(column(1), large, rtol=1e-14)
    np.testing.assert_allclose(column(0), (small + large) / 2, rtol=1e-14)
    np.testing.assert_allclose(column(3), 2 * large - small, rtol=1e-14)  # beyond, too


def test_the_floor_of_the_learned_variance_replaces_smaller_ones_only() -> None:
    transition = Transition(np.array([-3.0, 2.0]), np.array([-2.0, 4.0]))
    small = np.log(transition.variance_small)
    floor = np.array([small[0] - 1, small[1] + 1])
    floored = learned_log_variance(-np.ones((2, 1)), transition, floor)[:, 0]
    np.testing.assert_allclose(floored, [small[0], small[1] + 1], rtol=1e-14)


def test_no_variance_where_the_schedule_stands_still() -> None:
    log_variance = learned_log_variance(np.full((1, 1), 0.3), Transition(-20.0, -20.0))
    assert np.exp(log_variance) == 0
