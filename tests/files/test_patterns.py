"""Patterns name what Python's glob names, and end where that does not."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest

from sr4.files.patterns import matching

# fmt: off
PATTERNS = (
    "*", "*.png", "b/*", "*/*.png", "**/*.png", "b/**/*.tar", "**/d/**/e.png", "**/d/*", ".*",
    "b/.h/*", "**/**/*.png", "[[]x].png", "?.png", "no/*", "b/c.png/*", "./*.png", "b/*/",
)
# fmt: on


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.png", "b/c.png", "b/d/e.png", "b/.h/f.png", ".g.png", "[x].png", "b/d/t.tar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_glob(tree: Path, pattern: str) -> None:
    for text in (pattern, f"{tree}{os.sep}{pattern}"):
        assert matching(text) == sorted(set(glob.glob(text, recursive=True)))


def test_any_depth_at_the_end_names_all_that_is_below(tree: Path) -> None:
    assert matching("b/**") == ["b/c.png", "b/d", "b/d/e.png", "b/d/t.tar"]


def test_links_to_their_own_folder(tree: Path) -> None:
    (tree / "b" / "up").symlink_to("..")
    (tree / "b" / "self").symlink_to(".")
    (tree / "far").symlink_to("b/d")
    assert matching("**/*.png") == ["[x].png", "a.png", "b/c.png", "b/d/e.png"]
    assert matching("far/**/*.png") == ["far/e.png"]  # a link alone is followed
