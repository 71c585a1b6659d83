"""Reports read back from their folders, whoever wrote them."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from pydantic import ValidationError

from sr4.config import explain
from sr4.errors import UsageError, reason
from sr4.evaluation.report import EVALUATION, REPORT, SCORES, Evaluation, PictureScore, unescaped
from sr4.evaluation.table import IN_PICTURES
from sr4.files.documents import parse_json, read_bytes

_MOST_BYTES = 200_000_000  # of the scores of a million pictures
_EXPECTED = "expected a folder that `sr4 evaluate --out` wrote: name one"


def read_report(folder: Path) -> Evaluation:
    """The report of a folder with the scores of its pictures; it has no examples.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    if not EVALUATION.proof(folder):
        raise UsageError(f"{folder}: {EVALUATION.denial}; {_EXPECTED}")
    path = folder / REPORT
    try:
        found = Evaluation.model_validate(parse_json(read_bytes(path)))
    except ValidationError as error:
        raise UsageError(f"{path}: {explain(error, Evaluation)}; {_EXPECTED}") from error
    except (OSError, ValueError) as error:
        raise _damaged(path, reason(error)) from error
    pictures = _pictures(folder / SCORES)
    if len(pictures) != found.count:
        raise _damaged(
            folder / SCORES, f"has {len(pictures):,} pictures, and {REPORT} {found.count:,}"
        )
    return found.model_copy(update={"pictures": pictures})


def _pictures(path: Path) -> tuple[PictureScore, ...]:
    try:
        text = read_bytes(path, _MOST_BYTES).decode("utf-8")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        return tuple(map(_picture, rows))
    except (OSError, ValueError, csv.Error) as error:
        raise _damaged(path, reason(error)) from error


def _picture(row: dict[str, str | None]) -> PictureScore:
    name = row.get("name")
    if not name:
        raise ValueError("has a line without the name of a picture")
    scores = {field: float(text) for field in IN_PICTURES if (text := row.get(field))}
    for field, score in scores.items():
        if not math.isfinite(score):
            raise ValueError(f"has the score {score} of {field}")
    sums = {key: row.get(key) or "" for key in ("sha256", "low_res_sha256")}
    return PictureScore(name=unescaped(name), **sums, **scores)


def _damaged(path: Path, why: str) -> UsageError:
    return UsageError(f"{path}: cannot be read ({why}); {_EXPECTED}")
