"""The tables: figures with their intervals, what is bold, and Markdown that keeps its columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sr4.ablation.claims import MATCHED, judge
from sr4.ablation.plan import Plan
from sr4.ablation.results import Results, Row
from sr4.ablation.table import (
    PAIRS,
    PUBLISHED,
    all_metrics_table,
    claims_table,
    metrics_of,
    pairs_table,
    score_table,
    settings_table,
    steps_table,
)
from sr4.config.overrides import flat
from sr4.evaluation.cells import heading
from sr4.evaluation.metrics import Interval
from sr4.plots.tables import NONE, Cell, Table
from sr4.recipes import RECIPES

MakeRow = Callable[..., Row]
MakeResults = Callable[..., Results]

IN_THE_PAPER = {
    "SR3(baseline)": "sr3",
    "SR3(500 steps)": "sr3-500",
    "Simple+VLB loss": "hybrid-vlb",
    "Cos schedule": "cosine",
    "Attention input": "attention-input",
    "Res predict": "residual",
    "SR4(Combine)": "sr4",
}
SCORES = ("PSNR ↑", "SSIM ↑", "Consistency ↓", "Colour drift ↓")


def column(table: Table, title: str) -> dict[str, Cell]:
    """The cells of a column by their rows' headings."""
    place = [cell.text for cell in table.header].index(title)
    return {row[0].text: row[place] for row in table.rows}


def with_own(row: Row, **figures: Interval) -> Row:
    """A row with other figures at its own number of steps."""
    own, *others = row.scores
    evaluation = own.evaluation.model_copy(update=figures)
    return row.model_copy(
        update={"scores": (own.model_copy(update={"evaluation": evaluation}), *others)}
    )


def test_a_row_has_scores_costs_and_the_papers_figures(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    row = make_row("sr4", 20.0, consistency=1234.0)
    table = score_table(make_results(row))
    psnr, interval = row.own.psnr, row.own.consistency
    assert column(table, "PSNR ↑")["sr4"] == Cell("20.00", f"[{psnr.low:.2f}, {psnr.high:.2f}]")
    found = column(table, "Consistency ↓")["sr4"]
    assert found == Cell("1234", f"[{interval.low:.0f}, {interval.high:.0f}]")
    assert [cell.text for cell in table.rows[0][1 + len(SCORES) :]] == [
        *("500", "40,000", "6.00 M", "1.45"),
        *("23.1", "0.69", "51.75"),
    ]
    assert [cell.text for cell in table.rows[1][-6:]] == [NONE] * 6
    assert column(table, "NFE")["bicubic"].text == "0"
    assert {len(line) for line in table.rows} == {len(table.header)}


def test_the_papers_figures_are_those_of_its_table(shared: Path) -> None:
    text = (shared / "paper.txt").read_text(encoding="utf-8").partition("Table 1: Ev")[2]
    found = {}
    for title, name in IN_THE_PAPER.items():
        (line,) = re.findall(rf"^{re.escape(title)}\t(.*)$", text, re.MULTILINE)
        found[name] = tuple(figure or NONE for figure in line.split("\t"))
    assert {name: tuple(one) for name, one in PUBLISHED.items()} == found


def test_bold_is_the_best_system_whose_interval_overlaps_no_other(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    def bold(*rows: Row) -> list[tuple[str, str]]:
        table = score_table(make_results(*rows))
        return [
            (title, name)
            for title in ("PSNR ↑", "Consistency ↓")
            for name, cell in column(table, title).items()
            if cell.bold
        ]

    # The baseline has 21 dB and 50: it is better here than both, and never bold.
    clear = make_row("sr3", 18.0, consistency=90), make_row("sr4", 20.0, consistency=60)
    assert bold(*clear) == [("PSNR ↑", "sr4"), ("Consistency ↓", "sr4")]
    apart = make_row("sr3", 20.0, consistency=60), make_row("sr4", 18.0, consistency=90)
    assert bold(*apart) == [("PSNR ↑", "sr3"), ("Consistency ↓", "sr3")]
    near = make_row("sr3", 20.1, consistency=60), make_row("sr4", 20.0, consistency=61)
    assert near[0].own.psnr.low < near[1].own.psnr.high
    assert bold(*near) == []
    assert bold(clear[1]) == []  # one alone is not better than anything
    # It is the second best that must be clear of, wherever it stands.
    assert bold(make_row("cosine", 19.9, consistency=60), *clear) == []


def test_metrics_that_nobody_has_are_left_out(make_row: MakeRow, make_results: MakeResults) -> None:
    sr3, sr4 = make_row("sr3"), make_row("sr4")
    assert [heading(metric).text for metric in metrics_of(make_results(sr3))] == [*SCORES]
    kid = Interval(value=44.04, low=40.0, high=48.25)
    table = score_table(make_results(sr3, with_own(sr4, kid_efflite0=kid)))
    found = column(table, "Kernel distance ↓")
    assert found["sr4"] == Cell("44.0", "[40.0, 48.2]")
    assert found["sr3"] == found["bicubic"] == Cell(NONE)


def test_every_number_of_steps_has_its_line(make_row: MakeRow, make_results: MakeResults) -> None:
    table = steps_table(make_results(make_row("sr3", 20.0), make_row("cosine", 22.0)))
    assert table is not None
    found = [
        (name.text, steps.text, steps.small, psnr.text) for name, steps, psnr, *_ in table.rows
    ]
    assert found == [
        ("sr3", "20", "", "19.00"),
        ("sr3", "2,000", "own", "20.00"),
        ("cosine", "20", "", "21.00"),
        ("cosine", "500", "own", "22.00"),
    ]
    single = make_row("regression")
    assert (
        steps_table(make_results(single.model_copy(update={"scores": single.scores[:1]}))) is None
    )


def test_pairs_say_what_their_interval_shows(make_row: MakeRow, make_results: MakeResults) -> None:
    rows = (
        make_row("sr3-500", 20.0, consistency=50),
        make_row("cosine", 20.5, consistency=60),
        make_row("residual", 20.5, consistency=60),
    )
    table = pairs_table(make_results(*rows))
    assert table is not None
    psnr, fit = column(table, "PSNR ↑"), column(table, "Consistency ↓")
    assert list(psnr) == ["cosine − sr3-500", "residual − cosine"]
    assert psnr["cosine − sr3-500"] == Cell("+0.50 better", "[+0.50, +0.50]")
    assert fit["cosine − sr3-500"] == Cell("+10.00 worse", "[+10.00, +10.00]")
    assert psnr["residual − cosine"] == Cell("+0.00", "[+0.00, +0.00]")
    assert pairs_table(make_results(rows[0])) is None


def test_pairs_show_projected_scores_where_all_have_one(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    linear, cosine = make_row("sr3-500", 20.0, projected=24.0), make_row("cosine", 20.5)
    table = pairs_table(make_results(linear, make_row("cosine", 20.5, projected=23.0)))
    assert table is not None
    assert column(table, "PSNR ↑")["cosine − sr3-500"].text == "+0.50 better"
    assert column(table, "PSNR ↑, projected")["cosine − sr3-500"].text == "-1.00 worse"
    steps = steps_table(make_results(linear))
    assert steps is not None
    assert [row[1].small for row in steps.rows] == ["", "projected", "own", "projected"]
    partly = pairs_table(make_results(linear, cosine))
    assert partly is not None
    assert "projected" not in "".join(cell.text for cell in partly.header)


def test_pairs_and_the_paper_name_recipes() -> None:
    named = {name for one, other, _ in PAIRS for name in (one, other)} | set(PUBLISHED)
    assert {name.partition("+")[0] for name in named} <= set(RECIPES)


NETWORK = {f"model.network.{name}" for name in ("kind", "attention_resolutions", "heads")}
PATH = {f"model.network.path{end}" for end in ("", "_resolution", "_width", "_activation")}
STEPS = {"model.schedule.steps", "model.sampling.steps"}
SHAPE, END, WARMUP = "model.schedule.kind", "model.schedule.beta_end", "training.warmup_images"
TARGET = "model.objective.target"
# In the order of PAIRS; what "sr4+path=none" has of a path is not in use.
DIFFERING = (
    STEPS,
    {END},
    {*STEPS, END},
    {SHAPE, WARMUP},
    {SHAPE, END},
    {SHAPE, END},
    {"model.objective.variance", "model.objective.vlb_weight"},
    {"model.network.kind"},
    {TARGET},
    {*NETWORK, *PATH},
    {*NETWORK, *PATH},
    {*NETWORK, *PATH, *STEPS, SHAPE, WARMUP, TARGET},
    {
        *(SHAPE, *STEPS, "model.objective.prediction"),
        *("model.sampling.sampler", "model.sampling.temperature"),
    },
)


@pytest.mark.parametrize(("pair", "differing"), [*zip(PAIRS, DIFFERING, strict=True)])
def test_pairs_differ_in_what_they_say_alone(
    pair: tuple[str, str, str], differing: set[str]
) -> None:
    names = pair[:2]
    plan = Plan(names, size="full" if MATCHED["full"] in names else "tiny")
    one, other = (flat(plan.settings(name)) for name in names)
    found = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    assert found - {"model.recipe"} == differing


def test_claims_become_lines(make_row: MakeRow, make_results: MakeResults) -> None:
    rows = [make_row("cosine", projected=20.5), make_row("sr3-500", projected=20.0)]
    line, _ = claims_table(judge(make_results(*rows))).rows
    assert line[0].text.startswith("At 500 steps")
    assert line[2] == Cell("confirmed", "for these runs", bold=True)
    assert "+0.5" in line[3].text
    repeats = [make_row(row.recipe, projected=20.2, seed=1) for row in rows]
    line, _ = claims_table(judge(make_results(*rows, *repeats))).rows
    assert line[2] == Cell("open", bold=True)


def test_scores_of_several_seeds_are_one_line(make_row: MakeRow, make_results: MakeResults) -> None:
    """Their mean, with an interval that is wider by how far they are apart."""
    one = make_results(make_row("sr4", 20.0))
    several = make_results(*(make_row("sr4", 20.0 + seed, seed=seed) for seed in range(3)))
    alone, together = (column(score_table(each), "PSNR ↑")["sr4"] for each in (one, several))
    assert (alone.text, together.text) == ("20.00", "21.00")
    assert alone.small == "[19.45, 20.55]"
    assert together.small == "[18.98, 23.02]"
    steps = steps_table(several)
    assert steps is not None
    (own,) = [row for row in steps.rows if row[1].small == "own"]
    assert own[2] == together


def test_settings_show_what_differs_alone(make_row: MakeRow, make_results: MakeResults) -> None:
    table = settings_table(make_results(make_row("sr3"), make_row("sr3-500")))
    assert {tuple(cell.text for cell in row) for row in table.rows} == {
        ("model.schedule.steps", "2000", "500"),
        ("model.sampling.steps", "2000", "500"),
    }
    other = settings_table(make_results(make_row("residual"), make_row("sr4")))
    assert column(other, "residual")["model.network.path_width"].text == NONE


def test_all_metrics_are_named_with_their_units(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    table = all_metrics_table(make_results(make_row("sr3", 20.0)))
    assert [cell.text for cell in table.header] == ["Metric", "Unit", "sr3", "bicubic"]
    assert column(table, "Unit")["psnr"].text == "dB, all channels"
    assert column(table, "sr3")["psnr"].text == "20"
    assert "kid_efflite0" not in column(table, "Unit")


@pytest.mark.parametrize("make", [score_table, all_metrics_table, settings_table])
def test_rows_are_as_long_as_their_header(
    make: Callable[[Results], Table], make_row: MakeRow, make_results: MakeResults
) -> None:
    table = make(make_results(*(make_row(name) for name in ("sr3", "attention-input", "sr4"))))
    assert table.rows
    assert {len(row) for row in table.rows} == {len(table.header)}
