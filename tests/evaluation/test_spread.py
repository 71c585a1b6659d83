"""Mean and deviation of samples, as results have them, and their intervals beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sr4
from sr4.evaluation.spread import Intervals, RunningSpread, Spread, spread_rank
from sr4.pictures.pixels import quantise, to_array
from sr4.upscaling.pipeline import Pipeline
from tests.config.test_calibration import calibration


def test_it_is_kept_after_the_numbers_asked_for() -> None:
    draws = np.random.default_rng(0).uniform(-1, 1, (5, 2, 3, 6, 4)).astype(np.float32)
    running = RunningSpread((2, 5))
    for one in draws:
        running.add(one)
    assert sorted(running.kept) == [2, 5]
    for count, found in running.kept.items():
        some = draws[:count].astype(np.float64)
        assert found.samples == count
        np.testing.assert_array_equal(found.mean, quantise(some.mean(axis=0)))
        expected = some.std(axis=0, ddof=1).mean(axis=1) / 2
        np.testing.assert_allclose(found.uncertainty, expected, rtol=1e-12)


def test_it_is_that_of_results(tiny_exported: Path) -> None:
    model = sr4.load(tiny_exported, backend="onnx")
    assert isinstance(model, Pipeline)
    given = np.random.default_rng(0).integers(60, 190, (8, 6, 3)).astype(np.uint8)
    result = model.upscale(given, samples=3, evidence="exact")
    running = RunningSpread((3,))
    for seed in range(3):
        running.add(model.model.sample(to_array(given[None]), seeds=[seed]))
    found = running.kept[3]
    assert np.abs(found.mean[0].astype(int) - result.mean_raster.pixels).max() <= 1
    np.testing.assert_allclose(found.uncertainty[0], result.uncertainty, atol=1e-5)


def test_coverage_by_hand() -> None:
    """Errors of 0, 2, 4 and 6 levels; 1 level of deviation and 1 of floor make 2, of which the
    factors 1 and 2 hold errors up to 2 and 4.
    """
    truths = np.array([100, 102, 104, 106], np.uint8).reshape(1, 2, 2, 1)
    spread = Spread(np.full((1, 2, 2, 1), 100, np.uint8), np.full((1, 2, 2), 1 / 255), 4)
    intervals = Intervals(truths, spread, calibration())
    np.testing.assert_allclose(intervals.coverage(0.5), [0.5])
    np.testing.assert_allclose(intervals.coverage(0.9), [0.75])
    np.testing.assert_allclose(spread.uncalibrated_coverage(truths), [0.25])
    assert np.isnan(intervals.rank).all()  # the deviation is the same everywhere


def test_ranks_by_hand() -> None:
    errors = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 2, 4]], np.float32)
    deviations = np.tile(np.array([1, 10, 100, 1000], np.float32), (3, 1))
    found = spread_rank(deviations.reshape(3, 2, 2), errors.reshape(3, 2, 2, 1))
    np.testing.assert_allclose(found, [1, -1, 0.8])


@pytest.mark.parametrize("counts", [(), (2,)])
def test_nothing_is_kept_that_nobody_asks_for(counts: tuple[int, ...]) -> None:
    running = RunningSpread(counts)
    running.add(np.zeros((1, 3, 2, 2), np.float32))
    assert running.kept == {}
