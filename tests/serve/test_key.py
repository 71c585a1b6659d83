"""The key of a service, from a file or the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr4.errors import UsageError
from sr4.serve.key import KEY, read_key


def test_a_key_ends_before_its_line_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY, raising=False)
    assert read_key(None) is None
    monkeypatch.setenv(KEY, " secret\n")
    assert read_key(None) == "secret"
    (tmp_path / "key").write_text("another\r\n")
    assert read_key(tmp_path / "key") == "another"


@pytest.mark.parametrize("text", ["", "\n", "a\nb", "schlüssel", "x" * 1001])
def test_what_is_no_key(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEY, text)
    (tmp_path / "key").write_text(text, encoding="utf-8")
    for file in (None, tmp_path / "key"):
        with pytest.raises(UsageError, match="got no usable key in"):
            read_key(file)
