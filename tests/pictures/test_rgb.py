"""Pictures in and out: exact pixels, every mode, and one clear line for every bad file."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import PictureError
from sr4.pictures.rgb import read_header, read_image


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


PICTURE = Image.fromarray(noise(24, 20))


def refused(source: Any, **options: Any) -> str:
    """The message with which a source is refused; it is one line."""
    with pytest.raises(PictureError) as caught:
        read_image(source, **options)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


# Reading


@pytest.mark.parametrize("as_type", ["path", "string", "bytes", "stream"])
def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path, as_type: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PICTURE))
    with path.open("rb") as stream:
        source: Any = {
            "path": path,
            "string": str(path),
            "bytes": path.read_bytes(),
            "stream": stream,
        }[as_type]
        assert np.array_equal(np.asarray(read_image(source)), np.asarray(PICTURE))


def test_header_tells_format_mode_and_size() -> None:
    header = read_header(encoded(Image.new("L", (5, 3)), "BMP"))
    assert (header.format, header.mode, header.width, header.height) == ("BMP", "L", 5, 3)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, file_format: str) -> None:
    upright = np.zeros((48, 32, 3), np.uint8)  # four corners, four colours
    upright[:16, :16], upright[:16, 16:], upright[32:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # How a camera stores it: the inverse of each turn of the EXIF standard.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True},
    }
    data = encoded(
        Image.fromarray(np.ascontiguousarray(stored)),
        file_format,
        exif=exif,
        **options.get(file_format, {}),
    )
    result = read_image(data)
    assert result.size == (32, 48)
    difference = np.abs(np.asarray(result).astype(int) - upright.astype(int))
    assert difference.mean() < 3
    assert "exif" not in result.info


def test_damaged_exif_does_not_lose_the_picture() -> None:
    data = encoded(PICTURE, "JPEG", exif=b"Exif\0\0no TIFF header at all")
    assert read_image(data).size == PICTURE.size


def test_16_bit_grey_is_scaled() -> None:
    values = np.array([[0, 128, 257, 32768, 65278, 65535]], np.uint16)
    expected = np.rint(values / 257).astype(np.uint8)
    for file_format in ("PNG", "TIFF"):
        result = np.asarray(read_image(encoded(Image.fromarray(values), file_format)))
        assert result.shape == (1, 6, 3)
        assert np.array_equal(result, expected[:, :, None].repeat(3, axis=2))


def test_16_bit_pgm_is_scaled() -> None:
    data = b"P5 2 1 65535\n" + struct.pack(">2H", 65535, 25700)
    assert np.asarray(read_image(data))[0, :, 0].tolist() == [255, 100]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    grey = Image.fromarray(noise(6, 6)[:, :, 0])
    image = (
        Image.fromarray(noise(6, 6)[:, :, 0].astype(np.uint16) * 257)
        if mode == "I;16"
        else grey.convert("RGB").convert(mode)
    )
    result = read_image(encoded(image, "TIFF"))
    assert result.mode == "RGB"
    if mode in ("L", "LA", "RGB", "RGBA", "I;16"):
        assert np.array_equal(np.asarray(result)[:, :, 1], np.asarray(grey))


@pytest.mark.parametrize("transparency", [2, bytes([0, 128, 255])])
def test_palette_with_transparency_keeps_its_colours(transparency: int | bytes) -> None:
    indices = np.array([[0, 1], [2, 0]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    data = encoded(image, "PNG", transparency=transparency)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = read_image(data)
    assert np.asarray(result)[1, 0].tolist() == [70, 80, 90]
    assert np.asarray(result)[0, 1].tolist() == [40, 50, 60]


def test_floating_point_pixels_are_refused() -> None:
    message = refused(encoded(Image.new("F", (4, 4), 0.5), "TIFF"), name="depth.tif")
    assert "depth.tif" in message
    assert "floating-point" in message


# Bad files


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "portrait.png").write_bytes(encoded(PICTURE))
    message = refused(tmp_path / "portrai.png")
    assert "does not exist" in message
    assert str(tmp_path / "portrait.png") in message


def test_missing_folder_is_the_part_that_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path / "nowhere" / "deeper" / "a.png")
    assert f"there is no {str(tmp_path / 'nowhere')!r}" in message


def test_folder_is_no_picture(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert "pipe" in refused(tmp_path / "a.png")


def test_null_byte_in_a_name() -> None:
    assert "cannot be read" in refused("a\0b.png")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(PICTURE))

    def deny(*_: object, **__: object) -> None:  # the superuser may read all, so pretend
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", deny)
    message = refused(path)
    assert "Permission denied" in message
    assert message.count(str(path)) == 1


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_empty(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").touch()
    assert "is empty" in refused(tmp_path / "a.png" if kind == "file" else b"")


def test_text_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("not\na\npicture" * 50)
    message = refused(path)
    assert "is not a picture" in message
    assert "PNG" in message


def test_a_name_with_a_line_break_stays_one_line(tmp_path: Path) -> None:
    assert "a\\nb.png" in refused(tmp_path / "a\nb.png")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_truncated_files_are_refused(file_format: str) -> None:
    data = encoded(Image.fromarray(noise(64, 64)), file_format)
    refused(data[: len(data) * 2 // 3], name="half")


def huge_png(width: int, height: int) -> bytes:
    """A PNG that claims a size, with pixels for one line."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_001, 13_000, 60_000])  # Pillow warns, or refuses by itself
def test_enormous_pictures_are_refused_by_their_header(
    side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    said = refused(huge_png(side, side), name="bomb.png")
    assert "enormous" in said
    assert "crop it or make it smaller first" in said


def test_pixel_limit_is_inclusive() -> None:
    data = encoded(Image.new("RGB", (10, 10)))
    assert read_image(data, max_pixels=100).size == (10, 10)
    assert "at most 99 pixels" in refused(data, max_pixels=99)


_SAMPLES = [
    encoded(Image.fromarray(noise(16, 16)), "PNG"),
    encoded(Image.fromarray(noise(16, 16)), "JPEG"),
    encoded(Image.fromarray(noise(16, 16)), "WEBP"),
    encoded(Image.fromarray(noise(16, 16)).quantize(16), "GIF"),
    encoded(Image.fromarray(noise(16, 16)), "TIFF"),
]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    data=st.sampled_from(_SAMPLES),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
)
def test_damaged_bytes_raise_nothing_but_picture_errors(
    data: bytes, cut: float, changes: list[tuple[float, int]]
) -> None:
    mutated = bytearray(data)
    for place, value in changes:
        mutated[int(place * len(mutated))] = value
    message, mode = "", "RGB"
    try:
        mode = read_image(bytes(mutated[: int(cut * len(mutated))]), max_pixels=1_000_000).mode
    except PictureError as error:
        message = str(error)
    assert mode == "RGB"
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["path", "bytes", "stream"])
def test_large_files_are_refused_before_they_are_decoded(tmp_path: Path, kind: str) -> None:
    data = encoded(PICTURE)
    path = tmp_path / "a.png"
    path.write_bytes(data)

    def source() -> Any:
        return {"path": path, "bytes": data, "stream": io.BytesIO(data)}[kind]

    assert read_image(source(), max_bytes=len(data)).size == PICTURE.size
    assert f"more than {len(data) - 1:,} bytes" in refused(source(), max_bytes=len(data) - 1)


def test_a_file_of_a_terabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "holes.png"
    with path.open("wb") as file:
        file.write(encoded(PICTURE))
        file.truncate(10**12)
    assert "bytes; expected a smaller one" in refused(path)
