"""Scores that `sr4 info` shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to change."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_info_shows_a_table_of_scores_for_each_set_of_pictures(run: Run, model: Path) -> None:
    def interval(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 1, "high": value + 1}

    few = {"count": 8, "kid_efflite0": interval(-35.0), "psnr": interval(21.0)}
    many = {"count": 100, "kid_efflite0": interval(20.0)}
    change(model, scores={"eight": {"bicubic": few}, "many": {"bicubic": many, "ours": many}})
    done = run("info", model)
    assert (done.code, done.err) == (0, "")
    tables = [part.splitlines() for part in done.out.split("\n\n")[1:]]
    assert [table[0] for table in tables] == [
        "scores on eight, ± half of the 95 % interval:",
        "scores on many, ± half of the 95 % interval:",
    ]
    assert [line.split() for line in tables[0][1:]] == [
        ["score", "bicubic"],
        ["pictures", "8"],
        ["psnr", "21.00", "±", "1.00"],
        ["kid_efflite0", "-35.0", "±", "1.0"],
    ]
    assert [line.split() for line in tables[1][1:4]] == [
        ["score", "bicubic", "ours"],
        ["pictures", "100", "100"],
        ["kid_efflite0", "20.0", "±", "1.0", "20.0", "±", "1.0"],
    ]
    (caution,) = tables[1][4:]
    assert caution.startswith("caution: kid_efflite0 of eight (8) rests on fewer than 100 pictures")


def test_scores_may_be_anything(run: Run, model: Path) -> None:
    odd = {"value": "x", "low": None, "high": [1]}
    change(model, scores={"a": odd, "b": {"c": odd}, "\x1b[2J": 1, "e": {}})
    done = run("info", model)
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["value", "x"] in lines  # of b, c
    assert ["high", "[1]"] in lines
    assert "\x1b" not in done.out
