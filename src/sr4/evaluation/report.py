"""What an evaluation found, and the folder it can be written to."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from sr4.errors import SR4Error, UsageError, reason
from sr4.evaluation.metrics import Interval
from sr4.evaluation.page import page
from sr4.evaluation.table import FIELDS, IN_PICTURES, METRICS
from sr4.files.kinds import FolderKind, holds
from sr4.pictures import write_image
from sr4.plots.comparison import comparison_picture
from sr4.plots.heatmap import Legend

REPORT, SCORES, PAGE, PICTURES = "report.json", "per_picture.csv", "index.html", "pictures"
LAYERS = ("low_res", "bicubic", "result", "truth")
"""Files of each folder in `pictures/`, whose name is the line of the picture in `per_picture.csv`,
from 0 on."""

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
EVALUATION = FolderKind(
    "holds no report",
    holds(REPORT, "model", "data", "count", "nfe", "seconds_per_image", "protocol"),
    UsageError,
)


class PictureScore(BaseModel):
    """The scores of one picture's first sample, by the fields of `sr4.evaluation.table`; None where
    one cannot be given.

    Attributes:
        sha256: the first 16 digits, of the size and the 8-bit pixels of the original;
            low_res_sha256: of what the result was made of. Both are "" in reports of versions that
            kept none.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    name: str
    sha256: str = ""
    low_res_sha256: str = ""

    def __getitem__(self, field: str) -> float | None:
        """The score of that field; None if there is none."""
        return self.__pydantic_extra__.get(field)

    if TYPE_CHECKING:  # the fields of the table, which no type checker reads

        def __getattr__(self, field: str) -> Any: ...


@dataclass(frozen=True)
class Example:
    """One picture of the set, to look at; of a large one the middle.

    Args:
        title: why it is shown: "worst", "second best" or "random".
        place: among all pictures.
        bicubic_psnr: of bicubic upscaling, as that of the result.
        size: width and height of the whole picture.
        spread: how unsure the result is of each pixel, (H, W) on the [0, 1] scale: half the 90 %
            interval, or the deviation of the samples where there is no calibration.
    """

    title: str
    place: int
    score: PictureScore
    bicubic_psnr: float
    size: tuple[int, int]
    low_res: Image.Image
    bicubic: Image.Image
    result: Image.Image
    truth: Image.Image
    spread: NDArray[np.float32] | None = None


class Reliability(BaseModel):
    """How many of the pixels' values lay in intervals that were to hold a share of them.

    Attributes:
        level: the share that is stated.
        calibrated: what the calibrated intervals held, with its interval over the pictures; None
            without a calibration.
        uncalibrated: what as many deviations held as would hold it of a normal distribution.
    """

    model_config = ConfigDict(frozen=True)

    level: float
    calibrated: Interval | None
    uncalibrated: Interval


class Evaluation(BaseModel):
    """The scores of a model on a set of pictures, with the protocol that makes them comparable.

    Beside its own fields it has those of all metrics of `sr4.evaluation.table`. Metrics of single
    pictures are means with 95 % bootstrap intervals over the pictures. `None` says that a metric
    was not computed; `notes` say why, except of `kid` and `fid`, which need weights that the user
    names. All but pictures, examples, legend and shares survive a round trip through JSON.

    Attributes:
        reliability: stated and found coverage by level, of several samples.
        legend: what the maps of the examples show.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="allow")
    __pydantic_extra__: dict[str, Interval | None] = Field(init=False)

    model: str
    data: str
    count: int
    samples: int
    nfe: int
    seconds_per_image: float
    protocol: dict[str, str]
    notes: tuple[str, ...] = ()
    reliability: tuple[Reliability, ...] = ()
    legend: Legend | None = Field(default=None, exclude=True, repr=False)
    pictures: tuple[PictureScore, ...] = Field(default=(), exclude=True, repr=False)
    examples: tuple[Example, ...] = Field(default=(), exclude=True, repr=False)
    # Of distances of sets, by field: each picture's share, whose mean estimates it.
    shares: dict[str, tuple[float, ...]] = Field(default={}, exclude=True, repr=False)

    def __getitem__(self, field: str) -> Interval | None:
        """The score of that field; None if it was not computed."""
        return self.__pydantic_extra__.get(field)

    if TYPE_CHECKING:  # the fields of the table, which no type checker reads

        def __getattr__(self, field: str) -> Any: ...

    def table(self) -> Iterator[tuple[str, str, str]]:
        """Name, value and unit of all that was measured."""
        for metric in METRICS:
            if (value := self[metric.field]) is not None:
                yield metric.field, str(value), metric.description
        yield "nfe", str(self.nfe), "network evaluations for one picture"
        yield "seconds_per_image", f"{self.seconds_per_image:.4g}", "s, for one sample"

    def write(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write report.json, report.md, per_picture.csv, comparison.png, index.html, a page that
        opens from disk, and pictures/, what it shows, into a new folder.

        The folder appears with all of them or not at all.

        Raises:
            MissingExtraError: what pages are made with is not installed.
            UsageError: the folder exists and is not empty (without `overwrite`).
            SR4Error: it cannot be written.
        """
        return write_report(folder, EVALUATION, self._fill, overwrite=overwrite)

    def _fill(self, folder: Path) -> None:
        files = {
            REPORT: self.model_dump_json(indent=2) + "\n",
            "report.md": "\n".join(_markdown(self)) + "\n",
            SCORES: _csv(self.pictures),
            PAGE: page(self),
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
        if self.examples:
            write_image(_comparison(self), folder / "comparison.png")
        for example in self.examples:
            place = folder / PICTURES / str(example.place)
            place.mkdir(parents=True)
            for name in LAYERS:
                write_image(getattr(example, name), place / f"{name}.png")


def write_report(
    folder: str | Path,
    kind: FolderKind,
    fill: Callable[[Path], None],
    *,
    overwrite: bool = False,
) -> Path:
    """Make a folder of files that appears whole or not at all.

    Args:
        kind: of the folder; another one is not replaced.
        fill: writes the files into the folder that it is given.

    Raises:
        UsageError: as `check_report_folder`.
        SR4Error: it cannot be written.
    """
    folder = Path(folder)
    try:
        with kind.new(folder, overwrite=overwrite) as place:
            fill(place)
    except OSError as error:
        raise SR4Error(
            f"the report {str(folder)!r} cannot be written ({reason(error)}); expected a "
            "place where a folder can be made: choose another one"
        ) from error
    return folder


def check_report_folder(
    folder: str | Path, *, overwrite: bool = False, kind: FolderKind = EVALUATION
) -> None:
    """Raise UsageError if a report may not be written there; worth asking before a long evaluation.

    With `overwrite`, only a folder of that kind is replaced.
    """
    kind.check_new(Path(folder), overwrite=overwrite)


def _csv(pictures: tuple[PictureScore, ...]) -> str:
    text = io.StringIO()
    fields = ["name", *IN_PICTURES, "sha256", "low_res_sha256"]
    writer = csv.DictWriter(text, fieldnames=fields, restval="", lineterminator="\n")
    writer.writeheader()
    for picture in pictures:
        row = picture.model_dump()
        row["name"] = _escaped(row["name"])
        writer.writerow(row)
    return text.getvalue()


def _escaped(name: str) -> str:
    """A name that no spreadsheet runs as a formula; pictures' names are those that strangers
    gave.
    """
    return f"'{name}" if name.startswith(_FORMULAS) else name


def unescaped(name: str) -> str:
    """The name of a picture as `per_picture.csv` has it."""
    return name[1:] if name[:1] == "'" and name[1:].startswith(_FORMULAS) else name


def _in_comparison(evaluation: Evaluation) -> list[Example]:
    """The best picture, one at random and the worst, as far as there are any."""
    titles = {one.title: one for one in reversed(evaluation.examples)}
    return [titles[title] for title in ("best", "random", "worst") if title in titles]


def _comparison(evaluation: Evaluation) -> Image.Image:
    def row(example: Example) -> dict[str, Image.Image]:
        return {
            "low_res": example.low_res,
            "bicubic": example.bicubic,
            evaluation.model: example.result,
            "truth": example.truth,
        }

    def caption(example: Example) -> dict[str, str]:
        return {
            "low_res": f"{example.title}: {PurePosixPath(example.score.name).name}",
            "bicubic": f"{example.bicubic_psnr:.2f} dB",
            evaluation.model: ", ".join(
                f"{metric.title} {metric.shown(value)} {metric.unit}".strip()
                for metric in (FIELDS["psnr"], FIELDS["ssim"])
                if (value := example.score[metric.field]) is not None
            ),
        }

    examples = _in_comparison(evaluation)
    return comparison_picture([row(one) for one in examples], captions=[*map(caption, examples)])


def _code(text: str) -> str:
    """Text as Markdown shows it letter by letter, in one line."""
    text = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _markdown(evaluation: Evaluation) -> Iterator[str]:
    yield f"# {evaluation.model} on {evaluation.count} pictures"
    yield ""
    yield f"Data: {_code(evaluation.data)}. Brackets: 95 % intervals."
    yield ""
    yield "| metric | value | unit |"
    yield "|---|---|---|"
    yield from (f"| {' | '.join(row)} |" for row in evaluation.table())
    yield ""
    if evaluation.examples:
        titles = ", ".join(example.title for example in _in_comparison(evaluation))
        yield f"![{evaluation.model} beside low_res, bicubic and truth: {titles}](comparison.png)"
        yield ""
    yield "## Protocol"
    yield ""
    yield from (f"- {name}: {text}" for name, text in evaluation.protocol.items())
    if evaluation.notes:
        yield ""
        yield "## Notes"
        yield ""
        yield from (f"- {note}" for note in evaluation.notes)
