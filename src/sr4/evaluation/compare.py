"""Reports set beside each other: their scores, and tests on the pictures that all have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sr4.errors import UsageError
from sr4.evaluation.metrics import Interval, bootstrap
from sr4.evaluation.paired import SIGNIFICANT, holm, p_values
from sr4.evaluation.reading import read_report
from sr4.evaluation.report import Evaluation
from sr4.evaluation.table import METRICS, OF_PICTURES, Metric, PictureMetric

TRUTH = "truth"
"""What no system is called, since the original is."""

IN_PAIRS = [
    metric for metric in OF_PICTURES if metric.tables and metric.higher_is_better is not None
]
"""The metrics in which systems are compared picture by picture."""

_ALIKE = ("pixels", "degradation", "corruption")  # of protocols: what all scores hang on

Place = tuple[str, int]
"""A picture: its name, and how many of the same name stand before it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class System(_Record):
    """A report among others.

    Attributes:
        name: what tells it from the others; folder: of the report.
        lines: of the pictures that all have, in the order of the first report's, in its own.
    """

    name: str
    folder: Path
    evaluation: Evaluation
    lines: tuple[int, ...] = Field(exclude=True, repr=False)

    def column(self, metric: Metric) -> list[float | None]:
        """The scores of the pictures that all have."""
        return [self.evaluation.pictures[line][metric.field] for line in self.lines]


class Pair(_Record):
    """Two systems in one metric.

    Attributes:
        difference: mean of the first one's scores minus the second one's, over the pictures.
        p: how often chance alone gives as much; p_corrected: with as many comparisons as there are.
        is_clear: whether that is below 0.05.
    """

    one: str
    other: str
    metric: str
    difference: Interval
    p: float
    p_corrected: float
    is_clear: bool


class Comparison(_Record):
    """Several reports beside each other.

    Attributes:
        count: pictures that all have.
        scores: of each system by metric, over those pictures.
        notes: what could not be compared, and why.
    """

    systems: tuple[System, ...]
    count: int
    scores: Mapping[str, Mapping[str, Interval]]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]


def compare(folders: Sequence[Path]) -> Comparison:
    """Set reports beside each other.

    Raises:
        UsageError: a folder is no report, there is one only, or their scores do not compare: other
            pictures, another border, another degradation.
    """
    if len(folders) < 2:
        raise UsageError(
            f"got {len(folders)} report; expected at least 2 to set beside each other: name more"
        )
    systems = _common(folders, [read_report(folder) for folder in folders])
    metrics, notes = _comparable(systems)
    return Comparison(
        systems=tuple(systems),
        count=len(systems[0].lines),
        scores=_scores(systems, metrics),
        pairs=tuple(_pairs(systems, [one for one in IN_PAIRS if one in metrics])),
        notes=(*_about_pictures(systems), *notes),
    )


def _common(folders: Sequence[Path], found: Sequence[Evaluation]) -> list[System]:
    """The reports by name, with the pictures that all have."""
    _check_alike(folders, found)
    places = [_places(evaluation) for evaluation in found]
    common = [place for place in places[0] if all(place in others for others in places)]
    lines = [tuple(one[place] for place in common) for one in places]
    _check_pictures(folders, found, common, lines)
    given = zip(_names(folders, found), folders, found, lines, strict=True)
    return [
        System(name=name, folder=folder, evaluation=evaluation, lines=own)
        for name, folder, evaluation, own in given
    ]


def _check_alike(folders: Sequence[Path], found: Sequence[Evaluation]) -> None:
    """Refuse reports whose scores were taken in different ways."""
    for folder, evaluation in zip(folders, found, strict=True):
        for key in _ALIKE:
            ours, theirs = (one.protocol.get(key, "none") for one in (found[0], evaluation))
            if ours != theirs:
                raise UsageError(
                    f"got reports whose scores do not compare: {key} is {ours!r} in {folders[0]} "
                    f"and {theirs!r} in {folder}; expected the same: evaluate both alike"
                )


def _check_pictures(
    folders: Sequence[Path],
    found: Sequence[Evaluation],
    common: Sequence[Place],
    lines: Sequence[tuple[int, ...]],
) -> None:
    """Refuse reports without common pictures, or whose pictures of one name are not the same."""
    first, *_ = folders
    if not common:
        raise UsageError(
            f"got reports without a picture that is in all of {', '.join(map(str, folders))}; "
            "expected the same test pictures: evaluate on the same --data"
        )
    for folder, evaluation, own in zip(folders, found, lines, strict=True):
        for (name, _), line, other in zip(common, own, lines[0], strict=True):
            sums = {evaluation.pictures[line].sha256, found[0].pictures[other].sha256} - {""}
            if len(sums) > 1:
                raise UsageError(
                    f"got another picture by the name {name!r} in {folder} than in {first}; "
                    "expected the same test pictures: evaluate on the same --data"
                )
        if "corruption" in evaluation.protocol and not _is_degraded_alike(
            (found[0], lines[0]), (evaluation, own)
        ):
            raise UsageError(
                f"got pictures that were degraded otherwise in {folder} than in {first}, as those "
                "at other places in the data are; expected the same: evaluate on the same --data"
            )


def _is_degraded_alike(*reports: tuple[Evaluation, tuple[int, ...]]) -> bool:
    """Whether pictures at lines of reports come from the same low_res. What becomes of a picture
    follows from its place in the data, which a line tells where no picture was left out: reports of
    earlier versions have nothing else.
    """
    (ours, own), (theirs, others) = (
        ([evaluation.pictures[line].low_res_sha256 for line in lines], lines)
        for evaluation, lines in reports
    )
    return ours == theirs if all(ours) and all(theirs) else own == others


def _places(evaluation: Evaluation) -> dict[Place, int]:
    """The lines of pictures; those of one name are told apart by their order."""
    seen: Counter[str] = Counter()
    found = {}
    for line, picture in enumerate(evaluation.pictures):
        found[picture.name, seen[picture.name]] = line
        seen[picture.name] += 1
    return found


def _names(folders: Sequence[Path], found: Sequence[Evaluation]) -> list[str]:
    """Of the models; with the folder where that does not tell them apart."""
    models = [evaluation.model for evaluation in found]
    names: list[str] = []
    for model, folder in zip(models, folders, strict=True):
        is_taken = models.count(model) > 1 or model == TRUTH
        name = f"{model} ({folder.resolve().name})" if is_taken else model
        again = 1 + sum(one == name or one.startswith(f"{name} #") for one in names)
        names.append(name if again == 1 else f"{name} #{again}")
    return names


def _comparable(systems: Sequence[System]) -> tuple[list[Metric], list[str]]:
    """The metrics that were taken alike by all that have them, and what to know of the others."""
    metrics: list[Metric] = []
    apart: list[str] = []
    of_sets: list[str] = []
    is_whole = all(len(one.lines) == one.evaluation.count for one in systems)
    for metric in METRICS:
        having = [one for one in systems if one.evaluation[metric.field] is not None]
        is_known = is_whole or (isinstance(metric, PictureMetric) and metric.in_pictures)
        if len({_protocol(one.evaluation, metric.field) for one in having}) > 1:
            apart.append(metric.field)
        elif having and not is_known:
            of_sets.append(metric.field)
        elif having:
            metrics.append(metric)
    reasons = {
        "taken in different ways": apart,
        "known of whole test sets alone": of_sets,
    }
    return metrics, [f"left out, {why}: {', '.join(of)}" for why, of in reasons.items() if of]


def _protocol(evaluation: Evaluation, field: str) -> str:
    """How a metric was taken: protocols tell metrics that are taken alike together."""
    texts = [
        text
        for key, text in evaluation.protocol.items()
        if field in key.removeprefix("features of ").split(", ")
    ]
    return "; ".join(texts)


def _about_pictures(systems: Sequence[System]) -> Iterator[str]:
    count = len(systems[0].lines)
    if any(one.evaluation.count != count for one in systems):
        counts = ", ".join(f"{one.evaluation.count:,} of {one.name}" for one in systems)
        yield f"compared on the {count:,} pictures that all reports have, of {counts}"
    without = [one.name for one in systems if not all(p.sha256 for p in one.evaluation.pictures)]
    if without:
        yield (
            f"pictures are known to be the same by name alone: {', '.join(without)} comes from an "
            "earlier version, which kept no checksums"
        )


def _scores(systems: Sequence[System], metrics: Sequence[Metric]) -> dict[str, dict[str, Interval]]:
    """Of all pictures as the reports have them, of fewer anew."""
    found: dict[str, dict[str, Interval]] = {}
    for metric in metrics:
        for one in systems:
            value = one.evaluation[metric.field]
            if value is not None and len(one.lines) < one.evaluation.count:
                value = _again(one, metric)
            if value is not None:
                found.setdefault(metric.field, {})[one.name] = value
    return found


def _again(system: System, metric: Metric) -> Interval | None:
    values = [value for value in system.column(metric) if value is not None]
    if not values or not isinstance(metric, PictureMetric):
        return None
    if len(values) < len(system.lines) and not metric.of_some:
        return None
    return bootstrap(values, over=metric.over).within(metric.limits)


def _pairs(systems: Sequence[System], metrics: Sequence[Metric]) -> list[Pair]:
    """Each two systems in each metric that both have of all pictures."""
    asked: list[dict[str, Any]] = []
    columns = []
    for one, other in combinations(systems, 2):
        for metric in metrics:
            ours, theirs = (np.array(side.column(metric), float) for side in (one, other))
            difference = ours - theirs
            if np.isfinite(difference).all():
                asked.append({"one": one.name, "other": other.name, "metric": metric.field})
                columns.append(difference)
    if not columns:
        return []
    found = p_values(np.stack(columns, axis=1))
    return [
        Pair(
            **names,
            difference=bootstrap(difference),
            p=float(p),
            p_corrected=float(corrected),
            is_clear=bool(corrected < SIGNIFICANT),
        )
        for names, difference, p, corrected in zip(asked, columns, found, holm(found), strict=True)
    ]
