"""Claims are judged by the paired differences of the systems."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sr4.ablation.claims import CLAIMS, Judgement, difference, judge, signed
from sr4.ablation.results import Results, Row
from sr4.errors import UsageError
from sr4.evaluation.metrics import Interval

MakeRow = Callable[..., Row]
MakeResults = Callable[..., Results]


def about(judgements: list[Judgement], text: str) -> Judgement:
    (found,) = [one for one in judgements if text in one.claim]
    return found


def test_a_difference_of_pairs_is_known_better_than_its_ends(make_row: MakeRow) -> None:
    better, worse = make_row("cosine", 20.3), make_row("sr3-500", 20.0)
    found = difference(better, worse, "psnr")
    assert found.value == pytest.approx(0.3)
    # All pictures differ alike here, so nothing is uncertain, though each mean is by 0.4 dB.
    assert (found.low, found.high) == pytest.approx((0.3, 0.3))
    assert better.own.psnr.low < worse.own.psnr.high


@pytest.mark.parametrize(
    ("cosine", "linear", "verdict"),
    [(20.3, 20.0, "confirmed"), (20.0, 20.3, "contradicted"), (20.0, 20.0, "not confirmed")],
)
def test_the_sign_of_the_interval_is_the_verdict(
    make_row: MakeRow, make_results: MakeResults, cosine: float, linear: float, verdict: str
) -> None:
    results = make_results(make_row("cosine", cosine), make_row("sr3-500", linear))
    found = about(judge(results), "cosine schedule is better")
    assert found.verdict == verdict
    assert f"{cosine - linear:+.4f} [" in found.evidence


def test_less_consistency_is_better(make_row: MakeRow, make_results: MakeResults) -> None:
    results = make_results(make_row("sr4", consistency=40), make_row("residual", consistency=50))
    found = about(judge(results), "low-res path")
    assert found.verdict == "confirmed"
    assert "-10.0000 [-10.0000, -10.0000] Consistency" in found.evidence


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


def test_claims_about_systems_that_were_not_run_are_left_out(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    assert judge(make_results(make_row("sr3"), make_row("regression"))) == []


def test_earlier_means_ahead_in_the_first_half(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    residual = make_row("residual", curve=(18, 19, 19.5, 20))
    cosine = make_row("cosine", curve=(16, 17, 18.5, 19.2))
    found = about(judge(make_results(residual, cosine)), "converges earlier")
    assert found.verdict == "confirmed"
    assert "ahead of cosine at 2 of the first 2 validations" in found.evidence
    assert "19.20 dB after 15,000 pictures, cosine after 20,000" in found.evidence
    other = make_row("residual", curve=(15, 19, 19.5, 20))
    assert about(judge(make_results(other, cosine)), "earlier").verdict == "not confirmed"
    worse = make_row("residual", curve=(15, 16, 19.5, 20))
    assert about(judge(make_results(worse, cosine)), "earlier").verdict == "contradicted"


@pytest.mark.parametrize(
    ("maps", "verdict"),
    [
        ((0.5, 0.01), "confirmed"),
        ((0.5, 0.03), "not confirmed"),
        ((0.4, 0.3), "contradicted"),
        ((0.8, 0.01), "not confirmed"),
        (None, "not confirmed"),
    ],
)
def test_a_collapsed_map_is_one_near_a_half_everywhere(
    make_row: MakeRow,
    make_results: MakeResults,
    maps: tuple[float, float] | None,
    verdict: str,
) -> None:
    row = make_row("attention-input", curve=(18, 19), maps=maps)
    assert about(judge(make_results(row)), "map").verdict == verdict


def test_ahead_of_all_names_where_it_is_not(make_row: MakeRow, make_results: MakeResults) -> None:
    rows = [
        make_row("sr3", 19, consistency=60),
        make_row("cosine", 19.5, consistency=60),
        make_row("residual", 19.8, consistency=30),
        make_row("regression", 25, consistency=1),
    ]
    found = about(judge(make_results(*rows, make_row("sr4", 20, consistency=40))), "ahead of all")
    assert found.verdict == "contradicted"
    assert found.evidence == (
        "better in 8 of 9 comparisons; behind in 1 of 9 comparisons: residual (consistency)"
    )
    best = make_results(*rows, make_row("sr4", 20, consistency=20))
    assert about(judge(best), "ahead of all").verdict == "confirmed"


def test_different_test_sets_are_not_compared(make_row: MakeRow) -> None:
    one, other = make_row("sr4"), make_row("residual")
    shorter = other.scores[0].model_copy(update={"pictures": {"psnr": (1.0, 2.0)}})
    other = other.model_copy(update={"scores": (shorter,)})
    with pytest.raises(UsageError, match="8 pictures of sr4 and 2 of residual"):
        difference(one, other, "psnr")


def test_every_claim_needs_systems_that_exist() -> None:
    from sr4.recipes import RECIPES

    assert {name for claim in CLAIMS for name in claim.needs} <= RECIPES.keys()
