"""`sr4 bench`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

Run = Callable[..., Any]

# The process of a row, with a small convolution: its speed is not what is tested here.
LIGHT = """
from sr4.bench import cost, row
cost.PEAK_SHAPES = ((32, 16),)
row.main()
"""


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr4.bench.benchmark._ROW", LIGHT)


def test_models_are_measured(run: Run, tiny_exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    words = (
        "bench",
        "--model",
        f"{tiny_exported}:1",
        "--backends",
        "onnx",
        "--quick",
        "--out",
        out,
    )
    done = run(*words, "--json")
    assert done.code == 0
    assert done.err == "sr4: note: no quality: no --data\n"
    (row,) = done.json["rows"]
    assert (row["model"], row["backend"], row["nfe"]) == (str(tiny_exported), "onnx", 1)
    assert row["speed"]["seconds"]["median"] > 0
    assert json.loads((out / "results.json").read_text()) == done.json
    assert not (out / "speed.png").exists()  # there is no quality to plot

    again = run(*words)
    assert again.code == 2
    assert str(out) in again.errors[0]
    done = run(*words, "--overwrite")
    assert done.code == 0
    header, cells, *legend = done.out.splitlines()
    assert header.split()[:3] == ["model", "NFE", "backend"]
    assert cells.split()[:3] == [str(tiny_exported), "1", "onnx"]
    assert legend[0].startswith("machine: ")
    assert legend[-1] == f"report: {out}"


def test_a_row_that_fails_is_named(run: Run, tiny_exported: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(tiny_exported, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"")
    out = tmp_path / "bench"
    done = run("bench", "--model", f"{damaged}:1", "--backends", "onnx", "--out", out)
    assert (done.code, done.out) == (1, "")
    (error,) = done.errors
    assert error.startswith(f"{damaged}, 1 step, onnx: ")
    assert "checksum" in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--model", "sr4-fats"], 2, "did you mean 'sr4-fast'?"),
        (["--model", "sr4-fast:0"], 2, "expected at least 1"),
        (["--model", "sr3:2001"], 2, "2001"),
        (["--model", "."], 1, "has no config.json"),
        (["--backends", "tensorrt"], 2, "unknown backend 'tensorrt'"),
        (["--backends", "", "--model", "sr4-fast"], 2, "nothing to measure"),
        (["--limit", "0"], 2, "--limit"),
        (["--data", "nowhere"], 1, "nowhere"),
        (["--out", "notes.txt"], 2, "notes.txt"),
    ],
)
def test_what_cannot_work_is_one_line(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    part: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").touch()
    done = run("bench", *words)
    assert (done.code, done.out) == (code, "")
    (error,) = done.errors
    assert part in error
