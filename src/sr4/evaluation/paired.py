"""Systems compared picture by picture: whether differences may be chance.

Two systems that are scored on the same pictures differ by a number for each. Of equal systems each
of these might as well have the other sign, so that the mean of the differences is one of all those
that come of flipping signs at random (Fisher 1935, "The design of experiments", section 21): exact
for any number of pictures, whatever the distribution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sr4.evaluation.metrics import Float64

FLIPS = 49_999
SIGNIFICANT = 0.05
"""Corrected p below which a difference is called one."""

_AT_ONCE = 500  # flips
_ROUNDING = 1e-9  # of the largest sum, within which two are equal


def p_values(differences: ArrayLike, seed: int = 0) -> Float64:
    """(M,) in (0, 1], two-sided: how often flipped signs give a mean at least as far from 0.

    Args:
        differences: (N, M), of N pictures in M comparisons; at least one picture.
        seed: of the flips, which are the same for all comparisons.
    """
    values = np.asarray(differences, dtype=np.float64)
    observed = np.abs(values.sum(axis=0))
    least = observed - _ROUNDING * np.abs(values).sum(axis=0)
    rng, reached = np.random.default_rng(seed), np.zeros(len(observed))
    for start in range(0, FLIPS, _AT_ONCE):
        count = min(_AT_ONCE, FLIPS - start)
        signs = 2.0 * rng.integers(0, 2, size=(count, len(values)), dtype=np.int8) - 1
        reached += (np.abs(signs @ values) >= least).sum(axis=0)
    return np.asarray((1 + reached) / (1 + FLIPS))


def holm(ps: ArrayLike) -> Float64:
    """p-values corrected for their number (Holm 1979): where all systems are equal, at least one is
    below a threshold with no more than that probability.

    Args:
        ps: (M,) in [0, 1].
    """
    values = np.asarray(ps, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    raised = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(raised))
    return corrected
