"""Losses against closed forms."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from sr4.diffusion.losses import decoder_nll, gaussian_kl, hybrid_loss, simple_loss, vlb_term
from sr4.diffusion.process import Transition
from sr4.errors import UsageError

SHAPE = (2, 3, 4, 4)
TRANSITION = Transition(np.array([-1.0, 2.0]), np.array([0.5, 2.1]))


def test_simple_loss_of_each_picture() -> None:
    output, target = np.zeros((2, 1, 1, 2)), np.array([[[[1.0, -3.0]]], [[[0.5, 0.0]]]])
    np.testing.assert_allclose(simple_loss(output, target, p=1), [2, 0.25])
    np.testing.assert_allclose(simple_loss(output, target, p=2), [5, 0.125])
    with pytest.raises(UsageError, match="got p = 3; expected 1 or 2"):
        simple_loss(output, target, p=3)


def test_gaussian_kl_closed_forms() -> None:
    zero = np.zeros(())
    assert gaussian_kl(zero + 0.3, zero - 2, zero + 0.3, zero - 2) == 0
    assert gaussian_kl(zero, zero, zero + 3, zero) == pytest.approx(4.5)
    # KL(N(0, 1) || N(1, 4)) = log 2 + (1 + 1) / 8 - 1/2
    got = gaussian_kl(zero, zero, zero + 1, zero + math.log(4))
    assert got == pytest.approx(math.log(2) - 0.25)


def test_gaussian_kl_is_the_integral() -> None:
    x = np.linspace(-30, 30, 200_001)
    mean_1, log_var_1, mean_2, log_var_2 = 0.4, 0.2, -0.7, 1.1

    def log_density(mean: float, log_var: float) -> np.ndarray:
        return -0.5 * ((x - mean) ** 2 / np.exp(log_var) + log_var + np.log(2 * np.pi))

    first, second = log_density(mean_1, log_var_1), log_density(mean_2, log_var_2)
    integral = np.sum(np.exp(first) * (first - second)) * (x[1] - x[0])
    got = gaussian_kl(*map(np.asarray, (mean_1, log_var_1, mean_2, log_var_2)))
    assert got == pytest.approx(integral, rel=1e-9)


@pytest.mark.parametrize("mean", [-1.3, 0.004, 0.97])
@pytest.mark.parametrize("deviation", [0.003, 0.05, 0.7])
def test_the_decoder_is_a_distribution_over_the_levels(mean: float, deviation: float) -> None:
    levels = np.arange(256) / 127.5 - 1
    nll = decoder_nll(levels, np.full(256, mean), np.full(256, 2 * math.log(deviation)))
    assert np.exp(-nll).sum() == pytest.approx(1, abs=1e-9)
    assert np.argmin(nll) in (0, 255, round((mean + 1) * 127.5))


def test_the_decoder_integrates_a_gaussian() -> None:
    levels, mean, deviation = np.arange(256) / 127.5 - 1, 0.1, 0.3
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    cdf = [0.5 * (1 + math.erf((edge - mean) / (deviation * math.sqrt(2)))) for edge in edges]
    nll = decoder_nll(levels, np.full(256, mean), np.full(256, 2 * math.log(deviation)))
    # Page's approximation of the distribution function is wrong by less than 2e-4.
    np.testing.assert_allclose(np.cumsum(np.exp(-nll)), cdf[1:], atol=2e-4)


def test_a_decoder_that_is_sure_and_wrong_stays_finite() -> None:
    nll = decoder_nll(np.array([1.0, 0.0]), np.array([-1.0, 0.5]), np.full(2, -20.0))
    np.testing.assert_allclose(nll, -math.log(1e-12))


def test_the_bound_is_zero_for_the_true_posterior() -> None:
    x_0, x_t = np.random.default_rng(0).standard_normal((2, *SHAPE))
    true = np.log(TRANSITION.variance_small).reshape(-1, 1, 1, 1) + np.zeros(SHAPE)
    term = vlb_term(x_0, x_t, x_0, true, TRANSITION, is_first=False)
    assert term.shape == (2,)
    np.testing.assert_allclose(term, 0, atol=1e-14)


def test_the_bound_of_a_wrong_mean() -> None:
    """KL = (error of the mean)² / (2 variance) / log 2 bits for equal variances."""
    x_0, x_t = np.random.default_rng(0).standard_normal((2, *SHAPE))
    small = TRANSITION.variance_small.reshape(-1, 1, 1, 1)
    wrong = x_0 + 0.1
    term = vlb_term(x_0, x_t, wrong, np.log(small) + np.zeros(SHAPE), TRANSITION, False)
    error = TRANSITION.mean(0 * x_t, np.full(SHAPE, 0.1))[:, 0, 0, 0]
    expected = error**2 / (2 * TRANSITION.variance_small) / math.log(2)
    np.testing.assert_allclose(term, expected, rtol=1e-10)


def test_the_first_step_is_a_likelihood() -> None:
    x_0 = np.round(np.random.default_rng(0).random(SHAPE) * 255) / 127.5 - 1
    x_t = x_0 + 0.01
    log_variance = np.full(SHAPE, -6.0)
    term = vlb_term(x_0, x_t, x_0, log_variance, TRANSITION, is_first=np.array([True, False]))
    mean = TRANSITION.mean(x_t, x_0)
    nll = decoder_nll(x_0, mean, log_variance).mean(axis=(1, 2, 3)) / math.log(2)
    assert term[0] == pytest.approx(nll[0], rel=1e-12)
    assert term[1] != pytest.approx(nll[1], rel=1e-2)


def test_hybrid_loss() -> None:
    np.testing.assert_allclose(
        hybrid_loss(np.array([1.0, 2.0]), np.array([10.0, 0.0]), 0.001), [1.01, 2]
    )


def test_torch_gives_what_numpy_gives() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x_0, x_t, predicted, log_variance = random.uniform(-1, 1, (4, *SHAPE)).astype(np.float32)
    arrays = [x_0, x_t, predicted, log_variance]
    first = np.array([True, False])
    bound = partial(vlb_term, transition=TRANSITION, is_first=first, log_variance_floor=-3.0)
    got = bound(*map(torch.from_numpy, arrays))
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, bound(*arrays), rtol=1e-5)
    for p in (1, 2):
        got = simple_loss(torch.from_numpy(x_0), torch.from_numpy(x_t), p)
        np.testing.assert_allclose(got, simple_loss(x_0, x_t, p), rtol=1e-6)
