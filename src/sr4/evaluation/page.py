"""The page of an evaluation: what people look at, in one file that opens from disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from sr4.evaluation.cells import heading, score_cell, told
from sr4.evaluation.figures import DISTRIBUTED, distributions, reliability
from sr4.evaluation.metrics import Interval
from sr4.evaluation.table import FIELDS, METRICS, Metric
from sr4.plots.heatmap import Legend, colours, heatmap
from sr4.plots.pages import Card, embedded, render
from sr4.plots.tables import NONE, Cell, Table

if TYPE_CHECKING:
    from sr4.evaluation.report import Evaluation, Example, PictureScore, Reliability

_BY_CHANCE = 3  # pictures shown at random
_WORST = 5  # named for each metric
_COLOURS = 16  # of a scale
_MAP = "uncertainty"


class Scale(NamedTuple):
    """What explains a map, as templates take it."""

    colours: Sequence[str]
    most: int
    unit: str
    shows: str


def page(evaluation: Evaluation) -> str:
    """The whole page.

    Raises:
        MissingExtraError: Jinja2 or Matplotlib is not installed.
    """
    legend = evaluation.legend
    cards = embedded([_card(one, legend) for one in _shown(evaluation)])
    charts = list(distributions({evaluation.model: evaluation.pictures}))
    covered = reliability({evaluation.model: evaluation.reliability})
    sections = {
        "scores": "Scores",
        "pictures": "Pictures" if cards else "",
        "uncertainty": "Uncertainty" if covered else "",
        "distributions": "Distributions" if charts else "",
        "worst": "Worst cases" if evaluation.pictures else "",
        "protocol": "Protocol",
    }
    return render(
        Path(__file__).with_name("page.html.jinja"),
        title=f"{evaluation.model} on {evaluation.count:,} picture{'s' * (evaluation.count != 1)}",
        mark="made by `sr4 evaluate`",
        facts=_facts(evaluation),
        contents={name: text for name, text in sections.items() if text},
        scores=_scores(evaluation),
        notes=evaluation.notes,
        cards=cards,
        legend=None if legend is None else _scale(legend),
        covered=covered,
        levels=_levels(evaluation.reliability),
        charts=charts,
        worst=_worst(evaluation.pictures),
        protocol=evaluation.protocol,
    )


def _facts(evaluation: Evaluation) -> dict[str, str]:
    """What was scored, and what computed it, in words."""
    protocol = evaluation.protocol
    several = f", {evaluation.samples} samples a picture" if evaluation.samples > 1 else ""
    found = {
        "Test pictures": evaluation.data,
        "Sampling": protocol.get("sampling", "") + several,
        "Cost": f"{evaluation.nfe} network evaluation{'s' * (evaluation.nfe != 1)} and "
        f"{evaluation.seconds_per_image:.3g} s a sample",
        "Runtime": protocol.get("runtime", ""),
        "Processor": protocol.get("processor", ""),
        "Versions": protocol.get("versions", ""),
    }
    return {name: text for name, text in found.items() if text}


def _scores(evaluation: Evaluation) -> Table:
    """A line for each metric."""
    rows = []
    for metric in METRICS:
        value = evaluation[metric.field]
        if value is not None:
            cell = score_cell(metric, value)
            name = Cell(heading(metric).text, metric.description)
            rows.append((name, Cell(cell.text), Cell(cell.small)))
    header = tuple(map(Cell, ("Metric", "Score", "95 % interval")))
    return Table(header, tuple(rows))


def _shown(evaluation: Evaluation) -> list[Example]:
    """The worst, the best, and a few at random."""
    chosen = [one for one in evaluation.examples if one.title != "random"]
    return chosen + [one for one in evaluation.examples if one.title == "random"][:_BY_CHANCE]


def _card(example: Example, legend: Legend | None) -> Card:
    layers = {"bicubic": example.bicubic, "result": example.result, "truth": example.truth}
    if example.spread is not None and legend is not None:
        layers[_MAP] = heatmap(example.spread, legend.most / 255)
    facts = [f"PSNR {example.score.psnr:.2f} dB, of bicubic {example.bicubic_psnr:.2f} dB"]
    for metric in (FIELDS["ssim"], FIELDS["perceptual"]):
        value = example.score[metric.field]
        if value is not None:
            facts.append(f"{metric.title} {told(metric, value)}")
    name = PurePosixPath(example.score.name).name
    return Card(example.title.capitalize(), name, ", ".join(facts), example.size, layers)


def _scale(legend: Legend) -> Scale:
    steps = colours()[:: 255 // (_COLOURS - 1)].tolist()
    ramp = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in steps]
    return Scale(ramp, legend.most, legend.unit, legend.shows)


def _levels(points: Sequence[Reliability]) -> Table:
    """Stated and found coverage."""
    rows = tuple(
        (Cell(f"{100 * one.level:g} %"), _share(one.calibrated), _share(one.uncalibrated))
        for one in points
    )
    return Table(tuple(map(Cell, ("Stated", "Calibrated", "Uncalibrated"))), rows)


def _share(found: Interval | None) -> Cell:
    if found is None:
        return Cell(NONE)
    return Cell(f"{100 * found.value:.1f} %", f"[{100 * found.low:.1f}, {100 * found.high:.1f}]")


def _worst(pictures: Sequence[PictureScore]) -> Table:
    """The pictures with the worst scores, a column for each metric."""
    columns = []
    for metric in DISTRIBUTED:
        if metric.higher_is_better is not None:
            found = _ranked(pictures, metric)[:_WORST]
            if found:
                columns.append((heading(metric), found))
    rows = []
    for at in range(max((len(found) for _, found in columns), default=0)):
        cells = [found[at] if at < len(found) else Cell("") for _, found in columns]
        rows.append((Cell(f"{at + 1}"), *cells))
    header = (Cell("Rank"), *(head for head, _ in columns))
    return Table(header, tuple(rows), words=len(header))


def _ranked(pictures: Sequence[PictureScore], metric: Metric) -> list[Cell]:
    """Names and scores, the worst first."""
    scored = [(value, one.name) for one in pictures if (value := one[metric.field]) is not None]
    scored.sort(key=lambda one: one[0], reverse=not metric.higher_is_better)
    return [Cell(name, told(metric, value)) for value, name in scored]
