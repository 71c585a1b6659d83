"""How many pixels make an inch: by the place in which each format says it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from sr4.pictures.resolution import Resolution, checked, stated


def opened(file_format: str, **options: Any) -> Image.Image:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, file_format, **options)
    return Image.open(buffer)


def test_more_pixels_in_the_same_print() -> None:
    assert Resolution(72, 96).scaled(4, 4) == Resolution(288, 384)
    assert Resolution(1, 2, False).scaled(2, 2) == Resolution(2, 4, False)
    assert Resolution(1, 2, False).scaled(2, 1) is None  # squares need no word


@pytest.mark.parametrize("bad", [0.0, -72.0, float("nan"), float("inf"), 1e7])
def test_numbers_that_are_no_resolution(bad: float) -> None:
    assert checked(bad, 72) is None
    assert checked(72, bad) is None


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF", "BMP"])
def test_each_format_by_its_own_place(file_format: str) -> None:
    found = stated(opened(file_format, dpi=(300, 150)))
    assert found is not None
    assert (found.across, found.down) == pytest.approx((300, 150), rel=1e-4)
    assert found.is_absolute


def test_a_tiff_without_a_resolution_states_none() -> None:
    """For which Pillow gives a pixel an inch, in copies too."""
    image = opened("TIFF")
    assert image.info["dpi"] == (1, 1)
    assert stated(image) is None
    assert stated(image.convert("L")) is None
    assert stated(opened("TIFF", dpi=(1, 2))) == Resolution(1, 2)
    assert stated(opened("TIFF", tiffinfo={282: 300.0})) is None  # of one axis alone


def test_a_jpeg_that_names_no_unit_gives_a_ratio() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    place = data.index(b"JFIF\0") + 7
    for unit, pair, expected in (
        (0, (1, 1), None),
        (0, (2, 1), Resolution(2, 1, False)),
        (1, (72, 72), Resolution(72, 72)),
        (2, (100, 100), Resolution(254, 254)),  # centimetres
    ):
        data[place] = unit
        data[place + 1 : place + 5] = pair[0].to_bytes(2, "big") + pair[1].to_bytes(2, "big")
        assert stated(Image.open(io.BytesIO(bytes(data)))) == expected
