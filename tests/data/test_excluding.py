"""Pictures that are left out of a source by their names."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.data.encoded import EncodedSource
from sr4.data.excluding import ExcludingSource, excluding
from sr4.data.sources import open_source
from sr4.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]


@pytest.fixture
def source(tmp_path: Path, write_folder: Write, files: Mapping[str, bytes]) -> EncodedSource:
    return open_source(write_folder(tmp_path / "pictures", files))


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["5.png"], ["6.png", "a/1.png", "a/2.png", "a/q50-0.png", "b/3.png", "b/q50-4.png"]),
        (["1.png"], ["5.png", "6.png", "a/2.png", "a/q50-0.png", "b/3.png", "b/q50-4.png"]),
        (["q50-*"], ["5.png", "6.png", "a/1.png", "a/2.png", "b/3.png"]),
        (["a/*"], ["5.png", "6.png", "b/3.png", "b/q50-4.png"]),
        (["*/q50-?.png", "[56].png"], ["a/1.png", "a/2.png", "b/3.png"]),
    ],
)
def test_a_pattern_goes_by_the_file_name_or_with_a_slash_by_the_whole(
    source: EncodedSource,
    pictures: Mapping[str, NDArray[np.uint8]],
    patterns: list[str],
    left: list[str],
) -> None:
    rest = ExcludingSource(source, patterns)
    assert list(rest.names) == left
    assert (len(rest), rest.location) == (len(left), source.location)
    for index, name in enumerate(left):
        np.testing.assert_array_equal(rest.read(index), pictures[name])


def test_no_pattern_changes_nothing(source: EncodedSource) -> None:
    assert excluding(source, ()) is source


def test_it_goes_to_a_worker_process(source: EncodedSource) -> None:
    rest = ExcludingSource(source, ["a/*"])
    again = pickle.loads(pickle.dumps(rest))  # noqa: S301 - bytes of this test
    assert list(again.names) == list(rest.names)
    np.testing.assert_array_equal(again.read(1), rest.read(1))


@pytest.mark.parametrize(
    ("patterns", "parts"),
    [
        (["5.png", "7.png"], ["'7.png'", "none of the 7 pictures", "data.exclude"]),
        (["A/*"], ["'A/*'"]),
        (["a/1"], ["'a/1'"]),
        (["*"], ["leaves none of the 7 pictures"]),
    ],
)
def test_a_pattern_without_a_match_or_that_leaves_nothing_is_one_line(
    source: EncodedSource, patterns: list[str], parts: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        ExcludingSource(source, patterns)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)
