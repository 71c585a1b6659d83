"""What a benchmark found, for people: a table, its legend, and a plot of speed against quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from sr4.bench.benchmark import Benchmark
from sr4.bench.row import Row
from sr4.bench.speed import Spread
from sr4.errors import MissingExtraError, UsageError
from sr4.evaluation.report import check_report_folder, write_report
from sr4.evaluation.table import FIELDS, METRICS
from sr4.files.kinds import FolderKind, holds
from sr4.pictures import write_image
from sr4.plots.charts import Line, Panel, draw

_SCORES = [metric for metric in METRICS if metric.tables == "all"]
RESULTS, TABLE, PLOT = "results.json", "report.md", "speed.png"
BENCHMARK = FolderKind(
    "holds no report of a benchmark", holds(RESULTS, "rows", "failures", "peak", "cpus"), UsageError
)

HEADER = (
    "model",
    "NFE",
    "backend",
    "ms a picture [range]",
    "ms an evaluation",
    "GFLOPs",
    "of peak",
    "memory",
    *(metric.title for metric in _SCORES),
    "times faster",
)
_NONE = "-"


def table(benchmark: Benchmark) -> list[tuple[str, ...]]:
    """A line of text cells for each row, in the order of HEADER."""
    return [tuple(_cells(row)) for row in benchmark.rows]


def _cells(row: Row) -> Iterator[str]:
    quality, speed = row.quality, row.speed
    yield row.model if row.trained else f"{row.model}, untrained"
    yield f"{row.nfe:,}"
    yield row.backend
    yield _milliseconds(speed.seconds) + (" computed" if speed.computed else "")
    yield _number(1000 * speed.evaluation_seconds.median)
    yield _NONE if row.gflops is None else _number(row.gflops)
    yield _NONE if row.share_of_peak is None else f"{row.share_of_peak.median:.0%}"
    yield _NONE if row.memory_bytes is None else f"{row.memory_bytes / 1e6:,.0f} MB"
    for metric in _SCORES:
        score = None if quality is None else quality[metric.field]
        yield _NONE if score is None else str(score)
    yield _NONE if row.times_faster is None else _number(row.times_faster)


def told(row: Row) -> str:
    """A row by itself, in one line."""
    parts = [f"{row.title}: {_milliseconds(row.speed.seconds)} ms a picture"]
    parts += ["computed"] if row.speed.computed else []
    if row.quality is not None:
        scores = [(metric.title, row.quality[metric.field]) for metric in _SCORES]
        parts += [f"{title} {score}" for title, score in scores if score is not None]
    return ", ".join(parts)


def _milliseconds(spread: Spread) -> str:
    median, low, high = (_number(1000 * one) for one in (spread.median, spread.low, spread.high))
    return f"{median} [{low}, {high}]"


def _number(value: float) -> str:
    """Three figures at least, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def legend(benchmark: Benchmark) -> Iterator[str]:
    """What the table does not say of itself, line by line."""
    where = ", ".join(f"{name} {number}" for name, number in benchmark.versions.items())
    yield f"machine: {benchmark.processor}, {benchmark.cpus} CPUs; {where}"
    yield (
        "ms a picture: one picture alone, warmed up, from low-res to high-res pixels; median "
        "[range]. Memory: the most that the row's own process held until then."
    )
    if any(row.speed.computed for row in benchmark.rows):
        yield "computed: the steps times the measured time of one."
    for row in benchmark.rows:
        if row.speed.full_seconds is not None:
            yield (
                f"{row.title}: one picture was really drawn, in {row.speed.full_seconds:,.1f} s; "
                f"computed: {row.speed.seconds.median:,.1f} s."
            )
    if benchmark.peak is not None:
        yield (
            "of peak: the network's GFLOP/s, in whatever precision, over those of the fastest of "
            f"{len(benchmark.peak.all)} 3x3 convolutions of torch in bf16, measured in turn, "
            "median of the rounds. The best of all: "
            f"{benchmark.peak.gflops_per_second:,.0f} GFLOP/s, {benchmark.peak.convolution}."
        )
    if benchmark.baseline is not None:
        yield (
            f"times faster: a picture, than {benchmark.baseline}. Models without an exported graph "
            "run in float32."
        )
    if benchmark.data is not None:
        scores = "; ".join(f"{one.title} ({one.field}): {one.description}" for one in _SCORES)
        yield (
            f"quality: at most {benchmark.limit} pictures of {benchmark.data}, 95 % intervals; "
            f"{scores}."
        )


def notes(benchmark: Benchmark) -> Iterator[str]:
    """What was left out, and what else to know; rows with the same note share a line."""
    yield from benchmark.notes
    said = sorted((note, index) for index, row in enumerate(benchmark.rows) for note in row.notes)
    for note, found in groupby(said, key=lambda one: one[0]):
        titles = [benchmark.rows[index].title for _, index in found]
        everywhere = len(titles) == len(benchmark.rows)
        yield note if everywhere else f"{'; '.join(titles)}: {note}"


def check_out(folder: Path, *, overwrite: bool = False, with_plot: bool = True) -> None:
    """Ask before the work whether `write` could write there; errors as there."""
    check_report_folder(folder, overwrite=overwrite, kind=BENCHMARK)
    if with_plot and find_spec("matplotlib") is None:
        raise MissingExtraError("the plot of a benchmark", "matplotlib", "train")


def write(benchmark: Benchmark, folder: Path, *, overwrite: bool = False) -> Path:
    """Write results.json, report.md and, where quality was measured, speed.png into a new folder.

    Raises:
        UsageError: the folder exists and is not empty, or not a benchmark's (with `overwrite`).
        MissingExtraError: Matplotlib is not installed.
        SR4Error: it cannot be written.
    """
    return write_report(
        folder, BENCHMARK, lambda place: _fill(benchmark, place), overwrite=overwrite
    )


def _fill(benchmark: Benchmark, folder: Path) -> None:
    panels = speed_panels(benchmark)
    text = "\n".join(_markdown(benchmark, bool(panels))) + "\n"
    (folder / RESULTS).write_text(benchmark.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / TABLE).write_text(text, encoding="utf-8")
    if panels:
        write_image(draw(panels, columns=len(panels)), folder / PLOT)


def _markdown(benchmark: Benchmark, with_plot: bool) -> Iterator[str]:
    yield "# Speed and quality"
    yield ""
    yield f"| {' | '.join(HEADER)} |"
    yield "|---" * len(HEADER) + "|"
    for cells in table(benchmark):
        yield f"| {' | '.join(cells)} |"
    if with_plot:
        yield ""
        yield f"![Quality over milliseconds a picture]({PLOT})"
    for title, lines in (
        ("Legend", list(legend(benchmark))),
        ("Notes", list(notes(benchmark))),
        ("Failures", benchmark.failures),
        ("Missing, since it was interrupted", benchmark.missing),
    ):
        if lines:
            yield ""
            yield f"## {title}"
            yield ""
            yield from (f"- {line}" for line in lines)


def speed_panels(benchmark: Benchmark) -> list[Panel]:
    """Kernel distance and PSNR over milliseconds a picture, a line for each model and backend; how
    long the unscored take. Nothing where none was scored.
    """
    scored = [row for row in benchmark.rows if row.quality is not None]
    marks = [
        (f"{row.model}, {row.nfe:,} steps", 1000 * row.speed.seconds.median)
        for row in benchmark.rows
        if row.quality is None
    ]
    panels = []
    for metric in (FIELDS["kid_efflite0"], FIELDS["psnr"]):
        lines = list(_lines(scored, metric.field))
        if lines:
            panels.append(
                Panel(
                    f"{metric.title}: {'higher' if metric.higher_is_better else 'lower'} is better",
                    "milliseconds a picture; numbers at the points: network evaluations",
                    metric.unit,
                    lines,
                    log_x=True,
                    measured=True,
                    marks=marks,
                    key=True,
                )
            )
    return panels


def _lines(scored: Sequence[Row], metric: str) -> Iterator[Line]:
    """The rows of each model and backend. Numbers of evaluations stand at the fastest backend's
    points alone, since those of the others lie beside them.
    """
    fastest = {}
    for row in sorted(scored, key=lambda row: -row.speed.seconds.median / row.nfe):
        fastest[row.model] = row.backend
    for (model, backend), group in groupby(scored, key=lambda row: (row.model, row.backend)):
        found = [(row, row.quality[metric]) for row in group if row.quality is not None]
        rows = [row for row, score in found if score is not None]
        scores = [score for _, score in found if score is not None]
        if rows:
            yield Line(
                f"{model}, {backend}",
                [1000 * row.speed.seconds.median for row in rows],
                [score.value for score in scores],
                [score.low for score in scores],
                [score.high for score in scores],
                texts=[str(row.nfe) for row in rows] if backend == fastest[model] else (),
            )
