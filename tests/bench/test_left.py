"""The time that the rows of a benchmark take."""

from __future__ import annotations

import pytest

pytest.importorskip("skimage")

from sr4.bench.left import TimeLeft
from sr4.bench.row import Job


def job(model: str, steps: int, backend: str) -> Job:
    return Job(model=model, random=False, backend=backend, steps=steps)


JOBS = [
    job("slow", 500, "torch"),
    job("fast", 1, "onnx"),
    job("fast", 4, "onnx"),
    job("fast", 1, "torch"),
    job("fast", 4, "torch"),
    job("fast", 2, "torch"),
    job("other", 1, "onnx"),
]


def test_nothing_is_known_before_a_row_is_measured() -> None:
    assert TimeLeft(JOBS).after(0) is None
    assert TimeLeft(JOBS).after(1, 20) is None  # it failed


def test_rows_take_as_long_as_those_most_like_them() -> None:
    left = TimeLeft(JOBS)
    left.add(JOBS[0], 600)
    assert left.after(1) == 6 * 600  # all are alike, as far as is known
    left.add(JOBS[1], 10)
    assert left.after(2) == 4 * 10 + (600 + 10) / 2
    left.add(JOBS[2], 40)
    # The same steps: 10 and 40; the same model, the last one: 40; another: the median.
    assert left.after(3) == 10 + 40 + 40 + 40
    left.add(JOBS[3], 20)
    assert left.after(4) == 40 + 20 + (20 + 40) / 2


def test_what_the_row_under_way_has_taken_is_no_longer_left() -> None:
    left = TimeLeft(JOBS[1:4])
    left.add(JOBS[1], 10)
    assert left.after(1, 4) == 6 + 10
    assert left.after(1, 10.5) is None  # it takes longer than it should have: who knows how long
    assert left.after(3) == 0
