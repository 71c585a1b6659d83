"""The Gaussian process `x_t = alpha_t x_0 + sigma_t eps` and its posterior for any times s < t.

Steps need no grid: a re-spaced chain is the same formulas on other pairs of times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import device
from numpy.typing import ArrayLike

from sr4.degradation.arrays import array_namespace
from sr4.diffusion.schedules import Float64, alpha_sigma

Array = Any


def like(values: ArrayLike, x: Array) -> Array:
    """Float64 coefficients, scalar or (B,), as an array that broadcasts against x (B, ...)."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim == 1:
        numbers = numbers.reshape(-1, *[1] * (x.ndim - 1))
    return array_namespace(x).asarray(numbers, dtype=x.dtype, device=device(x))


def q_sample(x_0: Array, eps: Array, log_snr: ArrayLike) -> Array:
    """Draw from q(x_t | x_0): `alpha_t x_0 + sigma_t eps`.

    Equation (2) of the SR4 paper, with the root it misses: the noise is scaled by
    `sqrt(1 - gamma)`, not by `1 - gamma`.

    Args:
        x_0: (B, ...) clean variables; eps: noise of the same shape.
        log_snr: noise level, scalar or (B,).
    """
    alpha, sigma = alpha_sigma(np.asarray(log_snr, dtype=np.float64))
    return like(alpha, x_0) * x_0 + like(sigma, x_0) * eps


@dataclass(frozen=True)
class Transition:
    """The Gaussian step between the noise levels of two times s < t, in float64.

    Args:
        log_snr_t: level of the noisier time; log_snr_s: of the cleaner one. Scalars or (B,).
    """

    log_snr_t: ArrayLike
    log_snr_s: ArrayLike

    @property
    def _gained(self) -> Float64:
        """1 - SNR_t / SNR_s, in [0, 1); expm1 keeps its digits for close levels."""
        difference = np.asarray(self.log_snr_t, np.float64) - np.asarray(self.log_snr_s, np.float64)
        return np.asarray(-np.expm1(difference))

    @property
    def variance_large(self) -> Float64:
        """var_ts, the variance of q(x_t | x_s): beta_t for neighbouring steps."""
        _, sigma_t = alpha_sigma(np.asarray(self.log_snr_t, np.float64))
        return np.asarray(sigma_t**2 * self._gained)

    @property
    def variance_small(self) -> Float64:
        """Variance of q(x_s | x_t, x_0): beta~_t for neighbouring steps (SR4 paper, eq. 5)."""
        _, sigma_s = alpha_sigma(np.asarray(self.log_snr_s, np.float64))
        return np.asarray(sigma_s**2 * self._gained)

    def mean(self, x_t: Array, x_0: Array) -> Array:
        """Mean of q(x_s | x_t, x_0) (SR4 paper, equation 4, for any pair of times)."""
        alpha_t, sigma_t = alpha_sigma(np.asarray(self.log_snr_t, np.float64))
        alpha_s, sigma_s = alpha_sigma(np.asarray(self.log_snr_s, np.float64))
        keep = alpha_t / alpha_s * sigma_s**2 / sigma_t**2
        return like(keep, x_t) * x_t + like(alpha_s * self._gained, x_0) * x_0
