"""The picture files of a folder: which, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr4.errors import PictureError
from sr4.pictures.finding import list_files


def test_folders_are_searched_in_a_fixed_order(tmp_path: Path) -> None:
    names = ["b.png", "a/2.JPG", "a/10.webp", "a/b/x.tiff", "c.txt", ".hidden.png", ".git/d.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path).pictures]
    assert listed == ["a/10.webp", "a/2.JPG", "a/b/x.tiff", "b.png"]


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "data/inner").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data/inner/a.png").touch()
    (tmp_path / "elsewhere/b.png").touch()
    (tmp_path / "data/inner/up").symlink_to(tmp_path / "data")
    (tmp_path / "data/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/above").symlink_to(tmp_path)  # which holds the folder itself
    pictures = list_files(tmp_path / "data").pictures
    listed = [path.relative_to(tmp_path).as_posix() for path in pictures]
    assert listed == ["data/inner/a.png", "data/more/b.png"]


def test_listing_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(PictureError, match=r"did you mean .*faces"):
        list_files(tmp_path / "face")
    (tmp_path / "file").touch()
    with pytest.raises(PictureError, match="cannot be listed"):
        list_files(tmp_path / "file")
