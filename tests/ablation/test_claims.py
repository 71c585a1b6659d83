"""Claims are judged by the paired differences of the systems."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sr4.ablation.claims import CLAIMS, MATCHED, RIVALS, Judgement, judge
from sr4.ablation.differences import difference
from sr4.ablation.plan import Plan
from sr4.ablation.results import Results, Row
from sr4.ablation.table import PUBLISHED
from sr4.config.overrides import flat
from sr4.recipes.sizes import Size

MakeRow = Callable[..., Row]
MakeResults = Callable[..., Results]


def about(judgements: list[Judgement], text: str) -> Judgement:
    (found,) = [one for one in judgements if text in one.claim]
    return found


@pytest.mark.parametrize(
    ("cosine", "linear", "verdict"),
    [(20.3, 20.0, "confirmed"), (20.0, 20.3, "contradicted"), (20.0, 20.0, "open")],
)
def test_quality_is_judged_with_projection(
    make_row: MakeRow, make_results: MakeResults, cosine: float, linear: float, verdict: str
) -> None:
    """Whatever the scores without say."""
    results = make_results(
        make_row("cosine", 15, projected=cosine), make_row("sr3-500", 18, projected=linear)
    )
    found = about(judge(results), "cosine schedule is better")
    assert (found.verdict, found.has_seeds) == (verdict, False)
    assert f"{cosine - linear:+.4f} [" in found.evidence


def test_seeds_that_differ_leave_a_claim_open(make_row: MakeRow, make_results: MakeResults) -> None:
    """Cosine is ahead with each of three seeds, but by less than seeds are apart."""
    rows = [
        make_row(name, projected=psnr + seed, seed=seed)
        for name, psnr in (("cosine", 20.3), ("sr3-500", 20.0))
        for seed in range(3)
    ]
    found = about(judge(make_results(*rows)), "cosine schedule is better")
    assert (found.verdict, found.has_seeds) == ("open", True)
    # Of two means of three runs each, their deviation 1, with four degrees of freedom.
    assert "+0.3 [-2.0, +2.6] dB PSNR" in found.evidence
    assert "(would be found in four of five cases: 3.0 dB PSNR, " in found.evidence
    near = [
        make_row(name, projected=psnr + 0.01 * seed, seed=seed)
        for name, psnr in (("cosine", 20.3), ("sr3-500", 20.0))
        for seed in range(3)
    ]
    assert about(judge(make_results(*near)), "cosine schedule is").verdict == "confirmed"


@pytest.mark.parametrize(
    ("text", "better", "worse"),
    [
        ("Fewer steps of the linear schedule", "sr3", "sr3-500"),
        ("cosine schedule is better", "cosine", "sr3-500"),
        ("It is the cosine shape", "cosine", MATCHED["tiny"]),
        ("hybrid loss converges", "sr3-500", "hybrid-vlb"),
        ("Attention-based fusion of the inputs is worse", "sr3-500", "attention-input"),
        ("Attention in the middle only", "sr4+path=none", "residual"),
        ("SR4 with 500 steps", "sr4", "sr3"),
        ("than by bicubic downscaling", "sr4", "sr4+path=bicubic"),
        ("than by one large kernel", "sr4", "sr4+path=large-kernel"),
        ("than by taking single pixels", "sr4", "sr4+path=direct"),
        ("With all of its 500 steps", "cosine", "cosine+variance=large"),
        ("The same noise for all", "cosine", "cosine+noise=batch"),
    ],
)
def test_each_claim_has_its_direction(
    make_row: MakeRow, make_results: MakeResults, text: str, better: str, worse: str
) -> None:
    said = make_results(make_row(better, projected=20.4), make_row(worse, projected=20.0))
    denied = make_results(make_row(better, projected=20.0), make_row(worse, projected=20.4))
    assert about(judge(said), text).verdict == "confirmed"
    assert about(judge(denied), text).verdict == "contradicted"


def test_variants_are_no_rivals(make_row: MakeRow, make_results: MakeResults) -> None:
    rows = [make_row(name, projected=20, kid=40) for name in RIVALS]
    best = make_row("sr4+path=bicubic", projected=25, kid=20)
    results = make_results(make_row("sr4", projected=22, consistency=40, kid=30), *rows, best)
    assert about(judge(results), "SR4 is ahead of all").verdict == "confirmed"


def test_what_needs_few_steps_is_judged_at_few(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    """The made-up scores at 20 steps are those at the own number, less one."""
    better = make_row("hybrid-vlb", 20.4, projected=19)
    results = make_results(better, make_row("sr3-500", 20.0, projected=20))
    assert about(judge(results), "With few steps").verdict == "confirmed"
    many = [score.model_copy(update={"steps": 250}) for score in better.scores if not score.own]
    worse = make_row("sr3-500", projected=20)
    results = make_results(
        *(row.model_copy(update={"scores": (row.scores[0], *many)}) for row in (better, worse))
    )
    assert about(judge(results), "With few steps").verdict == "open"
    own = [score for score in better.scores if score.own or score.projected]
    results = make_results(
        better.model_copy(update={"scores": tuple(own)}), make_row("sr3-500", projected=20)
    )
    assert about(judge(results), "With few steps").verdict == "open"


def test_scores_of_other_pictures_are_not_compared(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    """As where one system is judged at its own number of steps, and so by more pictures."""
    one, other = make_row("sr3", projected=20.5), make_row("sr3-500", projected=20.0)
    fewer = [
        score.model_copy(
            update={"pictures": {name: values[:-1] for name, values in score.pictures.items()}}
        )
        for score in other.scores
    ]
    found = judge(make_results(one, other.model_copy(update={"scores": tuple(fewer)})))
    assert {each.verdict for each in found} == {"open"}
    assert difference(make_results(one, other), "sr3", "sr3-500", "psnr") is not None


def test_the_path_alone_is_judged_by_its_control(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    rows = make_row("sr4", consistency=30), make_row("sr4+path=none", consistency=40)
    assert about(judge(make_results(*rows)), "So does the path alone").verdict == "confirmed"


def test_sr4_against_sr3_is_also_about_consistency(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    rows = make_row("sr4", projected=20, consistency=30), make_row("sr3", projected=20)
    assert about(judge(make_results(*rows)), "SR4 with 500 steps").verdict == "confirmed"


def test_numbers_of_steps_are_judged_at_these(make_row: MakeRow, make_results: MakeResults) -> None:
    one, other = make_row("sr3", projected=20.5), make_row("sr3-500", projected=20.0)
    fewer = "Fewer steps of the linear schedule"
    assert about(judge(make_results(one, other)), fewer).verdict == "confirmed"
    common = [score for score in other.scores if not score.projected or score.steps == 100]
    other = other.model_copy(update={"scores": tuple(common)})
    found = about(judge(make_results(one, other)), fewer)
    assert found.verdict == "open"
    assert found.evidence == "sr3 and sr3-500 were not scored so that it could be told"


@pytest.mark.parametrize(
    ("claim", "changed", "steps"),
    [("cosine schedule is better", 100, 50), ("variance is better than beta as", 20, 10)],
)
def test_systems_are_compared_at_the_same_number_of_steps(
    make_row: MakeRow, make_results: MakeResults, claim: str, changed: int, steps: int
) -> None:
    """As those of an ablation need not be that an earlier version made."""
    names = ("sr3-500", "cosine+variance=large")
    worse = [make_row(name, 20.0, projected=20.0) for name in names]
    better = make_row("cosine", 20.5, projected=20.5)
    assert about(judge(make_results(better, *worse)), claim).verdict == "confirmed"
    scores = [
        score.model_copy(update={"steps": steps}) if score.steps == changed else score
        for score in better.scores
    ]
    better = better.model_copy(update={"scores": tuple(scores)})
    found = about(judge(make_results(better, *worse)), claim)
    assert found.verdict == "open"
    assert "were not scored so that it could be told" in found.evidence


def test_less_consistency_is_better(make_row: MakeRow, make_results: MakeResults) -> None:
    results = make_results(make_row("sr4", consistency=40), make_row("residual", consistency=50))
    found = about(judge(results), "learned low-res path")
    assert found.verdict == "confirmed"
    assert "-10.0000 [-10.0000, -10.0000] Consistency" in found.evidence


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
    assert found.verdict == "open"  # a single pair of runs, whatever it shows
    assert found.evidence.startswith("+2.00 dB over the first half; residual ahead of cosine at 2 ")
    assert "19.20 dB after 15,000 pictures, cosine after 20,000" in found.evidence
    again = [make_row("sr4", seed=seed) for seed in range(2)]
    found = about(judge(make_results(residual, cosine, *again)), "converges earlier")
    assert (found.verdict, found.has_seeds) == ("open", False)  # these have one seed each


def test_with_seeds_earlier_means_by_more_than_they_are_apart(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    cosine = [make_row("cosine", curve=(16, 17, 18, 19), seed=seed) for seed in range(3)]
    leads = (1.9, 2.0, 2.1)
    residual = [
        make_row("residual", curve=(16 + lead, 17 + lead, 18, 19), seed=seed)
        for seed, lead in enumerate(leads)
    ]
    found = about(judge(make_results(*residual, *cosine)), "converges earlier")
    assert (found.verdict, found.has_seeds) == ("confirmed", True)
    assert found.evidence.startswith("+2.00 [+1.75, +2.25] dB over the first half; ")
    lost = make_row("residual", curve=(12, 13, 18, 19), seed=2)
    results = make_results(*residual[:2], lost, *cosine)
    assert about(judge(results), "converges earlier").verdict == "open"


@pytest.mark.parametrize(
    ("maps", "verdict"),
    [
        ((0.5, 0.01), "confirmed"),
        ((0.5, 0.03), "open"),
        ((0.4, 0.3), "contradicted"),
        ((0.8, 0.01), "open"),
        (None, "open"),
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
        *(make_row(name, consistency=60, projected=19, kid=40) for name in RIVALS[:-1]),
        make_row("residual", consistency=30, projected=19.8, kid=40),
        make_row("regression", consistency=1, projected=25, kid=1),
    ]
    sr4 = make_row("sr4", consistency=40, projected=20, kid=30)
    found = about(judge(make_results(*rows, sr4)), "ahead of all")
    assert found.verdict == "contradicted"
    assert found.evidence == (
        "better in 23 of 24 comparisons; behind in 1 of 24 comparisons: residual (Consistency)"
    )
    best = make_results(*rows, make_row("sr4", consistency=20, projected=20, kid=30))
    found = about(judge(best), "ahead of all")
    assert (found.verdict, found.has_seeds) == ("confirmed", False)


def test_ahead_of_all_takes_all_systems_and_all_metrics(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    sr4 = make_row("sr4", consistency=40, projected=20, kid=30)
    rows = [make_row(name, consistency=60, projected=19, kid=40) for name in RIVALS]
    some = [row for row in rows if row.recipe not in ("hybrid-vlb", "sr3-500")]
    found = about(judge(make_results(sr4, *some)), "ahead of all")
    assert found.verdict == "open"
    assert found.evidence.endswith("; not run: sr3-500, hybrid-vlb")
    lacking = make_row("attention-input", consistency=60, projected=19)
    found = about(judge(make_results(sr4, *rows[:4], lacking, *rows[5:])), "ahead of all")
    assert found.verdict == "open"
    assert found.evidence.endswith("; not compared in Kernel distance: attention-input")
    behind = make_row("sr3", consistency=30, projected=19, kid=40)
    found = about(judge(make_results(sr4, behind, *some[1:])), "ahead of all")
    assert found.verdict == "contradicted"  # which no further system could mend


def test_ahead_of_all_allows_for_seeds_where_its_comparisons_do(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    """Runs of another seed have no scores with projection here, and so tell no spread of these."""
    rows = [
        *(make_row(name, consistency=60, projected=19, kid=40) for name in RIVALS),
        make_row("sr4", consistency=40, projected=20, kid=30),
    ]
    found = about(judge(make_results(*rows, make_row("regression", seed=1))), "ahead of all")
    assert (found.verdict, found.has_seeds) == ("confirmed", False)
    again = [row.model_copy(update={"seed": 1}) for row in rows]
    found = about(judge(make_results(*rows, *again)), "ahead of all")
    assert (found.verdict, found.has_seeds) == ("confirmed", True)


def test_the_rivals_are_those_of_the_papers_table() -> None:
    assert {*RIVALS, "sr4"} == set(PUBLISHED)


@pytest.mark.parametrize("size", MATCHED)
def test_the_shape_is_judged_by_a_control_that_differs_in_it_alone(
    make_row: MakeRow, make_results: MakeResults, size: Size
) -> None:
    """Not by the one without a warm-up, whatever it scored."""
    plan = Plan(("cosine", MATCHED[size]), size=size)
    cosine, control = (flat(plan.settings(name)) for name in plan.recipes)
    differing = {key for key, value in cosine.items() if control[key] != value}
    assert differing == {"model.recipe", "model.schedule.kind", "model.schedule.beta_end"}
    rows = make_row("cosine", projected=20.4), make_row("sr3-500-matched", projected=20.0)
    results = make_results(*rows).model_copy(update={"size": size})
    found = about(judge(results), "cosine shape")
    assert (found.verdict, found.evidence) == ("open", f"{MATCHED[size]} was not run")


def test_every_claim_needs_systems_that_exist() -> None:
    names = (*{name for claim in CLAIMS for name in claim.needs}, MATCHED["tiny"])
    plan = Plan(names)
    changed = {name: plan.settings(name) for name in names}
    for name in (name for name in names if "+" in name):
        assert changed[name] != plan.settings(name.partition("+")[0])
