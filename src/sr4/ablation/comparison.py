"""How far two systems differ, with all that pictures and seeds leave open, and what follows.

A system is trained with one seed or several, and each of its runs scored on the same test pictures
with the same noise. A difference of two systems is known the better the more pictures and the more
seeds there are: both are part of its interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sr4.evaluation.metrics import Float64, Interval
from sr4.evaluation.paired import SIGNIFICANT, holm

Verdict = Literal["confirmed", "contradicted", "open"]

POWER = 0.8
_LEVEL = 1 - SIGNIFICANT / 2  # of an interval's upper end


@dataclass(frozen=True)
class SeedSpread:
    """How much the mean score of a system varies from seed to seed.

    Args:
        variance: pooled over the systems that have several, each around its own mean.
        freedom: the degrees of freedom that it was estimated with.
    """

    variance: float
    freedom: int


def seed_spread(systems: Sequence[Sequence[float]]) -> SeedSpread | None:
    """The spread over seeds of mean scores, a list for each system; None where no system has two.

    Pooling takes it for the same in all systems: of two or three seeds each, no system's own
    spread can be told.
    """
    several = [np.asarray(means, np.float64) for means in systems if len(means) > 1]
    freedom = sum(len(means) - 1 for means in several)
    if not freedom:
        return None
    squares = sum(float(((means - means.mean()) ** 2).sum()) for means in several)
    return SeedSpread(squares / freedom, freedom)


@dataclass(frozen=True)
class Difference:
    """A mean difference of two systems, first minus second.

    Attributes:
        value: itself.
        low, high: its 95 % interval.
        p: how likely a difference as large is between equal systems (two-sided).
        detectable: the smallest difference that would be found in 80 % of repetitions.
        has_seeds: whether the spread over seeds is part of all this; without it, it holds for the
            very runs that were scored.
    """

    value: float
    low: float
    high: float
    p: float
    detectable: float
    has_seeds: bool

    @property
    def interval(self) -> Interval:
        """Value and interval alone."""
        return Interval(value=self.value, low=self.low, high=self.high)


def compare(
    ours: Sequence[Float64], theirs: Sequence[Float64], seeds: SeedSpread | None
) -> Difference:
    """The difference of two systems, each by the scores of its runs, (P,) by picture.

    Its variance is that of the pictures, whose differences are paired, plus that of the seeds:

        s² = var_P(mean over ours - mean over theirs) / P + var_seeds (1 / S_ours + 1 / S_theirs)

    with the degrees of freedom of Welch and Satterthwaite. Part of what varies from seed to seed
    varies from picture to picture as well and counts twice, which makes intervals wider.
    """
    pairs = np.mean(ours, axis=0) - np.mean(theirs, axis=0)
    parts = [(float(np.var(pairs, ddof=1)) / len(pairs), len(pairs) - 1)]
    if seeds is not None:
        share = 1 / len(ours) + 1 / len(theirs)
        parts.append((seeds.variance * share, seeds.freedom))
    return _tested(float(pairs.mean()), parts, has_seeds=seeds is not None)


def over_seeds(differences: Sequence[float]) -> Difference:
    """The mean of a figure over at least two seeds, with the interval of its own spread."""
    values = np.asarray(differences, np.float64)
    count = len(values)
    return _tested(
        float(values.mean()), [(float(values.var(ddof=1)) / count, count - 1)], has_seeds=True
    )


def _tested(value: float, parts: Sequence[tuple[float, int]], *, has_seeds: bool) -> Difference:
    """A difference whose variance is the sum of parts, each with its degrees of freedom."""
    from scipy.stats import t

    variance = sum(part for part, _ in parts)
    if variance <= 0:  # all runs and pictures alike
        return Difference(value, value, value, float(value == 0), 0.0, has_seeds)
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    error = math.sqrt(variance)
    reach = float(t.ppf(_LEVEL, freedom))
    return Difference(
        value,
        value - reach * error,
        value + reach * error,
        p=float(2 * t.sf(abs(value) / error, freedom)),
        detectable=(reach + float(t.ppf(POWER, freedom))) * error,
        has_seeds=has_seeds,
    )


def mean_over_seeds(scores: Sequence[Interval]) -> Interval:
    """The mean score of a system's runs. Its interval holds the pictures, which are the same for
    all runs, and the spread over the runs.
    """
    from scipy.stats import norm, t

    values = np.array([score.value for score in scores])
    if len(values) == 1:
        return scores[0]
    widths = [(score.high - score.low) / (2 * norm.ppf(_LEVEL)) for score in scores]
    pictures, seeds = float(np.mean(np.square(widths))), float(values.var(ddof=1) / len(values))
    if seeds > 0:
        freedom = (pictures + seeds) ** 2 / (seeds**2 / (len(values) - 1))
        reach = float(t.ppf(_LEVEL, freedom)) * math.sqrt(pictures + seeds)
    else:
        reach = float(norm.ppf(_LEVEL)) * math.sqrt(pictures)
    mean = float(values.mean())
    return Interval(value=mean, low=mean - reach, high=mean + reach)


def verdict(differences: Sequence[tuple[Difference, int]]) -> Verdict:
    """The verdict on the claim that a system is better than another.

    It is confirmed if at least one metric says so and none the opposite, contradicted the other way
    round, and open if they contradict each other or none says anything.

    Args:
        differences: by metric, with 1 where more is better and -1 where less is.
    """
    corrected = holm([one.p for one, _ in differences])
    signs = {
        math.copysign(1, sign * one.value)
        for (one, sign), p in zip(differences, corrected, strict=True)
        if p <= SIGNIFICANT
    }
    if signs == {1}:
        return "confirmed"
    return "contradicted" if signs == {-1} else "open"
