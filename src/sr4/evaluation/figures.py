"""The charts of evaluations: coverage by level, and how scores lie over pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sr4.errors import shorten
from sr4.evaluation.cells import told
from sr4.evaluation.table import OF_PICTURES, Metric
from sr4.plots.charts import Line, Panel, draw_svg

if TYPE_CHECKING:
    from sr4.evaluation.report import PictureScore, Reliability

_BINS = 5, 24  # at least, and at most
_LONGEST = 28  # letters of a name in a chart
_TOLD = 0.95  # the level whose coverage is told in words

DISTRIBUTED = [
    metric
    for metric in OF_PICTURES
    if metric.in_pictures and (metric.tables or metric.field == "coverage_95")
]
"""The metrics whose distribution is shown."""


class Chart(NamedTuple):
    """A chart as templates take it: an `<svg>`, with words for those who see it, and for those who
    do not.
    """

    svg: str
    caption: str
    alt: str


def reliability(systems: Mapping[str, Sequence[Reliability]]) -> Chart | None:
    """Stated coverage against found, of systems by name; None if none has any.

    A single system is shown without its calibration as well.
    """
    systems = {name: points for name, points in systems.items() if points}
    if not systems:
        return None
    lines = [Line("as stated", [0, 100], [0, 100])]
    for name, points in systems.items():
        prefix = f"{shorten(name, _LONGEST)}, " if len(systems) > 1 else ""
        calibrated = [one for one in points if one.calibrated is not None]
        if calibrated:
            lines.append(_line(f"{prefix}calibrated", calibrated, "calibrated"))
        if not calibrated or len(systems) == 1:
            lines.append(_line(f"{prefix}uncalibrated", points, "uncalibrated"))
    panel = Panel("Coverage", "stated, %", "found, %", lines, limits=(0, 102))
    caption = (
        "Share of the values of all pixels that lay in intervals which were to hold a stated "
        "share. Below the dotted line intervals are too narrow. Bands are 95 % intervals over "
        'pictures. "Uncalibrated": deviations of the samples, as of a normal distribution.'
    )
    return Chart(draw_svg(panel, "coverage"), caption, _told(lines[1:]))


def _line(name: str, points: Sequence[Reliability], kind: str) -> Line:
    found = [getattr(one, kind) for one in points]
    return Line(
        name,
        [100 * one.level for one in points],
        [100 * one.value for one in found],
        [100 * one.low for one in found],
        [100 * one.high for one in found],
    )


def _told(lines: Sequence[Line]) -> str:
    """What intervals of one level hold, in words."""
    texts = []
    for line in lines:
        at = int(np.argmin(np.abs(np.array(line.x) - 100 * _TOLD)))
        texts.append(f"{line.name}: {line.x[at]:g} % stated, {line.y[at]:.1f} % found")
    return "; ".join(texts)


def distributions(systems: Mapping[str, Sequence[PictureScore]]) -> Iterator[Chart]:
    """How the scores of pictures lie, a chart for each metric that all of the systems have.

    A metric that is the same for all pictures has none.
    """
    for metric in DISTRIBUTED:
        columns = {
            name: [value for one in pictures if (value := one[metric.field]) is not None]
            for name, pictures in systems.items()
        }
        values = np.array([value for column in columns.values() for value in column])
        if all(columns.values()) and values.min() < values.max():
            yield _distribution(metric, columns, (float(values.min()), float(values.max())))


def _distribution(
    metric: Metric, columns: Mapping[str, Sequence[float]], ends: tuple[float, float]
) -> Chart:
    count = math.ceil(math.sqrt(max(map(len, columns.values()))))
    edges = np.linspace(*ends, int(np.clip(count, *_BINS)) + 1)
    lines = [
        Line(shorten(name, _LONGEST), edges.tolist(), np.histogram(column, edges)[0].tolist())
        for name, column in columns.items()
    ]
    panel = Panel(metric.title, metric.unit or metric.title, "pictures", lines, binned=True)
    words, medians = [], []
    for name, column in columns.items():
        found = [told(metric, value) for value in np.percentile(column, (0, 25, 50, 75, 100))]
        least, low, median, high, most = found
        words.append(f"{name}: from {least} to {most}, half of them between {low} and {high}")
        medians.append(f"{name} {median}")
    caption = f"Medians: {', '.join(medians)}." if len(words) > 1 else _sentence(words[0])
    alt = f"{metric.title} of pictures. {'; '.join(words)}"
    return Chart(draw_svg(panel, metric.field.replace("_", "-")), caption, alt)


def _sentence(words: str) -> str:
    """Without the name of the only system."""
    text = words.rpartition(": ")[2]
    return f"{text[0].upper()}{text[1:]}."
