"""Steps of quantisation told by coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.evidence.jpeg import standard_tables
from sr4.evidence.steps import found_steps, periodicity

_ORDER = np.add.outer(np.arange(8), np.arange(8))


def coefficients(
    table: NDArray[Any], blocks: int = 400, rounded: float = 0.35, strange: float = 0.0
) -> NDArray[np.float64]:
    """Of photographs (Laplacian, falling with the frequency), quantised and rounded; a share of
    them is anything.
    """
    random = np.random.default_rng(0)
    size = 60 / (1 + _ORDER.ravel()) ** 1.3
    found = random.laplace(scale=size, size=(blocks, 64))
    found = np.rint(found / table.ravel()) * table.ravel()
    found += rounded * random.standard_normal(found.shape)
    other = random.uniform(-80, 80, found.shape)
    return np.asarray(np.where(random.random(found.shape) < strange, other, found))


@pytest.mark.parametrize("strange", [0.0, 0.04])
@pytest.mark.parametrize("quality", [25, 50, 75, 90])
def test_the_tables_of_libjpeg_are_found_whole(quality: int, strange: float) -> None:
    for colour, table in enumerate(standard_tables(quality)):
        flat = coefficients(table, strange=strange)
        found = found_steps(flat, np.zeros(400), colour=bool(colour))
        assert found.quality == quality
        np.testing.assert_array_equal(found.table, table)
        assert found.score > 500


@pytest.mark.parametrize("blocks", [80, 400])
def test_other_tables_are_found_where_coefficients_are_left(blocks: int) -> None:
    table = np.rint(7 * np.exp(_ORDER / 9 + 0.15 * np.sin(3 * _ORDER))).astype(int)
    found = found_steps(coefficients(table, blocks), np.zeros(blocks))
    assert found.quality is None
    np.testing.assert_array_equal(found.table[_ORDER < 6], table[_ORDER < 6])
    assert 0.8 < (found.table / table).min() <= (found.table / table).max() < 3
    assert found.fit > 0.8


def test_small_steps_are_not_taken_for_large_ones() -> None:
    table = np.rint(2 + _ORDER / 3).astype(int)
    found = found_steps(coefficients(table), np.zeros(400))
    assert (found.table / table).max() <= 2


def test_clipped_blocks_are_left_out() -> None:
    table = standard_tables(60)[0] + 1
    flat, clipped = coefficients(table), np.zeros(400)
    random = np.random.default_rng(1)
    flat[200:] = random.uniform(-90, 90, (200, 64))
    clipped[200:] = random.uniform(0.1, 1, 200)
    np.testing.assert_array_equal(found_steps(flat, clipped).table[:3, :3], table[:3, :3])


def test_coefficients_that_nothing_quantised_have_no_steps() -> None:
    random = np.random.default_rng(0)
    flat = random.laplace(scale=60 / (1 + _ORDER.ravel()) ** 1.3, size=(400, 64))
    found = found_steps(flat, np.zeros(400))
    assert found.score < 20
    assert found.fit < 0.2
    assert found_steps(np.zeros((50, 64)), np.zeros(50)).score == 0
    repeated = np.tile(12.0 * random.integers(-3, 4, 64), (400, 1))  # as drawings and text have
    assert found_steps(repeated, np.zeros(400)).score < 100


def test_periodicity_is_that_of_multiples() -> None:
    table = standard_tables(50)[0]
    flat = coefficients(table)
    assert periodicity(flat, table, 100) > 0.9
    assert periodicity(flat + table.ravel() / 2, table, 100) < -0.9
    assert periodicity(flat[:1], table, 100) == 0
