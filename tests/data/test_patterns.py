"""Braces and globs name the files that bash would name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sr4.data.patterns import expand_braces, matching_paths
from sr4.errors import DataError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain.tar", ["plain.tar"]),
        ("t-{00..02}.tar", ["t-00.tar", "t-01.tar", "t-02.tar"]),
        ("t-{8..10}", ["t-8", "t-9", "t-10"]),
        ("t-{08..10}", ["t-08", "t-09", "t-10"]),
        ("t-{2..0}", ["t-2", "t-1", "t-0"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("x{,y}", ["x", "xy"]),
        ("{a,{b,c}}", ["a", "b", "c"]),
        ("{single}-{a,b}", ["{single}-a", "{single}-b"]),
        ("{}", ["{}"]),
        ("{a", ["{a"]),
    ],
)
def test_braces(text: str, expected: list[str]) -> None:
    assert expand_braces(text) == expected


@pytest.mark.parametrize("text", ["{0..999999999}", "{0..999}{0..999}"])
def test_too_many_files(text: str) -> None:
    with pytest.raises(DataError, match="at most 20,000"):
        expand_braces(text)


def test_globs_are_sorted_and_each_path_comes_once(tmp_path: Path) -> None:
    for name in ("t-10.tar", "t-02.tar", "u.tar"):
        (tmp_path / name).touch()
    found = matching_paths(f"{tmp_path}/{{u,t-*,*}}.tar")
    assert [path.name for path in found] == ["u.tar", "t-02.tar", "t-10.tar"]
    assert [path.name for path in matching_paths(f"{tmp_path}{os.sep}t-[01]*.tar")] == [
        "t-02.tar",
        "t-10.tar",
    ]


def test_a_part_that_names_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t-00.tar").touch()
    with pytest.raises(DataError, match=r"t-01.tar' does not exist: did you mean .*t-00"):
        matching_paths(f"{tmp_path}/t-{{00..01}}.tar")
    with pytest.raises(DataError, match="no file matches"):
        matching_paths(f"{tmp_path}/v-*.tar")
