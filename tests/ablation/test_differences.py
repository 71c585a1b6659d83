"""Two systems in a metric: the paired difference, and its words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sr4.ablation.differences import compared, difference, signed
from sr4.ablation.results import Results, Row
from sr4.evaluation.metrics import Interval

MakeRow = Callable[..., Row]
MakeResults = Callable[..., Results]


def test_a_difference_of_pairs_is_known_better_than_its_ends(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    better, worse = make_row("cosine", 20.3), make_row("sr3-500", 20.0)
    found = difference(make_results(better, worse), "cosine", "sr3-500", "psnr")
    assert found is not None
    assert found.value == pytest.approx(0.3)
    # All pictures differ alike here, so nothing is uncertain, though each mean is by 0.4 dB.
    assert (found.low, found.high) == pytest.approx((0.3, 0.3))
    assert better.own.psnr.low < worse.own.psnr.high


def test_quality_is_compared_by_scores_of_a_kind_and_consistency_without(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    one = make_row("cosine", 15, projected=20.5, consistency=40, kid=30)
    results = make_results(one, make_row("sr3-500", 18, projected=20.0, consistency=50))
    found = compared(
        results, "cosine", "sr3-500", ("psnr", "kid_efflite0", "consistency"), "projected"
    )
    assert [each.metric for each in found] == ["psnr", "consistency"]  # one has no kernel distance
    assert [each.signed[0].value for each in found] == pytest.approx([0.5, -10])
    assert [each.signed[1] for each in found] == [1, -1]
    assert str(found[1]) == "-10.0000 [-10.0000, -10.0000] Consistency"


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (Interval(value=-2551.4, low=-2690.2, high=-2410.9), "-2,551 [-2,690, -2,411]"),
        (Interval(value=0.128, low=0.0951, high=0.161), "+0.128 [+0.095, +0.161]"),
        (Interval(value=0.5, low=0.5, high=0.5), "+0.5000 [+0.5000, +0.5000]"),
    ],
)
def test_differences_have_the_digits_that_tell(interval: Interval, words: str) -> None:
    assert signed(interval) == words
