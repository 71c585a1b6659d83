"""The figures of an ablation: which there are, what they show, and in which words."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from sr4.ablation.results import CurvePoint, LossPoint, Results, Row, points
from sr4.build import build_schedule
from sr4.config import ScheduleSettings
from sr4.diffusion.schedules import TERMINAL_ALPHA_LIMIT, TerminalSNRWarning, alpha_sigma
from sr4.evaluation.table import FIELDS, Metric
from sr4.plots.charts import Line, Panel, draw

_LOSS_POINTS = 50  # of a curve: single steps vary by more than systems do
_PICTURES = "training pictures seen, thousands"


@dataclass(frozen=True)
class Figure:
    """A picture with its words.

    Args:
        name: of the file, without suffix.
        alt: what it shows, for those who do not see it.
    """

    name: str
    caption: str
    alt: str
    picture: Image.Image


def learning_curves(results: Results) -> Iterator[Figure]:
    """PSNR and consistency over the pictures seen (the paper's Figure 11)."""
    curves = {row.recipe: row.curve for row in results.rows if row.curve}
    if not curves:
        return
    training = results.rows[0].settings.training
    how = (
        f"One sample for each of up to {training.validation_images} pictures, in at most "
        f"{training.validation_steps} steps: the table's scores, of more steps, differ."
    )
    psnr, consistency = curve_panels(curves)
    yield Figure(
        "learning-psnr",
        f"PSNR while training (the paper's Figure 11). {how}",
        f"PSNR over training pictures seen. {_ends(psnr, 'dB')}",
        draw([psnr]),
    )
    yield Figure(
        "learning-consistency",
        "Consistency while training, lower is better, on a logarithmic axis.",
        f"Consistency over training pictures seen. {_ends(consistency, '× 1e-5')}",
        draw([consistency]),
    )


def curve_panels(curves: Mapping[str, Sequence[CurvePoint]]) -> tuple[Panel, Panel]:
    """PSNR and consistency of named validations."""

    def lines(figure: str) -> list[Line]:
        return [
            Line(name, _thousands(points), [getattr(point, figure) for point in points])
            for name, points in curves.items()
        ]

    return (
        Panel("PSNR", _PICTURES, "dB", lines("psnr")),
        Panel("Consistency", _PICTURES, "× 1e-5", lines("consistency"), log_y=True),
    )


def run_panels(name: str, metrics: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Loss, PSNR and consistency of one run, as far as there are any.

    Args:
        metrics: the lines of its metrics.jsonl.
    """
    losses = points(metrics, "train", LossPoint)
    curve = points(metrics, "validation", CurvePoint)
    panels = [loss_panel({name: losses})] if losses else []
    return [*panels, *curve_panels({name: curve})] if curve else panels


def loss_panel(losses: Mapping[str, Sequence[LossPoint]]) -> Panel:
    """Training loss of named runs, averaged over fiftieths of each."""
    lines = [_averaged(name, points) for name, points in losses.items()]
    return Panel("Training loss", _PICTURES, "loss", lines, log_y=True)


def _averaged(name: str, points: Sequence[LossPoint]) -> Line:
    parts = np.array_split(np.arange(len(points)), min(len(points), _LOSS_POINTS))
    x = [float(np.mean([points[i].images for i in part])) / 1000 for part in parts]
    return Line(name, x, [float(np.mean([points[i].loss for i in part])) for part in parts])


def loss_curves(results: Results) -> Iterator[Figure]:
    """What the systems minimise."""
    losses = {row.recipe: row.losses for row in results.rows if row.losses}
    if losses:
        panel = loss_panel(losses)
        yield Figure(
            "loss",
            "Training loss, averaged over fiftieths of the run. Values compare only between "
            "systems with the same loss and schedule: hybrid-vlb adds a bound, regression is "
            "scored on pixels, and noise that is easier to tell gives a lower loss.",
            f"Training loss over training pictures seen. {_ends(panel)}",
            draw([panel]),
        )


def _thousands(points: Sequence[CurvePoint]) -> list[float]:
    return [point.images / 1000 for point in points]


def _ends(panel: Panel, unit: str = "") -> str:
    """Where the lines of a panel end, in words."""
    ends = (f"{' '.join(line.name.split())} {line.y[-1]:.4g}" for line in panel.lines)
    return f"At the right end{', in ' + unit if unit else ''}: {', '.join(ends)}."


def attention_maps(results: Results) -> Iterator[Figure]:
    """Mean and spread of the map of the input attention (the paper's section 5.1)."""
    lines = [line for row in results.rows if (line := _map_line(row))]
    if lines:
        title, limits = "Map of the input attention", (0.0, 1.0)
        panel = Panel(title, _PICTURES, "value of the map", lines, limits=limits)
        last = ", ".join(
            f"{line.name} {line.y[-1]:.3f} ± {line.high[-1] - line.y[-1]:.3f}" for line in lines
        )
        yield Figure(
            "attention-map",
            "Mean of the attention map, with a band of one standard deviation to both sides. The "
            f"paper saw a mean of 0.5 and a variance near 0 (section 5.1). At the end: {last}.",
            f"Mean and spread of the map over training pictures seen. At the end: {last}.",
            draw([panel]),
        )


def _map_line(row: Row) -> Line | None:
    points = [
        (point.images / 1000, point.map_mean, point.map_spread)
        for point in row.curve
        if point.map_mean is not None and point.map_spread is not None
    ]
    if not points:
        return None
    x, mean, spread = (np.array(values) for values in zip(*points, strict=True))
    return Line(
        row.recipe, x.tolist(), mean.tolist(), *((mean - spread).tolist(), (mean + spread).tolist())
    )


def scores_over_steps(results: Results) -> Iterator[Figure]:
    """Scores over network evaluations, one figure for each of two metrics that pull apart."""
    for metric in (FIELDS["psnr"], FIELDS["kid_efflite0"]):
        panel = steps_panel(results, metric)
        if panel.lines:
            yield Figure(
                f"steps-{metric.field.partition('_')[0]}",
                f"{metric.title} over network evaluations for one picture. Bars are 95 % "
                "intervals; systems are set apart a little sideways.",
                f"{metric.title} over network evaluations. {_ends(panel, metric.unit)}",
                draw([panel]),
            )


def steps_panel(results: Results, metric: Metric) -> Panel:
    lines = []
    for number, row in enumerate(results.rows):
        aside = 1.025 ** (number - (len(results.rows) - 1) / 2)
        found = [
            (score.steps * aside, value)
            for score in sorted(row.scores, key=lambda one: one.steps)
            if not score.projected
            if (value := score.evaluation[metric.field]) is not None
        ]
        if found:
            x, values = zip(*found, strict=True)
            bounds = ([one.low for one in values], [one.high for one in values])
            lines.append(Line(row.recipe, x, [one.value for one in values], *bounds))
    levels = [
        (one.model, value.value)
        for one in results.baselines
        if (value := one[metric.field]) is not None
    ]
    unit = metric.unit or metric.title
    return Panel(
        metric.title, "network evaluations", unit, lines, log_x=True, measured=True, levels=levels
    )


def schedules(results: Results) -> Iterator[Figure]:
    """The schedules of the systems (the paper's Figure 3)."""
    found = {row.recipe: row.settings.model.schedule for row in results.rows}
    level, rest = schedule_panels(found)
    if level.lines:
        yield Figure(
            "schedule-gamma",
            "The schedules (the paper's Figure 3): gamma, the cumulative product of alpha, is the "
            f"share of the picture in the variance of x_t. {_users(found)}",
            f"gamma over time for {len(level.lines)} schedules. {_ends(level)}",
            draw([level]),
        )
        yield Figure(
            "schedule-end",
            "What the schedules leave of the picture: sqrt(gamma), on a logarithmic axis. Sampling "
            "starts from pure noise, so what is left at t = 1 is missing there; a schedule that "
            f"leaves more than {TERMINAL_ALPHA_LIMIT} warns.",
            f"sqrt(gamma) over time. {_ends(rest)}",
            draw([rest]),
        )


def schedule_panels(found: Mapping[str, ScheduleSettings]) -> tuple[Panel, Panel]:
    """gamma, and sqrt(gamma) on a logarithmic axis, of the schedules of named systems; equal
    ones are drawn once.
    """
    names: dict[ScheduleSettings, str] = {}
    for name, settings in found.items():
        if settings.is_diffusion:
            names.setdefault(settings, name)
    t = np.linspace(0, 1, 501)
    levels, roots = [], []
    for settings, name in names.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TerminalSNRWarning)  # the chart shows it
            alpha = alpha_sigma(build_schedule(settings).log_snr(t))[0]
        label = settings.title
        levels.append(Line(label, t.tolist(), (alpha**2).tolist(), like=name))
        roots.append(Line(label, t.tolist(), alpha.tolist(), like=name))
    x_label, limit = "t, from clean to noise", ("warning above", TERMINAL_ALPHA_LIMIT)
    return (
        Panel("gamma", x_label, "cumulative product of alpha", levels),
        Panel("sqrt(gamma)", x_label, "of the picture in x_t", roots, log_y=True, levels=[limit]),
    )


def _users(found: Mapping[str, ScheduleSettings]) -> str:
    """Which systems have which schedule."""
    users: dict[str, list[str]] = {}
    for name, settings in found.items():
        if settings.is_diffusion:
            users.setdefault(settings.title, []).append(name)
    return "; ".join(f"{' '.join(kind.split())}: {', '.join(all_)}" for kind, all_ in users.items())
