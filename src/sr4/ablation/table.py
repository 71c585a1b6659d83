"""The tables of an ablation, as cells that Markdown and HTML are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sr4.ablation.claims import MATCHED, Judgement
from sr4.ablation.comparison import Difference, mean_over_seeds
from sr4.ablation.differences import OF_PICTURES, QUALITY, difference
from sr4.ablation.results import Kind, Results, Row, Score
from sr4.config.overrides import flat
from sr4.evaluation.cells import difference_cell, heading, score_cell
from sr4.evaluation.metrics import Interval
from sr4.evaluation.table import METRICS, Metric
from sr4.plots.tables import NONE, Cell, Table

BOLD_RULE = (
    "Bold: the best of the trained systems, where its interval overlaps that of no other one. All "
    "are scored on the same pictures with the same noise, so that this is a strict rule; the "
    "differences in pairs are a sharper one."
)
ONE_SEED = "for these runs"  # where there is no telling what other seeds would give
PAIRS_RULE = (
    "Mean difference over the test pictures and seeds, first system minus second, each at its own "
    "number of steps, with its 95 % interval (docs/paper.md tells how it is made; with one seed it "
    "holds for these very runs). Better or worse is said where that excludes zero, without "
    'correction for the number of comparisons. "Projected": with projection, at the most steps '
    "that all systems were scored at."
)
_METRICS = [metric for metric in METRICS if metric.tables]


class Published(NamedTuple):
    """A row of the paper's Table 1, as printed there; consistency x 1e-5."""

    psnr: str
    ssim: str
    consistency: str


# SR4 paper, Table 1: faces of 16→128 pixels, FFHQ to CelebA-HQ, 640,000 iterations of batch 4.
PUBLISHED: Mapping[str, Published] = {
    "sr3": Published("23", "0.68", "55.68"),
    "sr3-500": Published("22.4", "0.66", "60.42"),
    "hybrid-vlb": Published("18.6", "0.61", NONE),
    "cosine": Published("23.1", "0.69", "52.27"),
    "attention-input": Published("18.8", "0.63", NONE),
    "residual": Published("23.1", "0.68", "54.31"),
    "sr4": Published("23.1", "0.69", "51.75"),
}


# Two systems, and all that differs.
PAIRS = (
    ("sr3-500", "sr3", "500 steps in place of 2,000"),
    ("sr3-500-matched", "sr3-500", "500 linear steps that end in pure noise"),
    ("sr3-500-matched", "sr3", "next to nothing: how far two equal systems are apart"),
    ("cosine", "sr3-500", "cosine with a warm-up against linear without, as in the paper"),
    *(
        ("cosine", name, "cosine against linear that ends in as much noise")
        for name in MATCHED.values()
    ),
    ("hybrid-vlb", "sr3-500", "learned variance and hybrid loss"),
    ("attention-input", "sr3-500", "attention over the inputs"),
    ("residual", "cosine", "the residual as target"),
    ("sr4", "residual", "attention in the middle only, with 4 heads for 1, and the low-res path"),
    ("sr4+path=none", "residual", "attention in the middle only, with 4 heads for 1"),
    ("sr4", "sr3", "the proposal against the baseline"),
    ("regression", "sr3", "no diffusion"),
)


def metrics_of(results: Results) -> list[Metric]:
    """The metrics that at least one evaluation has."""
    scores = [score.evaluation for row in results.rows for score in row.scores]
    known = [*results.baselines, *scores]
    return [metric for metric in _METRICS if any(one[metric.field] is not None for one in known)]


def score_table(results: Results) -> Table:
    """A row for each system at its own number of steps, with the paper's figures and its cost, and
    for each baseline.
    """
    metrics, rows = metrics_of(results), results.rows
    own = [_of_runs(results, row, next(one for one in row.scores if one.own)) for row in rows]
    best = {metric: _best(metric, [found[metric.field] for found in own]) for metric in metrics}
    systems = [
        (
            Cell(row.recipe),
            *(
                score_cell(metric, own[number][metric.field], best=best[metric] == number)
                for metric in metrics
            ),
            *_cost_cells(row),
            *map(Cell, PUBLISHED.get(row.recipe, (NONE, NONE, NONE))),
        )
        for number, row in enumerate(rows)
    ]
    baselines = [
        (
            Cell(one.model),
            *(score_cell(metric, one[metric.field]) for metric in metrics),
            Cell(f"{one.nfe}"),
            *[Cell(NONE)] * 6,
        )
        for one in results.baselines
    ]
    header = (
        Cell("System"),
        *(heading(metric) for metric in metrics),
        *(
            Cell("NFE"),
            Cell("Pictures", "trained on"),
            Cell("Parameters"),
            Cell("GFLOPs", "an NFE"),
        ),
        *(Cell("Paper:", what) for what in ("PSNR", "SSIM", "consistency")),
    )
    return Table(header, (*systems, *baselines))


def _of_runs(results: Results, row: Row, score: Score) -> dict[str, Interval | None]:
    """The scores of a system by field, at that number of steps: of its runs together."""
    scores = [
        one.evaluation
        for run in results.runs(row.recipe)
        for one in run.scores
        if (one.steps, one.projected) == (score.steps, score.projected)
    ]
    found: dict[str, Interval | None] = {}
    for metric in METRICS:
        values = [one[metric.field] for one in scores]
        known = [value for value in values if value is not None]
        found[metric.field] = mean_over_seeds(known) if len(known) == len(values) else None
    return found


def _cost_cells(row: Row) -> tuple[Cell, ...]:
    return (
        Cell(f"{row.own.nfe:,}"),
        Cell(f"{row.images:,}"),
        Cell(f"{row.parameters / 1e6:.2f} M"),
        Cell(f"{row.gflops:.2f}"),
    )


def steps_table(results: Results) -> Table | None:
    """A row for each system and number of steps, fewest first, and those with projection after
    those without; None if all have one only.
    """
    if all(len(row.scores) == 1 for row in results.rows):
        return None
    metrics = metrics_of(results)
    lines = []
    for row in results.rows:
        for score in sorted(row.scores, key=lambda one: (one.steps, one.projected)):
            steps = Cell(f"{score.steps:,}", _kind(score))
            found = _of_runs(results, row, score)
            cells = (score_cell(metric, found[metric.field]) for metric in metrics)
            lines.append((Cell(row.recipe), steps, *cells))
    return Table(
        (Cell("System"), Cell("Steps"), *(heading(metric) for metric in metrics)), tuple(lines)
    )


def _kind(score: Score) -> str:
    return "projected" if score.projected else "own" if score.own else ""


def pairs_table(results: Results) -> Table | None:
    """Differences between systems that are to be compared, and between recipes with settings of
    their own and without; None if no two of them are there.
    """
    names = {row.recipe for row in results.rows}
    variants = [(name, *name.split("+", 1)) for name in sorted(names) if "+" in name]
    pairs = [pair for pair in (*PAIRS, *variants) if names.issuperset(pair[:2])]
    columns: list[tuple[Metric, Kind]] = [
        (metric, "own") for metric in _METRICS if metric.field in OF_PICTURES
    ]
    # With projection, consistency is the same for all.
    columns += [(metric, "projected") for metric in _METRICS if metric.field in QUALITY]
    found = {
        (one, other): [difference(results, one, other, each.field, kind) for each, kind in columns]
        for one, other, _ in pairs
    }
    kept = [n for n in range(len(columns)) if any(told[n] for told in found.values())]
    lines = []
    for one, other, thing in pairs:
        cells = [_difference_cell(columns[n][0], found[one, other][n]) for n in kept]
        lines.append((Cell(f"{one} − {other}"), Cell(thing), *cells))
    headings = [_heading(*columns[n]) for n in kept]
    header = (Cell("Pair"), Cell("What differs"), *headings)
    return Table(header, tuple(lines), words=2) if lines else None


def _heading(metric: Metric, kind: Kind) -> Cell:
    plain = heading(metric)
    return plain if kind == "own" else Cell(f"{plain.text}, {kind}", plain.small)


def _difference_cell(metric: Metric, difference: Difference | None) -> Cell:
    if difference is None:
        return Cell(NONE)
    found = difference.interval
    return difference_cell(metric, found, is_clear=not found.low <= 0 <= found.high)


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """The paper's claims and what the results say."""
    lines = [
        (
            Cell(one.claim),
            Cell(one.where),
            Cell(one.verdict, "" if one.has_seeds else ONE_SEED, bold=True),
            Cell(one.evidence),
        )
        for one in judgements
    ]
    header = tuple(map(Cell, ("Claim", "In the paper", "Here", "Evidence")))
    return Table(header, tuple(lines), words=4)


def _best(metric: Metric, values: Sequence[Interval | None]) -> int | None:
    """The place of the best one, if its interval overlaps no other's (see BOLD_RULE)."""
    sign = 1 if metric.higher_is_better else -1
    bounds = []
    for place, value in enumerate(values):
        if value is not None:
            low, high = sorted((sign * value.low, sign * value.high))
            bounds.append((sign * value.value, low, high, place))
    bounds.sort(reverse=True)
    if len(bounds) < 2:
        return None
    _, low, _, place = bounds[0]
    return place if all(high < low for _, _, high, _ in bounds[1:]) else None


def all_metrics_table(results: Results) -> Table:
    """Everything that the evaluations at the own number of steps say, metric by metric."""
    found = [*(row.own for row in results.rows), *results.baselines]
    names = [*(row.recipe for row in results.rows), *(one.model for one in results.baselines)]
    lines = []
    for metric in METRICS:
        values = [one[metric.field] for one in found]
        if any(value is not None for value in values):
            cells = map(_plain_cell, values)
            lines.append((Cell(metric.field), Cell(metric.description), *cells))
    return Table(tuple(map(Cell, ("Metric", "Unit", *names))), tuple(lines), words=2)


def _plain_cell(value: Interval | None) -> Cell:
    if value is None:
        return Cell(NONE)
    return Cell(f"{value.value:.4g}", f"[{value.low:.4g}, {value.high:.4g}]")


def settings_table(results: Results) -> Table:
    """The settings in which the systems differ."""
    found = {row.recipe: flat(row.settings) for row in results.rows}
    lines = []
    for key in dict.fromkeys(key for settings in found.values() for key in settings):
        values = [str(settings.get(key, NONE)) for settings in found.values()]
        if key != "model.recipe" and len(set(values)) > 1:
            lines.append((Cell(key), *map(Cell, values)))
    return Table(tuple(map(Cell, ("Setting", *found))), tuple(lines), words=1 + len(found))
