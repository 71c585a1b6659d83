"""The evaluations of an ablation that are done, each in a file of its own, and what did them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sr4._version import __version__
from sr4.ablation.differences import OF_PICTURES, OF_SETS
from sr4.ablation.results import Score
from sr4.config import explain
from sr4.errors import reason
from sr4.evaluation.report import Evaluation
from sr4.files.whole import write_text
from sr4.machine.processors import processor


def key(settings: Mapping[str, Any], weights: str = "") -> str:
    """What tells scores of other settings or other weights from these.

    Args:
        settings: of the model, as JSON has them.
        weights: their checksum.
    """
    text = json.dumps([settings, weights], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def score_of(evaluation: Evaluation, key: str, *, own: bool, projected: bool) -> Score:
    """An evaluation with the scores of single pictures, by which systems are compared."""
    columns = {
        metric: [one[metric] or 0.0 for one in evaluation.pictures] for metric in OF_PICTURES
    }
    for metric in OF_SETS:
        if metric in evaluation.shares:
            columns[metric] = [*evaluation.shares[metric]]
    return Score(
        steps=evaluation.nfe,
        own=own,
        projected=projected,
        evaluation=evaluation,
        pictures={
            metric: tuple(round(one, 6) for one in values) for metric, values in columns.items()
        },
        key=key,
    )


def read_score(path: Path, key: str, tell: Callable[[str], None]) -> Score | None:
    """The score in a file; None if there is none that can be used.

    Args:
        key: of what is to be scored. A file of an earlier version has none: then it is up to the
            caller that the run is what it was.
        tell: called with what is wrong with a file that is there.
    """
    if not path.is_file():
        return None
    try:
        found = Score.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        why = explain(error, Score)
    except (OSError, UnicodeDecodeError) as error:
        why = f"cannot be read ({reason(error)})"
    else:
        if found.key in ("", key):
            return found
        why = "is of other settings or weights"
    tell(f"{path}: {why}; scoring again")
    return None


def write_score(path: Path, score: Score) -> None:
    """Write a score's file, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    write_text(path, score.model_dump_json(indent=1) + "\n")


def forget_scores(folder: Path, name: str) -> None:
    """Remove the scores of a run: those of weights that another training replaces."""
    own = re.compile(rf"{re.escape(name)}-\d+(-projected)?\.json", re.ASCII)
    for path in folder.glob("*.json"):
        if own.fullmatch(path.name):
            path.unlink()


def versions() -> str:
    """What computes here, in words."""
    return f"sr4 {__version__}, torch {version('torch')}"


def machine() -> str:
    """The processor or accelerator that computes here, in words."""
    import torch  # here, as tables and pages of what is scored do without

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{processor()} (cores: {os.cpu_count()}, threads: {torch.get_num_threads()})"
