"""Which page of a TIFF is the picture, and pixels of every compression; files that lie."""

from __future__ import annotations

import io
import struct
import time
from contextlib import suppress
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from sr4.errors import PictureError
from sr4.pictures import decoded_bytes, read_picture

_RANDOM = np.random.default_rng(0)
RGBA = _RANDOM.integers(0, 256, (40, 56, 4), dtype=np.uint8)
RGB = RGBA[:, :, :3]
SMOOTH = np.clip(np.add.outer(np.arange(40), np.arange(56))[:, :, None] + [0, 60, 120], 0, 255)


def tiff(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def by_hand(tags: dict[int, tuple[int, int]], data: bytes, offset_tag: int = 273) -> bytes:
    """A TIFF of one page with a single strip; tags are types and values."""
    entries = {**tags, offset_tag: (4, 0), 279: (4, len(data))}
    start = 8 + 2 + 12 * len(entries) + 4
    entries[offset_tag] = (4, start)
    body = b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(entries.items())
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + data


def without_extra_samples(array: np.ndarray) -> bytes:
    data = tiff(array, photometric="rgb", extrasamples=["unassalpha"])
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages.first.tags[338].offset
    return data[:place] + struct.pack("<H", 65_000) + data[place + 2 :]  # a tag of nobody's


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_fourth_sample_of_which_nothing_is_said_is_alpha(dtype: Any) -> None:
    array = RGBA.astype(dtype) * (257 if dtype == np.uint16 else 1)
    (raster,) = read_picture(without_extra_samples(array)).frames
    assert raster.colour == "rgb"
    np.testing.assert_array_equal(raster.pixels, array[:, :, :3])
    np.testing.assert_array_equal(raster.alpha, array[:, :, 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("smaller", [1, 4])
def test_the_picture_is_the_first_page_that_is_no_part_of_another(
    dtype: type, smaller: int
) -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(RGB[::4, ::4].astype(dtype), photometric="rgb", subfiletype=1)
        if smaller == 4:
            writer.write(RGB[:, :, 0] > 127, photometric="mask", subfiletype=4)
        writer.write(RGB.astype(dtype), photometric="rgb")
        writer.write(RGB[::2, ::2].astype(dtype), photometric="rgb", subfiletype=1)
    picture = read_picture(buffer.getvalue())
    np.testing.assert_array_equal(picture.frames[0].pixels, RGB)
    assert picture.notes == ()


def test_a_picture_inside_its_smaller_version() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(RGB[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(RGB, photometric="rgb")
    np.testing.assert_array_equal(read_picture(buffer.getvalue()).frames[0].pixels, RGB)


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize(
    "compression", ["webp", "jpeg2000", "jpegxl", "jpegxr", "png", "zstd", "lzma", "lerc", "lzw"]
)
def test_every_compression(compression: str, tile: tuple[int, int] | None) -> None:
    if compression == "webp":
        options: dict[str, Any] = {"compressionargs": {"lossless": True, "level": 0}}
    elif compression == "jpegxr":
        options = {"compressionargs": {"level": 1.0}}
    else:
        options = {"compressionargs": {"level": 0}} if compression == "jpeg2000" else {}
    given = SMOOTH.astype(np.uint8)
    data = tiff(given, photometric="rgb", compression=compression, tile=tile, **options)
    (raster,) = read_picture(data).frames
    assert raster.pixels.dtype == np.uint8
    assert np.abs(raster.pixels.astype(int) - given).max() <= (2 if compression == "jpegxr" else 0)


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_palettes_and_single_bits_of_any_compression(compression: str) -> None:
    table = _RANDOM.integers(0, 256, (3, 256)).astype(np.uint16) * 257
    index = RGB[:, :, 0]
    data = tiff(index, photometric="palette", colormap=table, compression=compression)
    (raster,) = read_picture(data).frames
    np.testing.assert_array_equal(raster.pixels, (table // 257).T[index])
    bits = index > 127
    data = tiff(bits, photometric="minisblack", compression=compression)
    (raster,) = read_picture(data).frames
    np.testing.assert_array_equal(raster.pixels[:, :, 0], bits * 255)


INNER = {
    "LERC": (34887, imagecodecs.lerc_encode(np.zeros((2000, 2000), np.uint16))),
    "JPEG 2000": (34712, imagecodecs.jpeg2k_encode(np.zeros((2000, 2000), np.uint16))),
    "PNG": (34933, imagecodecs.png_encode(np.zeros((2000, 2000), np.uint16))),
    "JPEG XL": (50002, imagecodecs.jpegxl_encode(np.zeros((2000, 2000), np.uint16))),
    "JPEG XR": (22610, imagecodecs.jpegxr_encode(np.zeros((2000, 2000), np.uint16))),
}


@pytest.mark.parametrize("kind", INNER)
def test_a_strip_is_measured_before_it_is_decoded(kind: str, monkeypatch: Any) -> None:
    compression, data = INNER[kind]
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda page: pytest.fail("it was decoded"))
    page = {256: 16, 257: 16, 258: 16, 259: compression, 262: 1, 277: 1, 278: 16}
    bad = by_hand({tag: (3, value) for tag, value in page.items()}, bytes(data))
    with pytest.raises(PictureError, match="of 16x16 holds a picture of 2000x2000"):
        read_picture(bad)


@pytest.mark.parametrize("bits", [8, 16])
def test_tiles_count_as_pixels(bits: int) -> None:
    page = {256: 16, 257: 16, 258: bits, 259: 8, 262: 1, 277: 1, 322: 50_000, 323: 50_000}
    data = by_hand({tag: (4, value) for tag, value in page.items()}, b"x", 324)
    with pytest.raises(PictureError, match="enormous"):
        read_picture(data)
    assert decoded_bytes(data) == 50_000**2 * bits // 8


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_bands_and_their_depth_count(dtype: type, monkeypatch: Any) -> None:
    """As many bytes as four samples of 32 bits have, for each pixel that is allowed."""
    array: np.ndarray = np.zeros((10, 20, 6), dtype)
    data = tiff(array, photometric="minisblack", planarconfig="contig", compression="deflate")
    assert decoded_bytes(data) == array.nbytes
    pixels = -(-array.nbytes // 16)
    assert read_picture(data, max_pixels=max(200, pixels)).frames[0].pixels.shape == array.shape
    if dtype is not np.uint8:
        monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda _: pytest.fail("it was decoded"))
        with pytest.raises(PictureError, match=rf"{array.nbytes:,} bytes, 6 bands of float"):
            read_picture(data, max_pixels=pixels - 1)


def chain(pages: int) -> bytes:
    """Pages of a single pixel, which lies behind the first."""
    tags = [
        (256, 1),
        (257, 1),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 0),
        (277, 1),
        (278, 1),
        (279, 1),
    ]
    size = 2 + 12 * len(tags) + 4
    pixel = 8 + pages * size
    found = bytearray(b"II*\0" + struct.pack("<I", 8))
    for number in range(pages):
        found += struct.pack("<H", len(tags))
        for tag, value in tags:
            found += struct.pack("<HHII", tag, 4, 1, pixel if tag == 273 else value)
        found += struct.pack("<I", 8 + (number + 1) * size if number < pages - 1 else 0)
    return bytes(found) + b"\x80"


def test_pages_are_counted_to_a_bound() -> None:
    assert read_picture(chain(999)).notes == ("the first of 999 pages is taken",)
    began = time.perf_counter()
    picture = read_picture(chain(20_000))
    assert time.perf_counter() - began < 5
    assert picture.notes == ("the first of more than 1,000 pages is taken",)
    assert picture.frames[0].pixels.tolist() == [[[128]]]


def test_a_chain_that_bites_its_tail_ends() -> None:
    data = bytearray(chain(3))
    data[8 + 3 * 114 - 4 : 8 + 3 * 114] = struct.pack("<I", 8)
    assert read_picture(bytes(data)).frames[0].size == (1, 1)


def test_decoders_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    page = {256: 16, 257: 16, 258: 8, 259: 5, 262: 2, 277: 3, 278: 16}
    for samples in (3, 200):
        tags = {tag: (3, value) for tag, value in {**page, 277: samples}.items()}
        with suppress(PictureError):
            read_picture(by_hand(tags, b"damaged"))
    jpeg = tiff(RGB, photometric="rgb", compression="jpeg")
    with suppress(PictureError):
        read_picture(jpeg[: len(jpeg) // 2] + bytes(len(jpeg) // 2))
    assert capfd.readouterr() == ("", "")


def test_exif_of_deep_pictures_is_read() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x829A] = 0.25
    exif[0x8769] = exif.get_ifd(0x8769)
    exif[0x10F] = "a camera"
    buffer = io.BytesIO()
    Image.fromarray(RGB[:, :, 0].astype(np.uint16)).save(buffer, "TIFF", exif=exif)
    found = Image.Exif()
    found.load(read_picture(buffer.getvalue()).metadata.exif or b"")
    assert found[0x10F] == "a camera"
    assert found.get_ifd(0x8769)[0x829A] == 0.25
