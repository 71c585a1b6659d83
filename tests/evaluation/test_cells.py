"""Scores and differences as tables show them."""

from __future__ import annotations

from sr4.evaluation.cells import difference_cell, heading, score_cell
from sr4.evaluation.metrics import Interval
from sr4.evaluation.table import FIELDS
from sr4.plots.tables import NONE, Cell


def test_a_score_stands_beside_its_interval() -> None:
    found = Interval(value=25.123, low=24.9, high=25.31)
    assert score_cell(FIELDS["psnr"], found) == Cell("25.12", "[24.90, 25.31]")
    assert score_cell(FIELDS["psnr"], None) == Cell(NONE)
    # Four digits are enough, whatever the metric shows of small numbers.
    large = Interval(value=1234.5, low=1000, high=1500)
    assert score_cell(FIELDS["consistency"], large).text in ("1234", "1235")


def test_heads_point_to_the_better_side() -> None:
    assert heading(FIELDS["psnr"]) == Cell("PSNR ↑", "dB")
    assert heading(FIELDS["consistency"]).text == "Consistency ↓"
    assert heading(FIELDS["coverage_50"]).text == "Coverage of 50 %"


def test_a_difference_says_who_is_better_where_that_is_clear() -> None:
    found = Interval(value=0.5, low=0.25, high=0.75)
    assert difference_cell(FIELDS["psnr"], found, is_clear=True) == Cell(
        "+0.50 better", "[+0.25, +0.75]"
    )
    assert difference_cell(FIELDS["perceptual"], found, is_clear=True).text == "+0.500 worse"
    assert difference_cell(FIELDS["psnr"], found, is_clear=False, remark="p 0.2") == Cell(
        "+0.50", "[+0.25, +0.75] p 0.2"
    )
