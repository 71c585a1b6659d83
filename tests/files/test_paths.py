"""What is said of a path that does not exist."""

from __future__ import annotations

from pathlib import Path

from sr4.files.paths import missing_path


def test_the_nearest_name_beside_the_first_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    near, deep = tmp_path / "face", tmp_path / "face" / "a.png"
    hint = f": did you mean {str(tmp_path / 'faces')!r}?"
    assert missing_path(near) == f"{str(near)!r} does not exist{hint}"
    assert missing_path(deep) == f"{str(deep)!r} does not exist (there is no {str(near)!r}){hint}"


def test_no_name_is_near(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    assert missing_path(tmp_path / "x").endswith("does not exist")
