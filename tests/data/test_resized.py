"""A resized source gives what preparing the pictures once would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from sr4.data.prepare import prepare
from sr4.data.resized import ResizedSource
from sr4.data.sources import open_source
from sr4.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, bytes], write_folder: Write) -> Path:
    return write_folder(tmp_path / "src", files)


def test_pictures_are_those_of_prepare(folder: Path, tmp_path: Path) -> None:
    prepare(folder, tmp_path / "out", size=16)
    prepared, resized = open_source(tmp_path / "out"), ResizedSource(open_source(folder), 16)
    assert len(resized) == len(prepared)
    assert resized.names == open_source(folder).names
    for index in range(len(prepared)):
        assert np.array_equal(resized.read(index), prepared.read(index))


def test_pictures_of_the_size_stay_as_they_are(folder: Path) -> None:
    source = open_source(folder)
    assert np.array_equal(ResizedSource(source, 24).read(2), source.read(2))


def test_a_smaller_picture_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"src: .*too small: 24x24 pixels, expected at least 32x32"):
        ResizedSource(open_source(folder), 32).read(0)
