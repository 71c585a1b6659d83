"""Numbers that decide in several places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sr4
from sr4.batch.given_up import what_was_given_up
from sr4.upscaling.drawing import Drawing
from sr4.upscaling.pipeline import Pipeline
from sr4.upscaling.thresholds import LARGE, WORTH_SAYING


def test_results_are_drawn_whole_up_to_the_size_of_large_ones(tiny_exported: Path) -> None:
    pipeline = sr4.load(tiny_exported, backend="onnx")
    assert isinstance(pipeline, Pipeline)
    settings = pipeline.model.sampling()
    drawing = Drawing(pipeline.model, settings)
    assert LARGE == 512 * 512
    assert [drawing._is_in_tiles(size) for size in ((512, 512), (512, 516))] == [False, True]


@pytest.mark.parametrize(("count", "said"), [(5, "0.1%"), (4, "4")])
def test_shares_are_told_from_the_least_that_is_not_rounded_to_none(count: int, said: str) -> None:
    given_up = np.zeros((100, 100), bool)
    given_up.flat[:count] = True
    assert (given_up.mean() >= WORTH_SAYING) == (count == 5)
    assert what_was_given_up(given_up).startswith(f"{said} of its pixels")
