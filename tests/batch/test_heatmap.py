"""Uncertainty maps with their scale, and as numbers."""

from __future__ import annotations

import numpy as np

from sr4.batch.heatmap import UncertaintyMap
from sr4.plots.heatmap import Legend, colours


def explained(width: int, height: int, *, is_calibrated: bool = True) -> np.ndarray:
    """The pixels of a map without any uncertainty, with its scale."""
    unit = "half the 90 % interval, levels of 255"
    legend = Legend("what it shows", unit, is_calibrated, 96)
    values = np.zeros((height, width), np.float32)
    return np.asarray(UncertaintyMap(values, legend).picture(has_scale=True))


def test_the_scale_is_below_the_map() -> None:
    found = explained(400, 300)
    assert found.shape[1] == 400
    assert 300 < found.shape[0] < 400
    assert (found[:300] == colours()[0]).all()
    rows = found[300:]
    # One row of it holds all the colours in their order, from black to pale yellow.
    ramp = max(rows, key=lambda row: len(np.unique(row, axis=0)))
    shown = ramp[(ramp != 255).any(axis=1)]
    assert shown[0].tolist() == colours()[0].tolist()
    assert np.abs(shown[-1].astype(int) - colours()[-1]).max() <= 3
    assert len(shown) > 350
    assert (rows == 0).all(axis=2).any()  # letters


def test_a_narrow_map_has_room_for_its_scale() -> None:
    found = explained(16, 16)
    assert found.shape[1] > 100
    assert (found[:16, :16] == colours()[0]).all()
    assert (found[:16, 16:] == 255).all()


def test_the_letters_grow_with_the_picture() -> None:
    small, large = (explained(width, 8).shape[0] for width in (400, 4000))
    assert large > 2 * small


def test_the_numbers_are_levels() -> None:
    values = np.array([[0.0, 0.1]], np.float32)
    raster = UncertaintyMap(values, Legend("", "", True, 96)).raster()
    np.testing.assert_allclose(raster.array, [[0, 25.5]])
    assert raster.pixels.dtype == np.float32
