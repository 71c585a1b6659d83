"""Differences of systems and verdicts, against known truth and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.ablation.comparison import (
    POWER,
    Difference,
    compare,
    mean_over_seeds,
    over_seeds,
    seed_spread,
    verdict,
)
from sr4.evaluation.metrics import Interval
from sr4.evaluation.paired import SIGNIFICANT

Float64 = NDArray[np.float64]
PICTURES, SEEDS, TRIALS = 50, 3, 1500


def test_the_spread_over_seeds_is_pooled_around_each_systems_mean() -> None:
    found = seed_spread([[1.0, 3.0], [10.0, 11.0, 12.0], [7.0]])
    assert found is not None
    assert (found.variance, found.freedom) == pytest.approx(((2 + 2) / 3, 3))
    assert seed_spread([[1.0], [2.0]]) is None


def test_without_seeds_it_is_students_test_of_pairs() -> None:
    from scipy.stats import ttest_rel

    random = np.random.default_rng(0)
    ours, theirs = random.standard_normal((2, 20))
    found, expected = compare([ours], [theirs], None), ttest_rel(ours, theirs)
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(1 - SIGNIFICANT)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert not found.has_seeds


def test_seeds_alone_give_students_interval() -> None:
    found = over_seeds([1.0, 2.0, 3.0])
    # t of two degrees of freedom, 4.303, times 1 / sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx(
        (2, 2 - 2.484, 2 + 2.484), abs=1e-3
    )


def test_equal_figures_differ_by_nothing() -> None:
    same = np.ones(5)
    assert compare([same], [same], None) == Difference(0, 0, 0, 1, 0, has_seeds=False)
    assert compare([same + 1], [same], None).p == 0


def drawn(
    random: np.random.Generator, gain: float = 0.0
) -> tuple[list[Float64], list[Float64], list[list[float]]]:
    """Scores of two systems with three seeds each, one better by `gain`, and the means of the runs
    of five: pictures differ more than seeds do, and in the same way for all.
    """
    hard = 3 * random.standard_normal(PICTURES)
    systems = [
        [
            hard + 0.3 * random.standard_normal() + 0.5 * random.standard_normal(PICTURES)
            for _ in range(SEEDS)
        ]
        for _ in range(5)
    ]
    systems[0] = [run + gain for run in systems[0]]
    return systems[0], systems[1], [[float(run.mean()) for run in runs] for runs in systems]


def trials(gain: float = 0.0, seed: int = 0) -> list[Difference]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(TRIALS):
        ours, theirs, means = drawn(random, gain)
        found.append(compare(ours, theirs, seed_spread(means)))
    return found


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = np.mean([one.low <= 0.2 <= one.high for one in trials(0.2)])
    assert 0.92 <= held <= 0.98
    # Those of pictures alone, as one run each gives them, do not.
    random = np.random.default_rng(0)
    pairs = [drawn(random)[:2] for _ in range(300)]
    alone = [compare(ours[:1], theirs[:1], None) for ours, theirs in pairs]
    assert np.mean([one.low <= 0 <= one.high for one in alone]) < 0.6


def test_what_is_detectable_is_found_in_four_of_five_cases() -> None:
    detectable = float(np.median([one.detectable for one in trials()]))
    found = np.mean([one.p <= SIGNIFICANT for one in trials(detectable)])
    assert POWER - 0.06 <= found <= POWER + 0.06


def test_claims_about_equal_systems_are_rarely_decided() -> None:
    """Of three metrics, of which one counts downwards."""
    random = np.random.default_rng(1)
    verdicts = []
    for _ in range(TRIALS):
        metrics = []
        for sign in (1, 1, -1):
            ours, theirs, means = drawn(random)
            metrics.append((compare(ours, theirs, seed_spread(means)), sign))
        verdicts.append(verdict(metrics))
    decided = {name: verdicts.count(name) / TRIALS for name in ("confirmed", "contradicted")}
    assert sum(decided.values()) <= SIGNIFICANT + 0.01
    assert all(0.005 <= share <= SIGNIFICANT / 2 + 0.01 for share in decided.values())


def found(value: float, p: float) -> Difference:
    return Difference(value, value, value, p, 0.0, has_seeds=True)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([(found(1, 0.001), 1), (found(-1, 0.5), 1)], "confirmed"),
        ([(found(1, 0.001), -1), (found(1, 0.5), 1)], "contradicted"),
        ([(found(1, 0.001), 1), (found(-1, 0.001), 1)], "open"),  # they contradict each other
        ([(found(1, 0.04), 1), (found(-1, 0.5), 1)], "open"),  # one of two needs 0.025
        ([(found(1, 0.04), 1)], "confirmed"),
        ([], "open"),
    ],
)
def test_one_metric_decides_if_none_says_the_opposite(
    differences: list[tuple[Difference, int]], expected: str
) -> None:
    assert verdict(differences) == expected


def test_the_mean_of_runs_has_both_spreads_in_its_interval() -> None:
    runs = [Interval(value=value, low=value - 0.2, high=value + 0.2) for value in (1, 2, 3)]
    found = mean_over_seeds(runs)
    assert found.value == 2
    # Variances 1 / 3 and (0.2 / 1.96)²: 2.13 degrees of freedom, for which t is 4.07.
    assert found.high - 2 == pytest.approx(2.384, abs=1e-3)
    same = mean_over_seeds([runs[0], runs[0]])
    assert (same.low, same.high) == pytest.approx((0.8, 1.2))
    assert mean_over_seeds(runs[:1]) == runs[0]
