"""`sr4 compare`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("skimage")
pytest.importorskip("jinja2")

Run = Callable[..., Any]


@pytest.fixture
def reports(run: Run, make_picture: Run, tmp_path: Path) -> tuple[Path, Path]:
    """Of two baselines on six pictures."""
    for number in range(6):
        make_picture(tmp_path / "faces" / f"{number}.png", 32, 32, seed=number)
    folders = tmp_path / "bicubic", tmp_path / "projected"
    for folder, model in zip(folders, ("bicubic", "bicubic-projected"), strict=True):
        words = ("--data", tmp_path / "faces", "--scale", 4, "--out", folder)
        assert run("evaluate", "--model", model, *words).code == 0
    return folders


def test_reports_are_set_beside_each_other(
    run: Run, reports: tuple[Path, Path], tmp_path: Path
) -> None:
    done = run("compare", *reports, "--out", tmp_path / "compared")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "2 systems on 6 pictures"
    assert lines[1].split() == ["Metric", "bicubic", "bicubic-projected"]
    psnr = json.loads((reports[0] / "report.json").read_text())["psnr"]
    (line,) = (one for one in lines if one.startswith("PSNR ↑"))
    assert f"{psnr['value']:.2f} [{psnr['low']:.2f}, {psnr['high']:.2f}]" in line
    assert any(line.startswith("bicubic − bicubic-projected") for line in lines)
    assert lines[-1] == f"page: {tmp_path / 'compared' / 'index.html'}"
    assert (tmp_path / "compared" / "index.html").is_file()


def test_json_is_what_the_folder_holds(
    run: Run, reports: tuple[Path, Path], tmp_path: Path
) -> None:
    done = run("compare", *reports, "--out", tmp_path / "compared", "--json")
    assert done.code == 0
    assert done.json == json.loads((tmp_path / "compared" / "comparison.json").read_text())
    assert done.json["count"] == 6
    assert [one["name"] for one in done.json["systems"]] == ["bicubic", "bicubic-projected"]
    (pair,) = (one for one in done.json["pairs"] if one["metric"] == "psnr")
    assert pair["difference"]["value"] == pytest.approx(
        done.json["scores"]["psnr"]["bicubic"]["value"]
        - done.json["scores"]["psnr"]["bicubic-projected"]["value"]
    )


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["{one}"], "got 1 report; expected at least 2"),
        (["{one}", "{faces}"], "holds no report; expected a folder that `sr4 evaluate --out`"),
        (["{one}", "nowhere"], "nowhere: holds no report"),
        (["{one}", "{other}", "--out", "{one}"], "exists already"),
        (["{one}", "{other}", "--out", "{one}", "--overwrite"], "holds no comparison"),
        ([], "missing"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    run: Run, reports: tuple[Path, Path], tmp_path: Path, words: list[str], part: str
) -> None:
    names = {"one": reports[0], "other": reports[1], "faces": tmp_path / "faces"}
    done = run("compare", *(word.format(**names) for word in words))
    assert (done.code, done.out) == (2, "")
    (error,) = done.errors
    assert part in error.lower() or part in error
