"""Training losses, each one number per picture: (B, ...) to (B,)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sr4.degradation.arrays import array_namespace
from sr4.diffusion.process import Transition, like
from sr4.errors import UsageError

Array = Any

_HALF_BIN = 1 / 255  # half the distance between two 8-bit values on the [-1, 1] scale


def _mean_over_picture(x: Array) -> Array:
    return array_namespace(x).mean(x, axis=tuple(range(1, x.ndim)))


def simple_loss(output: Array, target: Array, p: int = 2) -> Array:
    """Mean of `|output - target|^p` over a picture, p = 1 or 2 (SR4 paper, equation 6)."""
    if p not in (1, 2):
        raise UsageError(f"got p = {p}; expected 1 or 2")
    difference = array_namespace(output).abs(output - target)
    return _mean_over_picture(difference if p == 1 else difference * difference)


def gaussian_kl(mean_1: Array, log_var_1: Array, mean_2: Array, log_var_2: Array) -> Array:
    """KL(N(mean_1, exp(log_var_1)) || N(mean_2, exp(log_var_2))), elementwise, in nats."""
    xp = array_namespace(mean_1)
    spread = xp.exp(log_var_1 - log_var_2)
    shift = (mean_1 - mean_2) ** 2 * xp.exp(-log_var_2)
    return 0.5 * (log_var_2 - log_var_1 + spread + shift - 1)


def _normal_cdf(x: Array) -> Array:
    """The tanh approximation of the normal distribution function (Page 1977), error below 2e-4.

    The reference code of improved DDPM uses it too; with the exact function its published VLB
    figures are missed in the fourth digit.
    """
    xp = array_namespace(x)
    return 0.5 * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def decoder_nll(x_0: Array, mean: Array, log_variance: Array) -> Array:
    """-log p(x_0 | x_1) of a Gaussian integrated over the bins of 8-bit pixels, elementwise, nats
    (Ho et al. 2020, equation 13). The outermost bins reach to infinity.
    """
    xp = array_namespace(x_0)
    inverse_deviation = xp.exp(-0.5 * log_variance)
    upper = _normal_cdf((x_0 - mean + _HALF_BIN) * inverse_deviation)
    lower = _normal_cdf((x_0 - mean - _HALF_BIN) * inverse_deviation)
    probability = xp.where(x_0 < -0.999, upper, xp.where(x_0 > 0.999, 1 - lower, upper - lower))
    return -xp.log(xp.clip(probability, 1e-12, None))


def vlb_term(
    x_0: Array,
    x_t: Array,
    predicted_x_0: Array,
    log_variance: Array,
    transition: Transition,
    is_first: ArrayLike,
    log_variance_floor: ArrayLike = -np.inf,
) -> Array:
    """One term of the variational bound in bits per dimension, (B,)
    (Nichol & Dhariwal 2021, equations 4 to 6).

    Args:
        predicted_x_0: the model's clean variable. Detach it where the bound should train the
            variance only, as the hybrid loss does.
        log_variance: the model's log variance, elementwise.
        is_first: scalar or (B,) booleans: the step ends at t = 0, where the term is the likelihood
            of the 8-bit picture instead of a divergence.
        log_variance_floor: see `learned_log_variance`.
    """
    xp = array_namespace(x_0)
    with np.errstate(divide="ignore"):
        true = np.maximum(np.log(transition.variance_small), log_variance_floor)
    true_log_variance = xp.zeros_like(x_0) + like(true, x_0)
    mean = transition.mean(x_t, predicted_x_0)
    divergence = gaussian_kl(transition.mean(x_t, x_0), true_log_variance, mean, log_variance)
    likelihood = decoder_nll(x_0, mean, log_variance)
    first = like(np.asarray(is_first, dtype=np.float64), x_0) > 0
    return _mean_over_picture(xp.where(first, likelihood, divergence)) / math.log(2)


def hybrid_loss(simple: Array, vlb: Array, weight: float) -> Array:
    """`L_simple + weight L_vlb` (SR4 paper, equation 8)."""
    return simple + weight * vlb
