"""Pixels as models take them."""

from __future__ import annotations

import numpy as np
import pytest

from sr4.errors import PictureError
from sr4.pictures.raster import Span, checked, from_array

RANGE = (0.0, 10_000.0)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_values_of_a_declared_range_go_there_and_back(dtype: type) -> None:
    given = np.linspace(500, 9000, 300).round().astype(dtype).reshape(10, 10, 3)
    raster = checked(given, "rgb").for_model(3, RANGE)
    assert raster.span == Span(0, 10_000, np.dtype(dtype))
    np.testing.assert_allclose(np.moveaxis(raster.unit, 0, 2), given / 5000 - 1, atol=1e-6)
    back = raster.span.pixels(raster.span.unit(given))
    assert back.dtype == dtype
    np.testing.assert_allclose(back, given, atol=0 if np.dtype(dtype).kind in "ui" else 1e-2)


def test_8_bits_may_have_a_range_too() -> None:
    raster = checked(np.array([[0, 50, 100, 200]], np.uint8), "grey").for_model(1, (0, 100))
    assert raster.unit.ravel().tolist() == [-1, 0, 1, 1]
    assert raster.array.tolist() == [[0, 50, 100, 100]]


def test_alpha_keeps_a_range_of_its_own() -> None:
    alpha = np.full((2, 2), 65535, np.uint16)
    raster = checked(np.full((2, 2, 3), 10_000, np.uint16), "rgb", alpha).for_model(3, RANGE)
    assert raster.unit_alpha is not None
    assert (raster.unit_alpha == 1).all()
    assert np.asarray(raster.to_pil()).tolist() == [[[255] * 4] * 2] * 2


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.uint64, np.int16])
def test_alpha_of_whole_numbers_goes_by_their_type(dtype: type) -> None:
    most = np.iinfo(dtype).max
    alpha: np.ndarray = np.array([[most, 0], [most, most]], dtype)
    colours: np.ndarray = np.arange(0, 1200, 100).astype(dtype).reshape(2, 2, 3)
    raster = checked(colours, "rgb", alpha)
    assert raster.unit_alpha is not None
    assert raster.unit_alpha.tolist() == [[[1, -1], [1, 1]]]
    assert raster.alpha_span.pixels(raster.unit_alpha[0]).tolist() == alpha.tolist()
    assert raster.without_alpha().array[0].tolist() == [[0, 100, 200], [1100] * 3]


@pytest.mark.parametrize(
    ("dtype", "data_range"),
    [(np.uint8, RANGE), (np.int16, (0.0, 40_000.0)), (np.uint16, (-1.0, 1.0))],
)
def test_numbers_that_cannot_hold_the_range_are_refused(
    dtype: type, data_range: tuple[float, float]
) -> None:
    with pytest.raises(PictureError, match=f"got a picture of {np.dtype(dtype)} for a model of"):
        checked(np.zeros((2, 2), dtype), "grey").for_model(1, data_range)


def test_without_a_range_nothing_changes() -> None:
    raster = checked(np.zeros((2, 2, 3), np.uint16), "rgb")
    assert raster.for_model(3) is raster


def test_arrays_of_any_numbers_need_a_range() -> None:
    given = np.array([[-5, 5]], np.int32)
    with pytest.raises(PictureError, match="got an array of int32"):
        from_array(given)
    assert from_array(given, 1, (-10, 10)).unit.ravel().tolist() == [-0.5, 0.5]


def test_arrays_may_have_the_other_order_of_bytes() -> None:
    given = np.arange(0, 60_000, 10_000, dtype=np.uint16).reshape(2, 3)
    other = from_array(given.astype(given.dtype.newbyteorder()))
    np.testing.assert_array_equal(other.pixels, from_array(given).pixels)
    assert other.pixels.dtype.isnative


def test_networks_see_objects_go_on_in_their_shadows() -> None:
    """The colour beside what is seen more comes near to that; what is seen alike stays."""
    row = np.array([0, 0, 60, 60, 60, 255, 255, 255], np.uint8)
    alpha = np.broadcast_to(row, (6, 8))
    pixels = np.where(alpha[:, :, None] == 255, np.uint8(200), np.uint8(0)).repeat(3, 2)
    raster = checked(pixels, "rgb", alpha)
    shown, unit = (np.rint((one + 1) * 127.5) for one in (raster.shown, raster.unit))
    np.testing.assert_array_equal(shown, np.moveaxis(pixels, 2, 0))
    assert (unit[:, :, 5:] == 200).all()
    assert unit[:, :, 3].min() > 150
    assert unit[:, :, 4].min() > 180
    np.testing.assert_array_equal(unit[:, :, :3], 0)
    even = checked(pixels, "rgb", np.full((6, 8), 60, np.uint8))
    np.testing.assert_array_equal(even.unit, even.shown)


def test_what_is_hidden_is_filled_as_before_for_networks() -> None:
    disc = np.hypot(*(np.indices((12, 12)) - 5.5)) < 4
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    raster = checked(pixels, "rgb", (255 * disc).astype(np.uint8))
    np.testing.assert_array_equal(raster.unit, raster.shown)
