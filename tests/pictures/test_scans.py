"""JPEG files whose scans a decoder would not be done with, and those that only look like them."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
import tifffile
from PIL import Image

from sr4.errors import PictureError
from sr4.pictures import read_picture, read_size
from sr4.pictures.rgb import read_image
from sr4.pictures.scans import MOST_SCANS, check

PLAIN = Image.new("RGB", (64, 48), (9, 99, 200))
SCAN, END = b"\xff\xda", b"\xff\xd9"


def jpeg(image: Image.Image = PLAIN, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def with_scans(count: int) -> bytes:
    """A progressive file with its last scan repeated until there are so many."""
    data = jpeg(progressive=True)
    last = data[data.rindex(SCAN) : data.rindex(END)]
    return data[: data.rindex(END)] + last * (count - data.count(SCAN)) + END


def checked(data: bytes) -> None:
    check(io.BytesIO(data), 0, len(data))


def test_a_picture_of_too_many_scans_is_refused() -> None:
    assert read_picture(with_scans(MOST_SCANS)).frames[0].size == (64, 48)
    for read in (read_picture, read_size, read_image):
        with pytest.raises(PictureError, match="a JPEG of more than 200 scans") as error:
            read(with_scans(MOST_SCANS + 1))
        assert "\n" not in str(error.value)


def test_what_stands_inside_or_behind_a_picture_does_not_count() -> None:
    """Thumbnails, profiles, the other pictures of an MPO, a film."""
    data = jpeg()
    segment = b"\xff\xe5" + (2 + 2 * 30_000).to_bytes(2, "big") + SCAN * 30_000
    assert read_size(data[:2] + segment + data[2:]) == (64, 48)
    assert read_size(data + SCAN * 1000) == (64, 48)
    file = io.BytesIO()
    PLAIN.save(file, "MPO", save_all=True, append_images=[PLAIN] * (MOST_SCANS + 1))
    assert read_size(file.getvalue()) == (64, 48)


@pytest.mark.parametrize("progressive", [False, True])
def test_ordinary_pictures_are_read(progressive: bool) -> None:
    noise = Image.effect_noise((200, 300), 90).convert("RGB")
    for options in ({}, {"restart_marker_blocks": 1}, {"quality": 100}):
        assert read_size(jpeg(noise, progressive=progressive, **options)) == (200, 300)


def test_markers_are_found_wherever_they_stand() -> None:
    """Across the blocks that are read, behind bytes that fill, and after a length that lies."""
    for before in (b"\0" * (2**16 - 3), b"\0" * (2**16 - 4), b"\xff" * 99, b"\xff\0" * 99):
        with pytest.raises(ValueError, match="scans"):
            checked(b"\xff\xd8" + (before + SCAN + b"\0\0") * (MOST_SCANS + 1))


@pytest.mark.parametrize("unit", [b"\xff", b"\xff\0", b"\xff\xd0", b"\xff\x01", b"a"])
def test_it_takes_no_longer_than_reading(unit: bytes) -> None:
    began = time.monotonic()
    checked(b"\xff\xd8" + unit * (2**24 // len(unit)))
    assert time.monotonic() - began < 2


def test_many_segments_are_not_walked_through() -> None:
    data = jpeg()
    with pytest.raises(PictureError, match="a JPEG of more than 10,000 segments"):
        read_size(data[:2] + b"\xff\xe5\0\2" * 100_000 + data[2:])


def test_strips_of_a_tiff_count_each() -> None:
    """Of a kind that Pillow does not read: libtiff counts by itself."""
    data = with_scans(MOST_SCANS + 1)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        iter([data]),
        shape=(48, 64, 3),
        dtype="uint8",
        photometric="ycbcr",
        compression="jpeg",
        extratags=[(42113, 2, 2, "0", True)],
    )
    with pytest.raises(PictureError, match="more than 200 scans"):
        read_picture(file.getvalue())
