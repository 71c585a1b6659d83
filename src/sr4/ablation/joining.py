"""Runs of an ablation that other folders hold: made by another process, or on another machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from sr4.ablation.plan import changes, recorded
from sr4.ablation.results import SAMPLES, Row, read_results
from sr4.ablation.samples import is_drawn
from sr4.errors import RunError
from sr4.files.whole import replaced_folder
from sr4.training.checkpoint import writing

_SAME = "truth"  # the shown pictures, which have to be the same


def joined_runs(folder: Path, out: Path) -> tuple[Row, ...]:
    """The finished runs of another ablation.

    Args:
        folder: of that ablation.
        out: the folder of the one that takes them over.

    Raises:
        RunError: it is none, or one of other pictures, size, budget or settings.
        UsageError: it has no results yet, or they are damaged.
    """
    theirs, ours = recorded(folder), recorded(out)
    if theirs is None or ours is None:
        raise RunError(
            f"{folder}: holds no ablation; expected a folder that `sr4 ablate --out` wrote"
        )
    if changed := changes(theirs, ours):
        raise RunError(
            f"{folder}: that ablation has {'; '.join(changed)}; expected the same: its scores do "
            "not compare with those of this one"
        )
    results = read_results(folder)
    return (*results.rows, *results.repeats)


def copy_samples(folder: Path, out: Path, names: Iterable[str]) -> None:
    """Copy what systems of another ablation drew, where this one has not drawn as much.

    Args:
        folder: of that ablation; out: of this one.
        names: of the systems.

    Raises:
        RunError: they drew other pictures; a folder cannot be written.
    """
    theirs, ours = folder / SAMPLES, out / SAMPLES
    if _contents(theirs / _SAME) != _contents(ours / _SAME):
        raise RunError(
            f"{theirs / _SAME}: other pictures are shown there than in {ours / _SAME}; expected "
            "the same: give --show, or --test where there is none, as that ablation had it"
        )
    for name in names:
        if is_drawn(theirs / name) and not is_drawn(ours / name):
            with writing(ours), replaced_folder(ours / name) as new:
                shutil.copytree(theirs / name, new, dirs_exist_ok=True)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}
