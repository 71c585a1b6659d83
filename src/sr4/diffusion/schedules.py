"""Noise schedules: `log_snr` as a function of continuous time t in [0, 1], 0 = clean.

A schedule is no part of the weights: networks see the noise level, not a step number, so any
schedule and any number of steps can be chosen when sampling. All tables are NumPy float64.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sr4.degradation.arrays import array_namespace
from sr4.errors import UsageError

Array = Any
Float64 = NDArray[np.float64]

LOG_SNR_LIMIT = 20.0  # |log_snr| is kept below this, so that alpha and sigma never vanish
TERMINAL_ALPHA_LIMIT = 0.1  # linear, T = 2000 leaves 0.0065; linear, T = 500 leaves 0.285


class TerminalSNRWarning(UserWarning):
    """Pure noise, where sampling starts, is not what the network saw at t = 1."""


class Schedule(Protocol):
    """Anything that gives the noise level at a time."""

    def log_snr(self, t: ArrayLike) -> Float64:
        """log(alpha_t² / sigma_t²) at times t in [0, 1]; same shape as t; never rising in t."""
        ...

    def times(self, steps: int) -> Float64:
        """The steps + 1 falling times from 1 to 0 that a sampler of so many steps visits."""
        ...


def alpha_sigma(log_snr: Array) -> tuple[Array, Array]:
    """alpha and sigma of a noise level: `alpha² = sigmoid(log_snr)`, `alpha² + sigma² = 1`."""
    xp = array_namespace(log_snr)
    # exp of a number that is never positive cannot overflow, and keeps the small one exact.
    small = xp.exp(-0.5 * xp.abs(log_snr))
    root = xp.sqrt(1 + small * small)
    large, small = 1 / root, small / root
    positive = log_snr >= 0
    return xp.where(positive, large, small), xp.where(positive, small, large)


def _check_times(t: ArrayLike) -> Float64:
    t = np.asarray(t, dtype=np.float64)
    wrong = t[~((t >= 0) & (t <= 1))]  # a comparison with NaN is false
    if wrong.size:
        raise UsageError(f"got time {wrong[0]}; expected times between 0 (clean) and 1 (noise)")
    return t


def _check_steps(steps: int) -> int:
    if steps < 1:
        raise UsageError(f"got {steps} steps; expected at least 1")
    return steps


def _uniform_times(steps: int) -> Float64:
    return np.linspace(1.0, 0.0, _check_steps(steps) + 1)


def _limited_log_snr(gamma: Float64) -> Float64:
    """log(gamma / (1 - gamma)) inside the limits, also for gamma of exactly 0 or 1."""
    tiny = 1.0 / (1.0 + np.exp(LOG_SNR_LIMIT))
    gamma = np.clip(gamma, tiny, 1 - tiny)
    return np.asarray(np.clip(np.log(gamma) - np.log1p(-gamma), -LOG_SNR_LIMIT, LOG_SNR_LIMIT))


@dataclass(frozen=True)
class CosineSchedule:
    """The cosine schedule in continuous time: `gamma(t) = cos²((t + s) / (1 + s) · π/2)`, over its
    value at 0 (Nichol & Dhariwal 2021, equation 17; SR4 paper, section 5.2).
    """

    offset: float = 0.008

    def log_snr(self, t: ArrayLike) -> Float64:
        t = _check_times(t)

        def level(time: Float64) -> Float64:
            return np.asarray(np.cos((time + self.offset) / (1 + self.offset) * np.pi / 2) ** 2)

        return _limited_log_snr(level(t) / level(np.zeros(())))

    def times(self, steps: int) -> Float64:
        return _uniform_times(steps)


@dataclass(frozen=True, eq=False)
class TableSchedule:
    """A schedule given by a table of betas; step i of T lies at `t = i / T`.

    Between the steps `sqrt(gamma)` is interpolated linearly: a time drawn uniformly then has the
    distribution of SR3's two-stage draw (SR3 paper, section 2.4: a step, then a uniform
    `sqrt(gamma)` between its neighbours).

    Args:
        betas: (T,), each in (0, 1): the variance added by each step.
    """

    betas: Float64

    def __post_init__(self) -> None:
        betas = np.array(self.betas, dtype=np.float64)
        if betas.ndim != 1 or betas.size == 0:
            raise UsageError(f"got betas of shape {betas.shape}; expected one axis, not empty")
        wrong = betas[~((betas > 0) & (betas < 1))]
        if wrong.size:
            raise UsageError(
                f"got beta {wrong[0]}; expected numbers between 0 and 1, both excluded"
            )
        betas.flags.writeable = False
        object.__setattr__(self, "betas", betas)
        terminal = float(np.sqrt(self.gammas[-1]))
        if terminal > TERMINAL_ALPHA_LIMIT:
            warnings.warn(
                f"the schedule leaves sqrt(gamma_T) = {terminal:.3f} of the picture at t = 1, "
                f"where sampling starts from pure noise; expected below {TERMINAL_ALPHA_LIMIT}: "
                "use more steps or a larger last beta",
                TerminalSNRWarning,
                stacklevel=3,
            )

    @property
    def gammas(self) -> Float64:
        """(T + 1,): alpha_t² at steps 0 (clean, 1.0) to T."""
        return np.concatenate([[1.0], np.cumprod(1 - self.betas)])

    def log_snr(self, t: ArrayLike) -> Float64:
        t = _check_times(t)
        roots = np.sqrt(self.gammas)
        grid = np.linspace(0.0, 1.0, roots.size)
        return _limited_log_snr(np.interp(t, grid, roots) ** 2)

    def times(self, steps: int) -> Float64:
        """Times on the table's own grid, as evenly spaced as it allows."""
        total = self.betas.size
        if steps > total:
            raise UsageError(
                f"got {steps} steps; the schedule has {total}: choose at most {total} steps"
            )
        return np.round(_uniform_times(steps) * total) / total


def linear_schedule(
    steps: int = 2000, beta_start: float = 1e-6, beta_end: float = 1e-2
) -> TableSchedule:
    """Betas that rise linearly; the defaults are those of SR3's 16→128 faces."""
    return TableSchedule(np.linspace(beta_start, beta_end, _check_steps(steps)))


def cosine_table(
    steps: int = 500, offset: float = 0.008, beta_limit: float = 0.999
) -> TableSchedule:
    """The cosine schedule as a table: `beta_i = 1 - gamma_i / gamma_(i-1)`, clipped
    (Nichol & Dhariwal 2021, section 3.2).
    """
    grid = np.arange(_check_steps(steps) + 1, dtype=np.float64) / steps
    level = np.cos((grid + offset) / (1 + offset) * np.pi / 2) ** 2
    return TableSchedule(np.minimum(1 - level[1:] / level[:-1], beta_limit))


def single_step() -> TableSchedule:
    """No process: one step from as little of the picture as the limit allows to all of it."""
    return TableSchedule(np.array([1 / (1 + math.exp(-LOG_SNR_LIMIT))]))
