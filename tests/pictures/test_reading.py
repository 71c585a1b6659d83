"""Picture files of any mode and depth, as deep as they are."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from sr4.errors import PictureError
from sr4.pictures import Picture, natural_suffix, read_picture, read_size
from sr4.pictures.decoding import decoding
from sr4.pictures.raster import Raster, Span
from sr4.pictures.reading import picture_of

_RANDOM = np.random.default_rng(0)
EIGHT = _RANDOM.integers(0, 256, (13, 17, 4), dtype=np.uint8)
DEEP = _RANDOM.integers(0, 65536, (13, 17, 4), dtype=np.uint16)
BANDS = DEEP[:, :, [0, 1, 2, 3, 0]]


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


def tiff(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def only(source: bytes | Path) -> Raster:
    (raster,) = read_picture(source).frames
    return raster


RGB = Image.fromarray(EIGHT[:, :, :3])
RGBA = Image.fromarray(EIGHT)


# What file holds what: bytes, colour, colours (H, W, N), alpha

PILLOW = {
    "1": (Image.fromarray(EIGHT[:, :, 0] > 127), "grey", (EIGHT[..., :1] > 127) * np.uint8(255)),
    "L": (Image.fromarray(EIGHT[:, :, 0]), "grey", EIGHT[:, :, :1]),
    "RGB": (RGB, "rgb", EIGHT[:, :, :3]),
}
DEEP_FILES = {
    "16-bit grey PNG": (imagecodecs.png_encode(DEEP[..., 0].copy()), "grey", DEEP[..., :1], None),
    "16-bit grey and alpha PNG": (
        imagecodecs.png_encode(DEEP[..., :2].copy()), "grey", DEEP[..., :1], DEEP[..., 1],
    ),
    "16-bit RGB PNG": (imagecodecs.png_encode(DEEP[..., :3].copy()), "rgb", DEEP[..., :3], None),
    "16-bit RGBA PNG": (imagecodecs.png_encode(DEEP), "rgb", DEEP[..., :3], DEEP[..., 3]),
    "16-bit RGB TIFF": (tiff(DEEP[..., :3], photometric="rgb"), "rgb", DEEP[..., :3], None),
    "LZW": (
        tiff(DEEP[..., :3], photometric="rgb", compression="lzw", predictor=True),
        "rgb", DEEP[..., :3], None,
    ),
    "big endian": (
        tiff(DEEP[..., :3], photometric="rgb", byteorder=">"), "rgb", DEEP[..., :3], None,
    ),
    "BigTIFF": (
        tiff(DEEP[..., :3], photometric="rgb", bigtiff=True), "rgb", DEEP[..., :3], None,
    ),
    "planes": (
        tiff(np.moveaxis(DEEP[..., :3], 2, 0), photometric="rgb", planarconfig="separate"),
        "rgb", DEEP[..., :3], None,
    ),
    "16-bit RGBA TIFF": (
        tiff(DEEP, photometric="rgb", extrasamples=["unassalpha"]),
        "rgb", DEEP[..., :3], DEEP[..., 3],
    ),
    "16-bit CMYK TIFF": (tiff(DEEP, photometric="separated"), "cmyk", 65535 - DEEP, None),
    "white is zero": (
        tiff(DEEP[..., 0], photometric="miniswhite"), "grey", 65535 - DEEP[..., :1], None,
    ),
    "5 bands": (
        tiff(_RANDOM.integers(0, 256, (13, 17, 5)).astype(np.uint8), photometric="minisblack",
             planarconfig="contig"),
        "bands", None, None,
    ),
    "float32": (
        tiff((DEEP[..., :3] / 65535).astype(np.float32), photometric="rgb"),
        "rgb", (DEEP[..., :3] / 65535).astype(np.float32), None,
    ),
    "heights": (
        tiff(DEEP[..., 0].astype(np.float64) - 500), "grey", DEEP[..., :1] - np.float64(500), None,
    ),
    "int16": (
        tiff((DEEP[..., 0] // 2).astype(np.int16)), "grey", (DEEP[..., :1] // 2).astype(np.int16),
        None,
    ),
    "NPY": (npy(DEEP[..., :3]), "rgb", DEEP[..., :3], None),
    "NPY in columns": (npy(np.asfortranarray(DEEP[..., 0])), "grey", DEEP[..., :1], None),
    "NPY of bands": (npy(BANDS), "bands", BANDS, None),
    "NPY, big endian": (npy(DEEP[..., 0].astype(">u2")), "grey", DEEP[..., :1], None),
}  # fmt: skip


@pytest.mark.parametrize("mode", PILLOW)
def test_modes_of_8_bits(mode: str) -> None:
    image, colour, pixels = PILLOW[mode]
    raster = only(encoded(image))
    assert (raster.colour, raster.alpha) == (colour, None)
    np.testing.assert_array_equal(raster.pixels, pixels)


@pytest.mark.parametrize("kind", DEEP_FILES)
def test_deep_pictures_lose_nothing(kind: str) -> None:
    data, colour, pixels, alpha = DEEP_FILES[kind]
    raster = only(bytes(data))
    assert (raster.colour, raster.size) == (colour, (17, 13))
    if pixels is not None:
        np.testing.assert_array_equal(raster.pixels, pixels)
        assert raster.pixels.dtype == pixels.dtype
    if alpha is not None:
        np.testing.assert_array_equal(raster.alpha, alpha)
    else:
        assert raster.alpha is None
    assert raster.pixels.dtype.isnative


def test_transparency_of_every_kind() -> None:
    grey = Image.merge("LA", [Image.fromarray(EIGHT[:, :, number]) for number in (0, 3)])
    for image in (RGBA, grey):
        raster = only(encoded(image))
        assert raster.colour == ("rgb" if image is RGBA else "grey")
        np.testing.assert_array_equal(raster.alpha, EIGHT[:, :, 3])
    palette = RGB.quantize(8)
    opacity = bytes([0, 128, *[255] * 6])
    raster = only(encoded(palette, transparency=opacity))
    assert raster.colour == "rgb"
    expected = np.frombuffer(opacity, np.uint8)[np.asarray(palette)]
    np.testing.assert_array_equal(raster.alpha, expected)
    assert only(encoded(palette)).alpha is None


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_one_grey_of_few_may_be_transparent(depth: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    values, each = 2**depth, 8 // depth  # of a pixel, and pixels to a byte
    row = [number % values for number in range(2 * each)]
    packed = bytes(
        sum(value << (8 - depth * (place + 1)) for place, value in enumerate(row[first:][:each]))
        for first in (0, each)
    )
    data = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", len(row), 1, depth, 0, 0, 0, 0)
    )
    data += chunk(b"tRNS", struct.pack(">H", 1)) + chunk(b"IDAT", zlib.compress(b"\0" + packed))
    raster = only(data + chunk(b"IEND", b""))
    np.testing.assert_array_equal(
        raster.pixels.ravel(), [value * 255 // (values - 1) for value in row]
    )
    assert raster.alpha is not None
    np.testing.assert_array_equal(raster.alpha.ravel() == 0, np.array(row) == 1)


def test_premultiplied_colours_are_divided() -> None:
    alpha = np.full((4, 4, 1), 20_000, np.uint16)
    colours = np.full((4, 4, 3), 5_000, np.uint16)
    data = tiff(np.concatenate([colours, alpha], 2), photometric="rgb", extrasamples=["assocalpha"])
    raster = only(data)
    assert set(raster.pixels.ravel()) == {16384}  # a quarter of 65535, rounded
    assert set(np.asarray(raster.alpha).ravel()) == {20_000}


def test_cmyk_looks_as_the_picture_does() -> None:
    raster = only(encoded(Image.new("CMYK", (4, 4), (255, 0, 51, 0)), "TIFF"))
    assert raster.colour == "cmyk"
    assert raster.pixels[0, 0].tolist() == [0, 255, 204, 255]


def test_lab_becomes_rgb() -> None:
    smooth = RGB.resize((3, 3)).resize((17, 13))
    lab = ImageCms.profileToProfile(
        smooth, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    raster = only(encoded(lab, "TIFF"))
    assert raster.colour == "rgb"
    assert np.abs(raster.pixels.astype(int) - np.asarray(smooth)).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["8-bit PNG", "JPEG", "16-bit PNG", "8-bit TIFF", "16-bit TIFF"])
def test_pictures_are_upright(kind: str, orientation: int) -> None:
    """A white corner tells how a picture lies; what turns it upright is EXIF's own table."""
    array = np.zeros((16, 24, 3), np.uint8)
    array[:8, :8] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    if kind == "16-bit TIFF":
        data = tiff(array.astype(np.uint16) * 257, photometric="rgb",
                    extratags=[(274, 3, 1, orientation, True)])  # fmt: skip
    elif kind == "16-bit PNG":
        shallow = encoded(Image.fromarray(array), exif=exif)
        chunk = shallow[shallow.index(b"eXIf") - 4 :]
        chunk = chunk[: int.from_bytes(chunk[:4], "big") + 12]
        deep = imagecodecs.png_encode(array.astype(np.uint16) * 257)
        data = bytes(deep[:33] + chunk + deep[33:])
    else:
        options = {"quality": 95} if kind == "JPEG" else {}
        data = encoded(Image.fromarray(array), kind.split()[-1], exif=exif, **options)
    # Row and column that the first row and column of the file are, EXIF 2.32, tag 0x0112.
    right = orientation in (2, 3, 6, 7)
    bottom = orientation in (3, 4, 7, 8)
    raster = only(data)
    assert raster.size == ((24, 16) if orientation < 5 else (16, 24))
    assert read_size(data) == raster.size
    corner = raster.pixels[-1 if bottom else 0, -1 if right else 0, 0]
    assert corner > 0.97 * raster.span.high
    white = raster.pixels[:, :, 0] > 0.5 * raster.span.high
    assert white.mean() == pytest.approx(1 / 6, abs=0.01)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "8-bit TIFF", "16-bit TIFF"])
def test_xmp_turns_where_exif_is_silent(kind: str) -> None:
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    if kind == "16-bit TIFF":
        data = tiff(np.zeros((16, 24), np.uint16), extratags=[(700, 7, len(packet), packet, True)])
    elif kind == "PNG":
        side = PngInfo()
        side.add_itxt("XML:com.adobe.xmp", packet.decode())
        data = encoded(Image.new("L", (24, 16)), pnginfo=side)
    elif kind == "JPEG":
        data = encoded(Image.new("L", (24, 16)), kind, xmp=packet)
    else:
        data = encoded(Image.new("L", (24, 16)), "TIFF", tiffinfo={700: packet})
    assert only(data).size == read_size(data) == (16, 24)


def test_a_size_is_read_without_the_pixels() -> None:
    """Which are damaged here, and would be looked through for EXIF behind them."""
    data = bytearray(encoded(Image.new("RGB", (24, 16))))
    place = data.index(b"IDAT") + 4
    data[place : place + 2] = b"xx"
    assert read_size(bytes(data)) == (24, 16)
    with pytest.raises(PictureError):
        read_picture(bytes(data))


def test_12_bits_fill_16(tmp_path: Path) -> None:
    values = np.array([[0, 2048, 4095, 1]], np.uint16).repeat(4, 0)
    tifffile.imwrite(tmp_path / "a.tif", values, bitspersample=12)
    assert only(tmp_path / "a.tif").pixels[0, :, 0].tolist() == [0, 32776, 65535, 16]


@pytest.mark.parametrize(
    ("most", "values", "expected"),
    [(65535, [1000, 1001, 40000], [1000, 1001, 40000]), (1023, [0, 1, 1023], [0, 64, 65535])],
)
def test_grey_of_16_bits_in_a_pgm(most: int, values: list[int], expected: list[int]) -> None:
    """Black and white are those of its numbers, not the darkest and lightest pixel."""
    binary = b"P5 3 1 %d\n" % most + np.array(values, ">u2").tobytes()
    plain = f"P2 3 1 {most}\n{' '.join(map(str, values))}\n".encode()
    for data in (binary, plain):
        for raster in (only(data), picture_of(Image.open(io.BytesIO(data))).frames[0]):
            assert raster.span == Span(0, 65535, np.dtype(np.uint16))
            assert raster.array.tolist() == [expected]


def test_pages_and_frames() -> None:
    pages = encoded(RGB, "TIFF", save_all=True, append_images=[RGB, RGB])
    assert read_picture(pages).notes == ("the first of 3 pages is taken",)
    deep = tiff(DEEP[None, ..., :3].repeat(2, 0), photometric="rgb")
    assert read_picture(deep).notes == ("the first of 2 pages is taken",)
    frames = [Image.fromarray(np.roll(EIGHT, k, 0)) for k in range(3)]
    for file_format in ("GIF", "PNG", "WEBP"):
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=40)
        picture = read_picture(data)
        assert len(picture.frames) == 3
        assert picture.durations == (40, 40, 40)
        assert picture.notes == ()
        assert {frame.size for frame in picture.frames} == {(17, 13)}
        assert all(frame.alpha is not None for frame in picture.frames)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", [2, 4])
def test_an_array_of_two_or_four_bands_has_alpha(dtype: Any, bands: int) -> None:
    """As results are written with it; a model of as many channels takes it for a band."""
    array = DEEP[:, :, :bands].astype(dtype) / dtype(65535 if dtype == np.float32 else 1)
    raster = only(npy(array.astype(dtype)))
    assert (raster.colour, raster.nodata) == ("grey" if bands == 2 else "rgb", None)
    np.testing.assert_array_equal(raster.array, array.astype(dtype))
    np.testing.assert_array_equal(raster.alpha, array[:, :, -1].astype(dtype))
    as_bands = raster.for_model(bands)
    assert (as_bands.colour, as_bands.alpha) == ("bands", None)
    np.testing.assert_array_equal(as_bands.pixels, array.astype(dtype))


def test_four_bands_of_any_numbers_are_bands() -> None:
    for array in (DEEP.astype(np.int32), DEEP.astype(np.float32)):
        raster = only(npy(array))
        assert (raster.colour, raster.alpha) == ("bands", None)


def test_the_limit_counts_frames() -> None:
    frames = [Image.fromarray(np.roll(EIGHT[..., :3], k, 0)) for k in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert len(read_picture(data, max_pixels=3 * 17 * 13).frames) == 3
    with pytest.raises(PictureError, match=r"enormous \(3 frames of 17x13\)"):
        read_picture(data, max_pixels=3 * 17 * 13 - 1)


BAD = {
    "empty": (b"", "is empty"),
    "a truncated 16-bit PNG": (imagecodecs.png_encode(DEEP)[:700], "cannot be decoded"),
    "a truncated TIFF": (tiff(DEEP[..., :3], photometric="rgb")[:600], "cannot be decoded"),
    "a TIFF without a picture": (b"II*\0" + bytes(20), "cannot be decoded"),
    "a truncated NPY": (npy(DEEP)[:300], "bytes are missing"),
    "an NPY of text": (npy(np.array([["a"]])), "expected numbers of shape"),
    "an NPY of one axis": (npy(np.arange(5.0)), "expected numbers of shape"),
    "an NPY without pixels": (npy(np.zeros((0, 4))), "not empty"),
    "an NPY that needs pickle": (npy(np.array([[{}]], dtype=object)), "expected numbers"),
    "a broken NPY header": (b"\x93NUMPY\x01\x00\x76\x00{'descr': ", "cannot be decoded"),
    "not finite": (npy(np.array([[0.0, np.nan]])), "not finite"),
    "a volume": (
        tiff(np.zeros((4, 16, 16), np.uint16), volumetric=True, tile=(4, 16, 16),
             photometric="minisblack"),
        "a volume of 4 layers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_have_one_line(kind: str) -> None:
    data, part = BAD[kind]
    with pytest.raises(PictureError) as caught:
        read_picture(bytes(data), name="it")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("said", ["0", "-2", "cannot load this image"])
def test_what_tells_nothing_is_not_repeated(said: str) -> None:
    with (
        pytest.raises(PictureError, match=r"^'it' cannot be decoded; expected"),
        decoding(b"x", "it"),
    ):
        raise OSError(said)
    with (
        pytest.raises(PictureError, match=r"cannot be decoded \(3 bytes are missing\)"),
        decoding(b"x"),
    ):
        raise OSError("3 bytes are missing")


@pytest.mark.parametrize("kind", ["NPY", "TIFF", "PNG"])
def test_sizes_are_looked_at_before_pixels_are_decoded(kind: str) -> None:
    data = {
        "NPY": npy(DEEP),
        "TIFF": tiff(DEEP[..., :3], photometric="rgb"),
        "PNG": imagecodecs.png_encode(DEEP),
    }[kind]
    with pytest.raises(PictureError, match=r"enormous \(17x13\); expected at most 200"):
        read_picture(bytes(data), max_pixels=200)


def test_an_npy_header_may_lie_about_its_size() -> None:
    header = {"descr": "<u2", "fortran_order": False, "shape": (4, 4, 10**15)}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    with pytest.raises(PictureError, match="bytes are missing"):
        read_picture(buffer.getvalue() + bytes(100))


def test_the_file_that_holds_a_result_without_loss(tmp_path: Path) -> None:
    expected = {
        "a.jpg": (encoded(RGB, "JPEG"), ".png"),
        "b.npy": (npy(DEEP), ".npy"),
        "c.tif": (encoded(RGB, "TIFF"), ".png"),
        "d.TIF": (DEEP_FILES["16-bit RGB TIFF"][0], ".png"),
        "e.tiff": (DEEP_FILES["float32"][0], ".tif"),
        "f.tif": (DEEP_FILES["5 bands"][0], ".tif"),
        "g.tif": (b"no picture", ".png"),
    }
    for name, (data, suffix) in expected.items():
        (tmp_path / name).write_bytes(data)
        assert natural_suffix(tmp_path / name) == suffix, name


def test_defaults() -> None:
    picture = Picture((only(encoded(RGB)),))
    assert picture.metadata.exif is None
    assert (picture.durations, picture.loop, picture.notes) == ((), 0, ())


def test_lack_of_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)

    def load(self: Image.Image) -> None:
        raise MemoryError("Unable to allocate 618 MiB")

    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    said = r"takes more memory to decode than there is \(Unable to allocate 618 MiB\); expected a"
    with pytest.raises(PictureError, match=said):
        read_picture(path)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"PK\x03\x04", "is a ZIP archive \\(unpack it first\\); expected a picture"),
        (b"%PDF-1.7", "is a PDF"),
        (b"<svg xmlns=", "is an SVG drawing"),
        (b"plain text", "is not a picture, or is damaged at its start"),
        (b"\xff\x0a\xfa\x7f", r"is JPEG XL \(save it as PNG first\); expected a picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is JPEG XL"),
        (b"8BPS\0\x01", "is a Photoshop document"),
        (b"\0\0\x01\0\x01\0", "is an icon of several sizes"),
    ],
)
def test_what_people_have_instead_of_pictures_is_named(start: bytes, said: str) -> None:
    with pytest.raises(PictureError, match=said):
        read_picture(start + bytes(40), name="x")


def test_tga_is_known_by_its_name() -> None:
    data = encoded(RGB, "TGA")
    for name in ("a.tga", "it's.TGA"):
        with pytest.raises(PictureError, match=r"is a TGA picture \(save it as PNG first\)"):
            read_picture(data, name=name)
    with pytest.raises(PictureError, match="is not a picture"):
        read_picture(data, name="tga.png")


def test_what_is_read_is_listed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif")
    with pytest.raises(PictureError, match=r"expected one of PNG, JPEG, .*, AVIF, HEIC, NPY$"):
        read_picture(b"plain text")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"expected one of PNG, JPEG, .*, AVIF, NPY$"):
        read_picture(b"plain text")
