"""The tables and the page of a comparison, and the folder that it can be written to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from PIL import Image

from sr4.errors import UsageError
from sr4.evaluation.cells import difference_cell, heading, score_cell
from sr4.evaluation.compare import TRUTH, Comparison, System
from sr4.evaluation.figures import distributions, reliability
from sr4.evaluation.gallery import lot
from sr4.evaluation.paired import FLIPS
from sr4.evaluation.protocol import shared
from sr4.evaluation.report import PAGE, PICTURES, PictureScore, write_report
from sr4.evaluation.table import FIELDS
from sr4.files.kinds import FolderKind, holds
from sr4.pictures.rgb import read_image
from sr4.plots.pages import Card, embedded, render
from sr4.plots.tables import NONE, Cell, Table

COMPARISON = "comparison.json"
KIND = FolderKind(
    "holds no comparison", holds(COMPARISON, "systems", "scores", "pairs"), UsageError
)
RULE = (
    "Mean difference over the pictures, first system minus second, with its 95 % bootstrap "
    f"interval. p: how often {FLIPS:,} random flips of the differences' signs give as much, "
    "corrected for the number of comparisons (Holm). Better or worse is said where it is below "
    "0.05."
)
_SHOWN = 9  # pictures
_BICUBIC = "bicubic"


def score_table(comparison: Comparison) -> Table:
    """A line for each metric, a column for each system."""
    rows = []
    for field, scores in comparison.scores.items():
        metric = FIELDS[field]
        cells = [score_cell(metric, scores.get(one.name)) for one in comparison.systems]
        rows.append((Cell(heading(metric).text, metric.description), *cells))
    names = (Cell(one.name) for one in comparison.systems)
    return Table((Cell("Metric"), *names), tuple(rows))


def pairs_table(comparison: Comparison) -> Table:
    """A line for each two systems, a column for each metric."""
    fields = list(dict.fromkeys(pair.metric for pair in comparison.pairs))
    found = {(pair.one, pair.other, pair.metric): pair for pair in comparison.pairs}
    rows = []
    for one, other in dict.fromkeys((pair.one, pair.other) for pair in comparison.pairs):
        cells = []
        for field in fields:
            pair = found.get((one, other, field))
            cells.append(
                Cell(NONE)
                if pair is None
                else difference_cell(
                    FIELDS[field],
                    pair.difference,
                    is_clear=pair.is_clear,
                    remark=f"p {shown_p(pair.p_corrected)}",
                )
            )
        rows.append((Cell(f"{one} − {other}"), *cells))
    return Table((Cell("Pair"), *(heading(FIELDS[field]) for field in fields)), tuple(rows))


def shown_p(p: float) -> str:
    """A p-value in as many digits as it is known to."""
    return f"{p:.2f}" if p >= 0.095 else f"{p:.1g}"


def write(comparison: Comparison, folder: Path, *, overwrite: bool = False) -> Path:
    """Write comparison.json and index.html, a page that opens from disk, into a new folder.

    Raises:
        UsageError: the folder exists and is not empty (without `overwrite`).
        MissingExtraError: Jinja2 or Matplotlib is not installed.
        PictureError: a picture of a report cannot be read.
        SR4Error: it cannot be written.
    """
    text = page(comparison)

    def fill(place: Path) -> None:
        said = comparison.model_dump_json(indent=2) + "\n"
        (place / COMPARISON).write_text(said, encoding="utf-8", newline="")
        (place / PAGE).write_text(text, encoding="utf-8", newline="")

    return write_report(folder, KIND, fill, overwrite=overwrite)


def page(comparison: Comparison) -> str:
    """The whole page."""
    systems = comparison.systems
    cards = embedded(list(_cards(comparison)))
    charts = list(distributions({one.name: _pictures(one) for one in systems}))
    covered = reliability({one.name: one.evaluation.reliability for one in systems})
    sections = {
        "scores": "Scores",
        "pairs": "Pairs" if comparison.pairs else "",
        "pictures": "Pictures" if cards else "",
        "uncertainty": "Uncertainty" if covered else "",
        "distributions": "Distributions" if charts else "",
        "protocol": "Protocol",
    }
    count = comparison.count
    return render(
        Path(__file__).with_name("compare.html.jinja"),
        title=f"{len(systems)} systems on {count:,} picture{'s' * (count != 1)}",
        mark="made by `sr4 compare`",
        facts={one.name: _fact(one) for one in systems},
        contents={name: text for name, text in sections.items() if text},
        scores=score_table(comparison),
        notes=comparison.notes,
        pairs=pairs_table(comparison),
        rule=RULE,
        cards=cards,
        sides=(systems[0].name, systems[1].name),
        covered=covered,
        charts=charts,
        protocol=shared({one.name: one.evaluation.protocol for one in systems}),
    )


def _pictures(system: System) -> list[PictureScore]:
    return [system.evaluation.pictures[line] for line in system.lines]


def _fact(system: System) -> str:
    evaluation = system.evaluation
    return f"{evaluation.count:,} pictures of {evaluation.data}, report {system.folder.name}"


def _cards(comparison: Comparison) -> Iterator[Card]:
    """The pictures that all reports hold, those that were chosen at random before others."""
    systems = comparison.systems
    held = [
        at
        for at in range(comparison.count)
        if all((_folder(one, at) / "result.png").is_file() for one in systems)
    ]
    held.sort(key=lambda at: lot(_pictures(systems[0])[at].name))
    for at in held[:_SHOWN]:
        name = _pictures(systems[0])[at].name
        layers = {_BICUBIC: _read(systems[0], at, "bicubic")}
        layers |= {one.name: _read(one, at, "result") for one in systems}
        layers[TRUTH] = _read(systems[0], at, "truth")
        sizes = {picture.size for picture in layers.values()}
        if len(sizes) > 1:
            raise UsageError(
                f"got pictures of {name!r} in different sizes; expected those that `sr4 evaluate` "
                "wrote: evaluate again"
            )
        psnr = FIELDS["psnr"]
        scores = [
            f"{one.name} {psnr.shown(value)}"
            for one in systems
            if (value := one.column(psnr)[at]) is not None
        ]
        facts = f"PSNR in dB: {', '.join(scores)}"
        yield Card(f"Picture {at + 1}", PurePosixPath(name).name, facts, sizes.pop(), layers)


def _folder(system: System, at: int) -> Path:
    return system.folder / PICTURES / str(system.lines[at])


def _read(system: System, at: int, layer: str) -> Image.Image:
    return read_image(_folder(system, at) / f"{layer}.png")
