"""`sr4 bench`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from sr4.bench.row import Job, Row
from sr4.errors import SR4Error
from tests.conftest import Clock

Run = Callable[..., Any]

# The process of a row, with a small convolution: its speed is not what is tested here.
LIGHT = """
from sr4.bench import cost, row
cost.PEAK_SHAPES = ((32, 16),)
row.main()
"""


ROW: dict[str, Any] = {
    "recipe": "sr4-fast",
    "trained": True,
    "backend": "onnx",
    "nfe": 1,
    "parameters": 1000,
    "speed": {
        "seconds": {"median": 0.02, "low": 0.01, "high": 0.03},
        "evaluation_seconds": {"median": 0.01, "low": 0.01, "high": 0.01},
    },
    "gflops": None,
    "memory_bytes": None,
    "rounds": [],
    "share_of_peak": None,
    "quality": None,
    "notes": [],
}


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
    title = f"{tiny_exported}, 1 step, onnx"
    work, told, note = done.err.splitlines()
    assert work == f"sr4: 1 row to measure: {title}"
    assert told.startswith(f"sr4: row 1 of 1: {title}: ")
    assert told.endswith(" ms a picture")
    assert note == "sr4: note: no quality: no --data"
    (row,) = done.json["rows"]
    assert done.json["missing"] == []
    assert "interrupted" not in done.json
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
    _, error = done.err.splitlines()
    assert error.startswith(f"sr4: error: {damaged}, 1 step, onnx: ")
    assert "checksum" in error
    assert not out.exists()


def test_the_work_is_told_and_then_each_row_with_the_time_left(
    run: Run, tiny_exported: Path, make_picture: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    """Nothing is measured here: rows take 200 and 100 seconds, and the last one fails."""
    clock = Clock()
    monkeypatch.setattr("sr4.bench.benchmark.monotonic", clock)
    real = Row.model_validate(ROW | {"model": str(tiny_exported)})

    def measure(job: Job, tell: Any, notes: list[str]) -> Row:
        clock.now += 400 / (job.steps + 1)
        if job.steps == 7:
            raise SR4Error("no such luck")
        return real.model_copy(update={"nfe": job.steps})

    monkeypatch.setattr("sr4.bench.benchmark._measure", measure)
    for number in range(3):
        make_picture(tmp_path / "faces" / f"{number}.png", 32, 32)
    words = ("bench", "--model", f"{tiny_exported}:1,3,7", "--backends", "onnx")
    done = run(*words, "--data", tmp_path / "faces", "--limit", 2)
    names = [f"{tiny_exported}, {steps}, onnx" for steps in ("1 step", "3 steps", "7 steps")]
    assert done.code == 1
    assert done.err.splitlines() == [
        f"sr4: 3 rows to measure, and 2 pictures to score each trained model on: "
        f"{'; '.join(names)}",
        f"sr4: row 1 of 3: {names[0]}: 20 [10, 30] ms a picture; about 7 minutes left",
        f"sr4: row 2 of 3: {names[1]}: 20 [10, 30] ms a picture; about 2 minutes left",
        f"sr4: error: {names[2]}: no such luck",
    ]
    assert [line.split()[1] for line in done.out.splitlines()[1:3]] == ["1", "3"]


def test_photographs_are_measured_with_their_model(
    run: Run, make_picture: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    """And what is left out is said before the work, once."""
    row = Row.model_validate(ROW | {"model": "photo-x4"})
    monkeypatch.setattr("sr4.bench.benchmark._measure", lambda job, tell, notes: row)
    make_picture(tmp_path / "photos" / "a.png", 300, 200)
    done = run("bench", "--data", tmp_path / "photos", "--backends", "onnx")
    assert done.code == 0
    work, note, told = done.err.splitlines()
    assert work == (
        "sr4: 1 row to measure, and 1 picture to score each trained model on: photo-x4, 1 step, "
        "onnx"
    )
    assert note.startswith("sr4: note: rows of sr3, sr4 and sr4-fast are left out: ")
    assert told.startswith("sr4: row 1 of 1: photo-x4, 1 step, onnx: ")


# The process of a row; that of two steps waits for the interrupt that it begs for.
SLOW = """
import json, time
from sr4.bench import cost, row
cost.PEAK_SHAPES = ((32, 16),)
measure = row.measure
def slow(job, tell):
    if job.steps == 2:
        tell(0, 1, "naps")
        time.sleep(100)
    return measure(job, tell)
row.measure = slow
row.main()
"""
# Of all processes, as a terminal does it.
INTERRUPTED = """
import os, signal, sys
from sr4.bench import benchmark
benchmark._ROW = {code!r}
measure = benchmark._measure
def measured(job, tell, notes):
    def look(doing):
        tell(doing)
        if doing.endswith("naps"):
            os.killpg(0, signal.SIGINT)
    return measure(job, look, notes)
benchmark._measure = measured
from sr4.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupt_ends_with_the_rows_that_are_complete(
    tiny_exported: Path, tmp_path: Path
) -> None:
    def interrupted(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", INTERRUPTED.format(code=SLOW), "bench", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            timeout=90,
        )

    model, out = ("--model", f"{tiny_exported}:1,2,3", "--backends", "onnx"), tmp_path / "bench"
    names = [f"{tiny_exported}, {steps}, onnx" for steps in ("1 step", "2 steps", "3 steps")]
    end = f"sr4: interrupted: 1 of 3 rows are complete, missing are: {names[1]}; {names[2]}"
    done = interrupted(*model, "--quick", "--out", out)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == end
    header, cells, *_, last = done.stdout.splitlines()
    assert header.split()[:3] == ["model", "NFE", "backend"]
    assert cells.split()[:3] == [str(tiny_exported), "1", "onnx"]
    assert last == f"report: {out}"
    kept = json.loads((out / "results.json").read_text())
    assert [row["nfe"] for row in kept["rows"]] == [1]
    assert kept["missing"] == names[1:]
    assert names[1] in (out / "report.md").read_text()

    nothing = interrupted("--model", f"{tiny_exported}:2", "--backends", "onnx", "--json")
    assert nothing.returncode == 130
    assert nothing.stderr.splitlines()[-1] == (
        f"sr4: interrupted: 0 of 1 rows are complete, missing are: {names[1]}"
    )
    said = json.loads(nothing.stdout)
    assert (said["rows"], said["missing"], said["interrupted"]) == ([], [names[1]], True)


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
