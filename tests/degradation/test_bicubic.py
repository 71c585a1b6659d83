"""Bicubic resizing of one axis, against the kernel of its paper."""

from __future__ import annotations

import numpy as np

from sr4.degradation import resize_matrix
from sr4.degradation.bicubic import keys_cubic, resize_rows


def test_the_kernel_is_that_of_its_paper() -> None:
    """Keys 1981, with a = -1/2: 1 at 0, 0 at all other whole numbers, 9/16 and -1/16 half-way."""
    places = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    expected = [1, 9 / 16, 0, -1 / 16, 0, 0]
    np.testing.assert_allclose(keys_cubic(places), expected, atol=1e-15)
    np.testing.assert_array_equal(keys_cubic(-places), keys_cubic(places))


def test_parabolas_are_interpolated_exactly() -> None:
    """What makes the kernel one of third order (Keys 1981, section III); not at the borders."""
    low, high = (np.arange(12) + 0.5) / 12, (np.arange(60) + 0.5) / 60
    found = resize_matrix(12, 60) @ (3 * low**2 - 2 * low + 1)
    inside = slice(10, -10)
    np.testing.assert_allclose(found[inside], (3 * high**2 - 2 * high + 1)[inside], rtol=1e-12)


def test_some_rows_are_those_of_the_whole() -> None:
    whole = resize_matrix(96, 24)
    first, rows = resize_rows(96, 24, 7, 12)
    np.testing.assert_array_equal(rows, whole[7:12, first : first + rows.shape[1]])
    assert np.count_nonzero(rows) == np.count_nonzero(whole[7:12])


def test_resize_matrix_in_closed_form() -> None:
    assert np.array_equal(resize_matrix(5, 5), np.eye(5))
    np.testing.assert_allclose(resize_matrix(48, 7).sum(axis=1), 1, atol=1e-14)
    # Doubling a picture, pixel 7 lies at 5/4, 1/4, 3/4 and 7/4 pixels from pixels 2 to 5; Keys'
    # kernel with a = -1/2 there, times 128:
    np.testing.assert_allclose(resize_matrix(8, 16)[7] * 128, [0, 0, -9, 111, 29, -3, 0, 0])
    assert not resize_matrix(8, 16).flags.writeable
