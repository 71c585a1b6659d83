"""What a network's output means: the predicted quantity and the variance of the reverse step.

A prediction turns (x_0, eps) into the quantity the network is trained on and back. `alpha` and
`sigma` are scalars or arrays that broadcast against the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from sr4.diffusion.process import Transition, like
from sr4.diffusion.schedules import alpha_sigma

Array = Any


class Prediction(Protocol):
    """A parametrisation of the denoiser."""

    def target(self, x_0: Array, eps: Array, log_snr: ArrayLike) -> Array:
        """The quantity the network should output."""
        ...

    def x_0(self, output: Array, x_t: Array, log_snr: ArrayLike) -> Array:
        """The clean variable that an output implies."""
        ...


def _levels(log_snr: ArrayLike, x: Array) -> tuple[Array, Array]:
    alpha, sigma = alpha_sigma(np.asarray(log_snr, dtype=np.float64))
    return like(alpha, x), like(sigma, x)


@dataclass(frozen=True)
class EpsPrediction:
    """The noise eps (Ho et al. 2020; SR4 paper, equation 6)."""

    def target(self, x_0: Array, eps: Array, log_snr: ArrayLike) -> Array:
        return eps

    def x_0(self, output: Array, x_t: Array, log_snr: ArrayLike) -> Array:
        alpha, sigma = _levels(log_snr, x_t)
        return (x_t - sigma * output) / alpha


@dataclass(frozen=True)
class X0Prediction:
    """The clean variable x_0 itself."""

    def target(self, x_0: Array, eps: Array, log_snr: ArrayLike) -> Array:
        return x_0

    def x_0(self, output: Array, x_t: Array, log_snr: ArrayLike) -> Array:
        return output


@dataclass(frozen=True)
class VPrediction:
    """The velocity `v = alpha eps - sigma x_0` (Salimans & Ho 2022, appendix D)."""

    def target(self, x_0: Array, eps: Array, log_snr: ArrayLike) -> Array:
        alpha, sigma = _levels(log_snr, x_0)
        return alpha * eps - sigma * x_0

    def x_0(self, output: Array, x_t: Array, log_snr: ArrayLike) -> Array:
        alpha, sigma = _levels(log_snr, x_t)
        return alpha * x_t - sigma * output


PREDICTIONS: Mapping[str, Prediction] = {
    "eps": EpsPrediction(),
    "x0": X0Prediction(),
    "v": VPrediction(),
}


def implied_eps(x_t: Array, x_0: Array, log_snr: ArrayLike) -> Array:
    """The noise that belongs to a clean variable: `(x_t - alpha x_0) / sigma`."""
    alpha, sigma = _levels(log_snr, x_t)
    return (x_t - alpha * x_0) / sigma


def learned_log_variance(
    output: Array, transition: Transition, log_variance_floor: ArrayLike = -np.inf
) -> Array:
    """Learned-range variance: the log variance between beta~ (output -1) and beta (output 1)
    (Nichol & Dhariwal 2021, equation 15).

    Args:
        output: (B, C, H, W) variance channels of the network.
        log_variance_floor: scalar or (B,); replaces log beta~ where that is smaller. beta~ is 0
            for the step that ends at t = 0; the reference uses beta~ of the step before it.
    """
    with np.errstate(divide="ignore"):
        smallest = np.maximum(np.log(transition.variance_small), log_variance_floor)
        largest = np.log(transition.variance_large)
    share = (output + 1) / 2
    return share * like(largest, output) + (1 - share) * like(smallest, output)


VARIANCES: Mapping[str, Callable[[Transition], Array]] = {
    "small": lambda transition: transition.variance_small,
    "large": lambda transition: transition.variance_large,
}
