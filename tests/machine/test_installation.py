"""Hints on what to install, for each place that a package can come from."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from sr4.errors import MissingExtraError
from sr4.machine import installation
from sr4.machine.installation import how_to_install


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without sources, as that above site-packages is."""
    monkeypatch.setattr(installation, "_SOURCES", tmp_path / "lib")
    return tmp_path


def installed_from(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    def found(name: str) -> SimpleNamespace:
        assert name == "sr4"
        return SimpleNamespace(read_text={"direct_url.json": said}.get)

    monkeypatch.setattr(metadata, "distribution", found)


def checkout(folder: Path) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "sr4"\n')
    return folder


def test_from_a_checkout_that_python_runs_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkout(place / "a checkout")
    monkeypatch.setattr(installation, "_SOURCES", folder)
    assert how_to_install("train", "torch") == f"pip install '{folder}[train]'"


def test_from_a_checkout_that_was_installed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkout(place / "a checkout")
    installed_from(monkeypatch, json.dumps({"url": folder.as_uri(), "dir_info": {}}))
    assert how_to_install("train", "torch") == f"pip install '{folder}[train]'"


def test_from_a_wheel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = place / "sr4-1.0-py3-none-any.whl"
    wheel.touch()
    installed_from(monkeypatch, json.dumps({"url": wheel.as_uri(), "archive_info": {}}))
    expected = f"pip install 'sr4[train] @ {wheel.as_uri()}'"
    assert how_to_install("train", "torch") == expected
    assert str(MissingExtraError("sr4 train", "torch", "train")).endswith(f": {expected}")


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "no JSON",
        "[]",
        '{"url": 1}',
        '{"url": "https://example.org/sr4-1.0-py3-none-any.whl"}',
        '{"url": "file:///nowhere/sr4-1.0-py3-none-any.whl"}',
    ],
)
def test_from_a_place_that_is_gone_or_unknown(
    place: Path, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    installed_from(monkeypatch, said)
    assert how_to_install("scores", "scikit-image") == "pip install 'scikit-image'"


def test_where_no_package_is_installed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    assert how_to_install("heic", "pillow-heif") == "pip install 'pillow-heif'"
