"""How scores stand in tables."""

from __future__ import annotations

import math

from sr4.evaluation.metrics import Interval
from sr4.evaluation.table import Metric
from sr4.plots.tables import NONE, Cell

_MOST_DECIMALS = 6


def heading(metric: Metric) -> Cell:
    """The head of a metric's column: title with an arrow to the better side, and unit."""
    arrow = {True: " ↑", False: " ↓", None: ""}[metric.higher_is_better]
    return Cell(f"{metric.title}{arrow}", metric.unit)


def score_cell(metric: Metric, value: Interval | None, *, best: bool = False) -> Cell:
    """A score with its interval; `best` makes it stand out."""
    if value is None:
        return Cell(NONE)
    digits = decimals(metric, value.low, value.value, value.high)
    interval = f"[{value.low:.{digits}f}, {value.high:.{digits}f}]"
    return Cell(f"{value.value:.{digits}f}", interval, best)


def difference_cell(metric: Metric, found: Interval, *, is_clear: bool, remark: str = "") -> Cell:
    """The first one's score minus the second one's.

    Args:
        is_clear: whether to say which one is better.
        remark: what stands beside the interval.
    """
    verdict = ""
    if is_clear:
        verdict = " better" if (found.value > 0) == metric.higher_is_better else " worse"
    digits = decimals(metric, found.low, found.value, found.high)
    interval = f"[{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
    return Cell(f"{found.value:+.{digits}f}{verdict}", f"{interval} {remark}".rstrip())


def decimals(metric: Metric, *values: float) -> int:
    """As many as show four digits, and no more than the metric deserves; of what would be 0 then,
    as many as show two.
    """
    largest = max(map(abs, values))
    before = math.floor(math.log10(largest)) + 1 if largest else 1
    if before < 0:
        return max(metric.decimals, min(2 - before, _MOST_DECIMALS))
    return min(metric.decimals, max(0, 4 - before))


def told(metric: Metric, value: float) -> str:
    """A score in as many digits as it deserves."""
    return f"{value:.{decimals(metric, value)}f}"
