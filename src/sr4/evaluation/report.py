"""What an evaluation found, and the folder it can be written to."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from sr4.errors import SR4Error, UsageError, reason
from sr4.evaluation.metrics import Interval
from sr4.evaluation.table import FIELDS, IN_PICTURES, METRICS
from sr4.files.kinds import FolderKind, holds
from sr4.pictures import write_image
from sr4.plots.comparison import comparison_picture

REPORT = "report.json"
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
EVALUATION = FolderKind(
    "holds no report",
    holds(REPORT, "model", "data", "count", "nfe", "seconds_per_image", "protocol"),
    UsageError,
)


class PictureScore(BaseModel):
    """The scores of one picture's first sample, by the fields of `sr4.evaluation.table`; None where
    one cannot be given.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    name: str

    def __getitem__(self, field: str) -> float | None:
        """The score of that field; None if there is none."""
        return self.__pydantic_extra__.get(field)

    if TYPE_CHECKING:  # the fields of the table, which no type checker reads

        def __getattr__(self, field: str) -> Any: ...


@dataclass(frozen=True)
class Example:
    """One picture of the set, to look at."""

    title: str
    score: PictureScore
    bicubic_psnr: float
    low_res: Image.Image
    bicubic: Image.Image
    result: Image.Image
    truth: Image.Image


class Evaluation(BaseModel):
    """The scores of a model on a set of pictures, with the protocol that makes them comparable.

    Beside its own fields it has those of all metrics of `sr4.evaluation.table`. Metrics of single
    pictures are means with 95 % bootstrap intervals over the pictures. `None` says that a metric
    was not computed; `notes` say why, except of `kid` and `fid`, which need weights that the user
    names. All but pictures, examples and shares survive a round trip through JSON.
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
        """Write report.json, report.md, per_picture.csv and comparison.png into a new folder.

        The folder appears with all of them or not at all.

        Raises:
            UsageError: the folder exists and is not empty (without `overwrite`).
            SR4Error: it cannot be written.
        """
        return write_report(folder, EVALUATION, self._fill, overwrite=overwrite)

    def _fill(self, folder: Path) -> None:
        files = {
            REPORT: self.model_dump_json(indent=2) + "\n",
            "report.md": "\n".join(_markdown(self)) + "\n",
            "per_picture.csv": _csv(self.pictures),
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
        if self.examples:
            write_image(_comparison(self), folder / "comparison.png")


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
    fields = ["name", *IN_PICTURES]
    writer = csv.DictWriter(text, fieldnames=fields, restval="", lineterminator="\n")
    writer.writeheader()
    for picture in pictures:
        row = picture.model_dump()
        # Spreadsheets run cells that begin so; pictures' names are those that strangers gave.
        if row["name"].startswith(_FORMULAS):
            row["name"] = f"'{row['name']}"
        writer.writerow(row)
    return text.getvalue()


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

    examples = evaluation.examples
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
        titles = ", ".join(example.title for example in evaluation.examples)
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
