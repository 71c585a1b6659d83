"""Rows come from bands of any height, and what is forgotten is not held."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.upscaling.row_window import RowWindow

PICTURE = np.arange(2 * 20 * 3, dtype=np.float32).reshape(2, 20, 3)
EDGES = (4, 5, 11, 12, 20)
FIRST = 4


def bands(taken: list[int]) -> Iterator[NDArray[np.float32]]:
    """The rows from 4 on, noting which bands are asked for."""
    for number, (start, stop) in enumerate(pairwise(EDGES)):
        taken.append(number)
        yield PICTURE[:, start:stop].copy()


@pytest.mark.parametrize(
    ("start", "stop", "asked"), [(4, 5, 1), (4, 6, 2), (6, 9, 2), (5, 12, 3), (10, 20, 4)]
)
def test_rows_are_those_of_the_picture(start: int, stop: int, asked: int) -> None:
    taken: list[int] = []
    window = RowWindow(bands(taken), FIRST)
    assert np.array_equal(window.rows(start, stop), PICTURE[:, start:stop])
    assert len(taken) == asked  # and no band before it is needed


@pytest.mark.parametrize("before", range(4, 13))
def test_rows_from_where_it_was_told_to_forget_stay(before: int) -> None:
    window = RowWindow(bands([]), FIRST)
    window.rows(4, 12)
    window.forget(before)
    for start in range(before, 20):
        assert np.array_equal(window.rows(start, 20), PICTURE[:, start:20])


def test_bands_that_are_forgotten_are_not_held() -> None:
    window = RowWindow(bands([]), FIRST)
    window.rows(4, 12)
    window.forget(11)
    assert sum(band.shape[1] for band in window._held) == 1
    window.forget(20)
    assert not window._held
