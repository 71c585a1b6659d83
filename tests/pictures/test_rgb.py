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
from sr4.pictures.finding import list_images
from sr4.pictures.pixels import quantise, to_array, to_image
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


# Arrays


def test_every_level_survives_the_way_to_models_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    array = to_array(Image.fromarray(levels))
    assert array.shape == (3, 16, 16)
    assert array.dtype == np.float32
    assert array.min() == -1.0
    assert array.max() == 1.0
    assert np.array_equal(quantise(array), levels)
    assert np.array_equal(np.asarray(to_image(array)), levels)


def test_array_values_are_the_nearest_floats() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    exact = levels[:, :, 0].astype(np.float64) / 127.5 - 1
    assert np.array_equal(to_array(levels)[0], exact.astype(np.float32))


def test_arrays_keep_leading_axes_and_the_place_of_each_pixel() -> None:
    pixels = np.stack([noise(5, 7, seed=1), noise(5, 7, seed=2)])
    array = to_array(pixels)
    assert array.shape == (2, 3, 5, 7)
    assert array[1, 2, 3, 4] == np.float32(pixels[1, 3, 4, 2] / 127.5 - 1)
    assert np.array_equal(quantise(array), pixels)


def test_grey_pictures_have_one_channel() -> None:
    grey = Image.fromarray(noise(4, 6)[:, :, 0])
    array = to_array(grey)
    assert array.shape == (1, 4, 6)
    assert to_image(array).mode == "L"
    assert np.array_equal(np.asarray(to_image(array)), np.asarray(grey))


def test_quantise_rounds_and_clips() -> None:
    # Levels 0, 127.4, 127.6, 255, then outside the range.
    values = [-1.0, 127.4 / 127.5 - 1, 127.6 / 127.5 - 1, 1.0, -7.0, 7.0, -np.inf, np.inf]
    result = quantise(np.array(values).reshape(1, 1, -1)).ravel()
    assert result.tolist() == [0, 127, 128, 255, 0, 255, 0, 255]


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(PictureError, match="not a number"):
        quantise(np.array([[[np.nan]]]))
    with pytest.raises(PictureError, match="uint8"):
        to_array(np.zeros((2, 2, 3)))  # type: ignore[arg-type]
    with pytest.raises(PictureError, match="RGBA"):
        to_array(Image.new("RGBA", (2, 2)))
    with pytest.raises(PictureError, match="channels"):
        to_image(np.zeros((2, 4, 4)))


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
    assert "enormous" in refused(huge_png(side, side), name="bomb.png")


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


# Listing


def test_folders_are_searched_in_a_fixed_order(tmp_path: Path) -> None:
    names = ["b.png", "a/2.JPG", "a/10.webp", "a/b/x.tiff", "c.txt", ".hidden.png", ".git/d.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert listed == ["a/10.webp", "a/2.JPG", "a/b/x.tiff", "b.png"]


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "data/inner").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data/inner/a.png").touch()
    (tmp_path / "elsewhere/b.png").touch()
    (tmp_path / "data/inner/up").symlink_to(tmp_path / "data")
    (tmp_path / "data/more").symlink_to(tmp_path / "elsewhere")
    listed = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path / "data")]
    assert listed == ["data/inner/a.png", "data/more/b.png"]


def test_listing_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(PictureError, match=r"did you mean .*faces"):
        list_images(tmp_path / "face")
    (tmp_path / "file").touch()
    with pytest.raises(PictureError, match="cannot be listed"):
        list_images(tmp_path / "file")


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
