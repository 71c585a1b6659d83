"""The Gaussian process and its posterior against conditioning by hand and 50 digits."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.diffusion.process import Transition, like, q_sample
from sr4.diffusion.schedules import CosineSchedule, alpha_sigma, linear_schedule

Float64 = NDArray[np.float64]
ZERO, ONE = np.zeros(1), np.ones(1)

# (log_snr_t, log_snr_s) with t noisier: far apart, close, near both limits.
PAIRS = [(-20.0, 20.0), (-6.0, 3.0), (-1.0, -0.999), (2.0, 2.5), (13.0, 13.8), (-19.9, -12.0)]


def coefficients(transition: Transition) -> tuple[float, float]:
    """What the posterior mean takes of x_t and of x_0."""
    return float(transition.mean(ONE, ZERO)[0]), float(transition.mean(ZERO, ONE)[0])


def test_q_sample_is_its_formula() -> None:
    random = np.random.default_rng(0)
    x_0, eps = random.standard_normal((2, 3, 3, 4, 4))
    gamma = np.array([0.99, 0.5, 0.01])
    x_t = q_sample(x_0, eps, np.log(gamma / (1 - gamma)))
    for picture, clean, noise, level in zip(x_t, x_0, eps, gamma, strict=True):
        expected = np.sqrt(level) * clean + np.sqrt(1 - level) * noise
        np.testing.assert_allclose(picture, expected, rtol=1e-12, atol=1e-12)


def test_q_sample_takes_one_level_for_all() -> None:
    x_0, eps = np.random.default_rng(0).standard_normal((2, 3, 3, 4, 4))
    assert np.array_equal(q_sample(x_0, eps, 1.5), q_sample(x_0, eps, np.full(3, 1.5)))


@pytest.mark.parametrize(("log_snr_t", "log_snr_s"), PAIRS)
def test_the_posterior_is_bayes_rule(log_snr_t: float, log_snr_s: float) -> None:
    """Given x_0 = 0 and 1, (x_s, x_t) is jointly Gaussian; condition it on x_t."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (
        map(float, alpha_sigma(np.asarray(level))) for level in (log_snr_t, log_snr_s)
    )
    covariance = alpha_t / alpha_s * sigma_s**2  # x_t = alpha_ts x_s + noise of its own
    gain = covariance / sigma_t**2
    transition = Transition(log_snr_t, log_snr_s)
    of_x_t, of_x_0 = coefficients(transition)
    assert of_x_t == pytest.approx(gain, rel=1e-12, abs=0)
    assert of_x_0 == pytest.approx(alpha_s - gain * alpha_t, rel=1e-10, abs=0)
    assert transition.variance_small == pytest.approx(
        sigma_s**2 - gain * covariance, rel=1e-10, abs=0
    )


@pytest.mark.parametrize(("log_snr_t", "log_snr_s"), PAIRS)
def test_forward_steps_compose(log_snr_t: float, log_snr_s: float) -> None:
    """q(x_t | x_s) after q(x_s | x_0) is q(x_t | x_0)."""
    alpha_t, sigma_t = alpha_sigma(np.asarray(log_snr_t))
    alpha_s, sigma_s = alpha_sigma(np.asarray(log_snr_s))
    variance = Transition(log_snr_t, log_snr_s).variance_large
    assert (alpha_t / alpha_s * sigma_s) ** 2 + variance == pytest.approx(
        sigma_t**2, rel=1e-14, abs=0
    )


@pytest.mark.parametrize("levels", [(-8.0, 0.5, 6.0), (-1.0, -0.99, -0.98), (-20.0, -19.0, 20.0)])
def test_backward_steps_compose(levels: tuple[float, float, float]) -> None:
    """Going from t to s and from s to r is going from t to r: skipping steps needs no class."""
    level_t, level_s, level_r = levels
    first, second = Transition(level_t, level_s), Transition(level_s, level_r)
    whole = Transition(level_t, level_r)
    (first_x_t, first_x_0), (keep, second_x_0) = coefficients(first), coefficients(second)
    expected_x_t, expected_x_0 = coefficients(whole)
    assert keep * first_x_t == pytest.approx(expected_x_t, rel=1e-12, abs=0)
    assert keep * first_x_0 + second_x_0 == pytest.approx(expected_x_0, rel=1e-12, abs=0)
    variance = keep**2 * first.variance_small + second.variance_small
    assert variance == pytest.approx(whole.variance_small, rel=1e-12, abs=0)


def test_neighbouring_steps_have_the_betas_of_the_table() -> None:
    """Equations (4) and (5) of the paper, from betas and gammas alone."""
    table = linear_schedule(2000)
    gammas = table.gammas
    index = np.array([2, 3, 100, 1000, 1999, 2000])
    beta, gamma, before = table.betas[index - 1], gammas[index], gammas[index - 1]
    transition = Transition(table.log_snr(index / 2000), table.log_snr((index - 1) / 2000))
    close: Any = {"rtol": 1e-8}  # gamma of 1 - 1e-6 has lost digits, not the posterior
    np.testing.assert_allclose(transition.variance_large, beta, **close)
    small = (1 - before) / (1 - gamma) * beta
    np.testing.assert_allclose(transition.variance_small, small, **close)
    rows = np.ones((index.size, 1))
    of_x_t = np.sqrt(1 - beta) * (1 - before) / (1 - gamma)
    of_x_0 = np.sqrt(before) * beta / (1 - gamma)
    np.testing.assert_allclose(transition.mean(rows, 0 * rows)[:, 0], of_x_t, **close)
    np.testing.assert_allclose(transition.mean(0 * rows, rows)[:, 0], of_x_0, **close)


def test_the_small_variance_is_the_smaller_one() -> None:
    levels = CosineSchedule().log_snr(np.linspace(0, 1, 200))
    transition = Transition(levels[1:], levels[:-1])
    assert np.all(transition.variance_small > 0)
    assert np.all(transition.variance_small <= transition.variance_large)


@pytest.mark.parametrize("gap", [1e-12, 1e-9, 1e-6, 1e-3, 1.0, 30.0])
@pytest.mark.parametrize("log_snr_s", [-9.0, 0.25, 19.5])
def test_close_levels_keep_their_digits(log_snr_s: float, gap: float) -> None:
    """Differences of alpha² would leave 4 of 16 digits at a gap of 1e-12."""
    log_snr_t = log_snr_s - gap
    with localcontext() as context:
        context.prec = 60
        snr_t, snr_s = Decimal(log_snr_t).exp(), Decimal(log_snr_s).exp()
        alpha_t, sigma_t = snr_t / (1 + snr_t), 1 / (1 + snr_t)  # squared, both
        alpha_s, sigma_s = snr_s / (1 + snr_s), 1 / (1 + snr_s)
        large = sigma_t - alpha_t / alpha_s * sigma_s
        small = large * sigma_s / sigma_t
        of_x_0 = alpha_s.sqrt() * large / sigma_t
    transition = Transition(log_snr_t, log_snr_s)
    assert transition.variance_large == pytest.approx(float(large), rel=1e-14, abs=0)
    assert transition.variance_small == pytest.approx(float(small), rel=1e-14, abs=0)
    assert coefficients(transition)[1] == pytest.approx(float(of_x_0), rel=1e-14, abs=0)


def test_torch_gives_what_numpy_gives() -> None:
    torch = pytest.importorskip("torch")
    x_t, x_0 = np.random.default_rng(0).standard_normal((2, 3, 3, 4, 4), np.float32)
    transition = Transition(np.array([-3.0, 0.0, 4.0]), np.array([-2.0, 5.0, 4.5]))
    mean = transition.mean(torch.from_numpy(x_t), torch.from_numpy(x_0))
    assert mean.dtype == torch.float32
    assert np.array_equal(mean.numpy(), transition.mean(x_t, x_0))
    level = transition.log_snr_t
    noisy = q_sample(torch.from_numpy(x_0), torch.from_numpy(x_t), level)
    assert np.array_equal(noisy.numpy(), q_sample(x_0, x_t, level))


def test_like_takes_dtype_and_axes_of_the_pictures() -> None:
    pictures = np.zeros((2, 3, 4, 4), np.float32)
    assert like(0.5, pictures).shape == ()
    assert like([0.5, 1.0], pictures).shape == (2, 1, 1, 1)
    assert like([0.5, 1.0], pictures).dtype == np.float32
