"""How two systems of an ablation differ in a metric, by the scores of the same pictures, in numbers
and in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sr4.ablation.comparison import Difference, SeedSpread, compare, seed_spread
from sr4.ablation.results import Kind, Results, Row
from sr4.evaluation.metrics import Float64, Interval
from sr4.evaluation.table import FIELDS

OF_PICTURES = ("psnr", "ssim", "consistency")
OF_SETS = ("kid_efflite0",)
IN_PAIRS = (*OF_PICTURES, *OF_SETS)
"""The scores in which systems are compared picture by picture."""
QUALITY = ("psnr", "ssim", "kid_efflite0")


def difference(
    results: Results, one: str, other: str, metric: str, kind: Kind = "own"
) -> Difference | None:
    """`one - other` over test pictures and seeds, of scores of that kind. None where they do not
    have that metric, or not of the same pictures: those that systems are judged by are more.
    """
    ours, theirs = (_scores(results.runs(name), metric, kind) for name in (one, other))
    if not ours or not theirs or len({len(scores) for scores in (*ours, *theirs)}) > 1:
        return None
    return compare(ours, theirs, spread_over_seeds(results, metric, kind))


def spread_over_seeds(results: Results, metric: str, kind: Kind) -> SeedSpread | None:
    """How much a system's mean varies from seed to seed, by all systems that have several."""
    return seed_spread(
        [
            [float(np.mean(scores)) for scores in _scores(results.runs(name), metric, kind)]
            for name in dict.fromkeys(row.recipe for row in results.repeats)
        ]
    )


def _scores(runs: Sequence[Row], metric: str, kind: Kind) -> list[Float64]:
    """Of each run, (P,) by picture; nothing if one of them has none."""
    found = [row.score(kind) for row in runs]
    if any(score is None or metric not in score.pictures for score in found):
        return []
    return [np.array(score.pictures[metric]) for score in found if score is not None]


def compared(
    results: Results, one: str, other: str, metrics: Sequence[str], kind: Kind
) -> list[Compared]:
    """The differences in those of some metrics that both have: quality by scores of that kind, the
    others at each system's own number of steps.
    """
    found = []
    for metric in metrics:
        scores = kind if metric in QUALITY else "own"
        told = difference(results, one, other, metric, scores)
        if told is not None and results.is_alike((one, other), scores):
            found.append(Compared(metric, told))
    return found


@dataclass(frozen=True)
class Compared:
    """A difference of two systems in one metric."""

    metric: str
    found: Difference

    @property
    def signed(self) -> tuple[Difference, int]:
        """The difference, with 1 where more is better and -1 where less is."""
        return self.found, 1 if FIELDS[self.metric].higher_is_better else -1

    def __str__(self) -> str:
        return f"{signed(self.found.interval)} {in_words(self.metric)}"


def in_words(metric: str) -> str:
    """ "dB PSNR", "SSIM" or "consistency"."""
    found = FIELDS[metric]
    return f"{found.unit} {found.title}" if found.unit == "dB" else found.title


def number(value: float) -> str:
    """With two digits that count."""
    digits = min(max(0, 1 - math.floor(math.log10(value))), 4) if value > 0 else 0
    return f"{value:,.{digits}f}"


def signed(interval: Interval) -> str:
    """An interval in words: with a sign, and as many digits as tell its ends apart."""
    width = interval.high - interval.low
    digits = min(max(0, 1 - math.floor(math.log10(width))), 4) if width > 0 else 4
    value, low, high = (
        f"{one:+,.{digits}f}" for one in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"
