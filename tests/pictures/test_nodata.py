"""Pixels without data: not spread, not part of the range, and back as they were."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sr4.errors import PictureError
from sr4.pictures import natural_suffix, read_picture, write_picture

_HEIGHTS = np.random.default_rng(0).random((12, 16)) * 100


def tiff(array: np.ndarray, declared: str | None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tags = [] if declared is None else [(42113, "s", 0, declared, True)]
    tifffile.imwrite(buffer, array, extratags=tags, **options)
    return buffer.getvalue()


def with_hole(number: float, dtype: str) -> np.ndarray:
    array = _HEIGHTS.astype(dtype)
    array[3:5, 6] = number
    return array


DECLARED = [
    ("-9999", -9999, "float32"),
    ("nan", float("nan"), "float32"),
    ("-3.40282346639e+38", float(np.finfo(np.float32).min), "float32"),
    ("-32768", -32768, "int16"),
    ("255", 255, "uint8"),
    ("65535", 65535, "uint16"),
    ("18446744073709551615", 2**64 - 1, "uint64"),
]


@pytest.mark.parametrize(("text", "number", "dtype"), DECLARED)
def test_a_declared_number_stands_for_no_data(
    tmp_path: Path, text: str, number: float, dtype: str
) -> None:
    array = np.minimum(_HEIGHTS, 99).astype(dtype)
    array[3:5, 6] = number
    (tmp_path / "a.tif").write_bytes(tiff(array, text))
    assert natural_suffix(tmp_path / "a.tif") == ".tif"
    picture = read_picture(tmp_path / "a.tif")
    (raster,) = picture.frames
    assert picture.notes == ()
    np.testing.assert_array_equal(raster.array, array)
    assert raster.nodata == number or number != number
    hidden = np.zeros((12, 16), bool)
    hidden[3:5, 6] = True
    np.testing.assert_array_equal(np.asarray(raster.alpha) == 0, hidden)
    seen = raster.unit[0][~hidden]  # what is hidden is like what is around it
    assert seen.min() <= raster.unit[0][hidden].min() <= raster.unit[0][hidden].max() <= seen.max()
    assert raster.span.high < 200 or dtype in ("uint8", "uint16")
    write_picture(picture, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        written = float(file.pages.first.tags.valueof(42113))
        assert written == float(number) or number != number
    np.testing.assert_array_equal(read_picture(tmp_path / "b.tif").frames[0].array, array)


def test_no_data_is_transparent_where_numbers_do_not_stand_for_it(tmp_path: Path) -> None:
    picture = read_picture(tiff(with_hole(-9999, "float32"), "-9999"))
    write_picture(picture, tmp_path / "a.png")
    (raster,) = read_picture(tmp_path / "a.png").frames
    assert np.flatnonzero(np.asarray(raster.alpha) == 0).tolist() == [54, 70]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int32"])
@pytest.mark.parametrize("number", [-9999, -32768])
def test_a_number_by_custom_is_told(dtype: str, number: int) -> None:
    array = with_hole(number, dtype)
    buffer = io.BytesIO()
    np.save(buffer, array)
    for data in (tiff(array, None), buffer.getvalue()):
        picture = read_picture(data)
        assert picture.notes == (f"{number} is taken for no data, in 2 pixels",)
        np.testing.assert_array_equal(picture.frames[0].array, array)
        assert picture.frames[0].span.high <= 100


def test_such_a_number_among_others_is_data() -> None:
    array = np.linspace(-20_000, 20_000, 192).reshape(12, 16).astype(np.float32)
    array[0, 0] = -32768
    (raster,) = read_picture(tiff(array, None)).frames
    assert raster.nodata is None


def test_a_colour_without_data_has_none_in_all_channels() -> None:
    array = np.full((12, 16, 3), 90, np.uint8)
    array[0, 0] = 0
    array[1, 1, 0] = 0  # a colour like any other
    (raster,) = read_picture(tiff(array, "0", photometric="rgb")).frames
    assert np.flatnonzero(np.asarray(raster.alpha) == 0).tolist() == [0]


def test_nothing_but_no_data_is_refused() -> None:
    with pytest.raises(PictureError, match="stands for no data"):
        read_picture(tiff(np.full((4, 4), -9999, np.float32), "-9999"))


@pytest.mark.parametrize("text", ["", "none", "1e999", "300", "0.5"])
def test_a_tag_that_names_no_such_number_says_nothing(text: str) -> None:
    array = np.arange(16, dtype=np.uint8).reshape(4, 4)
    (raster,) = read_picture(tiff(array, text or " ")).frames
    np.testing.assert_array_equal(raster.pixels[:, :, 0], array)
    assert raster.alpha is None
