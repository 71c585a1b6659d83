"""`sr4 data prepare` and `sr4 data info`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def photos(make_picture: Run, tmp_path: Path) -> Path:
    """Three pictures that can be used at 16x16."""
    for number in range(3):
        make_picture(tmp_path / "photos" / "in" / f"{number}.png", 20 + number, 24)
    return tmp_path / "photos"


def test_prepare_then_info(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    done = run("data", "prepare", photos, out, "--size", 16, "--shard-images", 2, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "folder": str(out),
        "count": 3,
        "size": 16,
        "format": "png",
        "shards": ["00000.tar", "00001.tar"],
        "skipped": [],
    }
    summary = run("data", "info", out, "--json").json
    assert (summary["count"], summary["formats"]) == (3, {"PNG": 3})
    assert summary["smallest"] == summary["largest"] == [16, 16]
    table = run("data", "info", out)
    assert (table.code, table.err) == (0, "")
    assert "most common     16x16" in table.out


def test_bad_pictures_are_named_and_left_out(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_text("no picture")
    words = ("data", "prepare", photos, tmp_path / "out", "--size", 22)
    done = run(*words)
    assert done.code == 1
    assert sum("bad.png" in line for line in done.errors) == 1
    assert sum("too small: 20x24" in line for line in done.errors) == 1
    assert len(done.errors) == 3  # 20 and 21 pixels wide are too few
    told = "1 of 4 pictures, 22x22, in 1 shard; 3 left out, all others are there"
    assert done.out == f"{tmp_path / 'out'}  {told}\n"
    assert run("data", "info", tmp_path / "out", "--json").json["count"] == 1
    done = run(
        "data", "prepare", photos / "in", tmp_path / "all", "--size", 16, "--shard-images", 2
    )
    assert (done.code, done.out) == (0, f"{tmp_path / 'all'}  3 pictures, 16x16, in 2 shards\n")


def test_an_existing_folder_is_kept(run: Run, photos: Path, tmp_path: Path) -> None:
    words = ("data", "prepare", photos, tmp_path / "out", "--size", 16)
    assert run(*words).code == 0
    again = run(*words)
    assert again.code == 1
    assert "--overwrite" in again.errors[0]
    assert run(*words, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["prepare", "photos", "out", "--format", "gif"], 2, "'gif'"),
        (["prepare", "fotos", "out"], 1, "photos"),
        (["info", "photos/in/0.png"], 1, "no tar"),
        (["info", "hollow"], 1, "holds no pictures"),
    ],
)
def test_what_cannot_work_is_one_line(
    run: Run,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    part: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hollow").mkdir()
    done = run("data", *words)
    assert (done.code, done.out) == (code, "")
    (error,) = done.errors
    assert part in error
    assert not Path("out").exists()


def test_info_names_what_is_damaged(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").touch()
    done = run("data", "info", photos, "--json")
    assert done.code == 1
    assert len(done.json["unreadable"]) == len(done.errors) == 1
    assert "bad.png" in done.errors[0]

    (photos / "bad.png").unlink()
    out = tmp_path / "shards"
    run("data", "prepare", photos, out, "--size", 16)
    tar = bytearray((out / "00000.tar").read_bytes())
    tar[600] ^= 1
    (out / "00000.tar").write_bytes(tar)
    assert any("00000.tar: its checksum" in line for line in run("data", "info", out).errors)


def test_what_is_no_picture_is_counted(
    run: Run, make_picture: Callable[..., Path], tmp_path: Path
) -> None:
    make_picture(tmp_path / "set" / "a.png")
    for name in ("b.jxl", "c.JXL", "notes.txt"):
        (tmp_path / "set" / name).touch()
    done = run("data", "info", tmp_path / "set", "--json")
    assert (done.code, done.json["count"]) == (0, 1)
    assert done.json["left_out"] == {".jxl": 2, ".txt": 1}
    assert "left out        3 files: 2 .jxl, 1 .txt" in run("data", "info", tmp_path / "set").out
