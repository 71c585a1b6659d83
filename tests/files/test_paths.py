"""What is said of a path that does not exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr4.errors import UsageError
from sr4.files.paths import (
    is_address,
    missing_path,
    refuse_unreachable,
    shown_address,
    whole_address,
)


def test_the_nearest_name_beside_the_first_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    near, deep = tmp_path / "face", tmp_path / "face" / "a.png"
    hint = f": did you mean {str(tmp_path / 'faces')!r}?"
    assert missing_path(near) == f"{str(near)!r} does not exist{hint}"
    assert missing_path(deep) == f"{str(deep)!r} does not exist (there is no {str(near)!r}){hint}"


def test_no_name_is_near(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    assert missing_path(tmp_path / "x").endswith("does not exist")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "a\0b/c"])
def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path, name: str) -> None:
    assert "does not exist" in missing_path(tmp_path / name)


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    link = tmp_path / "a.png"
    link.symlink_to("gone.png")
    assert missing_path(link) == f"{str(link)!r} is a link to 'gone.png', which does not exist"


def test_an_output_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "new" / "a.png", tmp_path / "file", tmp_path / "file" / "a"):
        refuse_unreachable(path)
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "loop", tmp_path / ("a" * 300)):
        with pytest.raises(UsageError, match=r"cannot be looked for \(.+\); expected"):
            refuse_unreachable(path)


def test_an_address_is_shown_with_both_slashes() -> None:
    said = missing_path(Path("https://example.org/a.png"))
    assert said.startswith("'https://example.org/a.png' is an address")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/a.png?w=1", True),
        ("s3://bucket/train-*.tar", True),
        ("file:///home/a.png", True),
        ("C:/pictures/a.png", False),
        ("//server/share/a.png", False),
        ("a:b.png", False),
        ("there://a.png", False),
    ],
)
def test_what_an_address_is(
    text: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there:").mkdir()
    Path("there:", "a.png").touch()
    assert is_address(text) is expected


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://bucket/a.tar", "s3://bucket/a.tar"),
        ("https:/host/a.tar", "https://host/a.tar"),
        ("https://me:secret@host/a.tar?X-Amz-Signature=secret", "https://host/a.tar"),
        ("https://host/a@b.tar#secret", "https://host/a@b.tar"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, shown: str) -> None:
    assert shown_address(address) == shown
    assert whole_address(address).startswith(shown[:6])
