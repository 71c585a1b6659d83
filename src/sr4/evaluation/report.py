"""What an evaluation found, and the folder it can be written to."""

from __future__ import annotations

import csv
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from sr4.errors import SR4Error, UsageError, reason
from sr4.evaluation.metrics import Interval
from sr4.pictures import write_image
from sr4.plots.comparison import comparison_picture

REPORT = "report.json"


class PictureScore(BaseModel):
    """The scores of one picture's first sample; consistency x 1e-5, drift in 8-bit levels."""

    model_config = ConfigDict(frozen=True)

    name: str
    psnr: float
    psnr_luma: float | None
    ssim: float
    ssim_luma: float | None
    perceptual: float | None = None
    consistency: float
    colour_drift: float


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

    Metrics of single pictures are means with 95 % bootstrap intervals over the pictures. `None`
    says that a metric was not computed; `notes` say why, except of `kid` and `fid`, which need
    weights that the user names. All but pictures and examples survive a round trip through JSON.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    model: str
    data: str
    count: int
    psnr: Interval = Field(description="dB, all channels")
    psnr_luma: Interval | None = Field(description="dB, Y of BT.601")
    ssim: Interval = Field(description="mean over the channels")
    ssim_luma: Interval | None = Field(description="Y of BT.601")
    perceptual: Interval | None = Field(
        default=None, description="distance in features of EfficientNet-Lite0, 0 to 4"
    )
    consistency: Interval = Field(description="mean((D(result) - low_res)²) x 1e-5")
    colour_drift: Interval = Field(description="mean colour of D(result) - low_res, 8-bit levels")
    kid_efflite0: Interval | None = Field(description="kernel distance x 1000")
    fd_efflite0: Interval | None = Field(description="Fréchet distance")
    kid: Interval | None = Field(default=None, description="kernel distance x 1000, Inception v3")
    fid: Interval | None = Field(default=None, description="Fréchet distance, Inception v3")
    samples: int
    psnr_mean: Interval | None = Field(description="dB, of the mean of the samples")
    psnr_luma_mean: Interval | None = Field(
        default=None, description="dB, Y of BT.601, of the mean of the samples"
    )
    diversity: Interval | None = Field(description="deviation between samples, in 8-bit levels")
    nfe: int
    seconds_per_image: float
    protocol: dict[str, str]
    notes: tuple[str, ...] = ()
    pictures: tuple[PictureScore, ...] = Field(default=(), exclude=True, repr=False)
    examples: tuple[Example, ...] = Field(default=(), exclude=True, repr=False)

    def write(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write report.json, report.md, per_picture.csv and comparison.png into a new folder.

        The folder appears with all of them or not at all.

        Raises:
            UsageError: the folder exists and is not empty (without `overwrite`).
            SR4Error: it cannot be written.
        """
        return write_folder(folder, self._fill, overwrite=overwrite)

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


def write_folder(
    folder: str | Path,
    fill: Callable[[Path], None],
    *,
    overwrite: bool = False,
    marker: str = REPORT,
) -> Path:
    """Make a folder of files that appears whole or not at all.

    Args:
        fill: writes the files into the folder that it is given.

    Raises:
        UsageError: as `check_report_folder`.
        SR4Error: it cannot be written.
    """
    folder = Path(folder)
    check_report_folder(folder, overwrite=overwrite, marker=marker)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.tmp")
    try:
        temporary.mkdir(parents=True)
        try:
            fill(temporary)
            if folder.is_dir():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise SR4Error(
            f"the report {str(folder)!r} cannot be written ({reason(error)}); expected a "
            "place where a folder can be made: choose another one"
        ) from error
    return folder


def check_report_folder(
    folder: str | Path, *, overwrite: bool = False, marker: str = REPORT
) -> None:
    """Raise UsageError if a report may not be written there; worth asking before a long evaluation.

    With `overwrite`, only a folder that holds a report is replaced: one with the file `marker`.
    """
    folder = Path(folder)
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        raise UsageError(
            f"{str(folder)!r} exists already; expected a new folder for the report: choose another "
            "name"
        )
    if not (folder / marker).is_file():
        raise UsageError(
            f"{str(folder)!r} holds no report that could be replaced; expected a new folder or an "
            "earlier report: choose another name"
        )


def _csv(pictures: tuple[PictureScore, ...]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(PictureScore.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(picture.model_dump() for picture in pictures)
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
            evaluation.model: f"{example.score.psnr:.2f} dB, SSIM {example.score.ssim:.3f}",
        }

    examples = evaluation.examples
    return comparison_picture([row(one) for one in examples], captions=[*map(caption, examples)])


def _markdown(evaluation: Evaluation) -> Iterator[str]:
    yield f"# {evaluation.model} on {evaluation.count} pictures"
    yield ""
    yield f"Data: `{evaluation.data}`. Brackets: 95 % intervals."
    yield ""
    yield "| metric | value | unit |"
    yield "|---|---|---|"
    for name, field in Evaluation.model_fields.items():
        value = getattr(evaluation, name)
        if field.description and value is not None:
            yield f"| {name} | {value} | {field.description} |"
    yield f"| nfe | {evaluation.nfe} | network evaluations for one picture |"
    yield f"| seconds_per_image | {evaluation.seconds_per_image:.4g} | s, for one sample |"
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
