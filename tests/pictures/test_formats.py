"""Formats: how often animations are shown, and what AVIF, JPEG 2000 and HEIC need."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from sr4.errors import PictureError, UsageError
from sr4.evidence.jpeg import standard_tables
from sr4.pictures import (
    Metadata,
    Picture,
    encode_picture,
    losses,
    read_picture,
    read_size,
    write_picture,
)
from sr4.pictures.raster import Raster, checked, from_array, from_pil

SHADES = [Image.new("RGB", (8, 6), (60 * number, 0, 90)) for number in range(3)]
NETSCAPE = b"NETSCAPE2.0\x03\x01"


def gif(repeats: int | None) -> bytes:
    buffer = io.BytesIO()
    SHADES[0].save(
        buffer, "GIF", save_all=True, append_images=SHADES[1:], duration=50, loop=repeats
    )
    assert (NETSCAPE in buffer.getvalue()) == (repeats is not None)
    return buffer.getvalue()


@pytest.mark.parametrize(("repeats", "plays"), [(None, 1), (0, 0), (1, 2), (4, 5)])
def test_a_gif_is_shown_once_more_than_it_begins_anew(
    tmp_path: Path, repeats: int | None, plays: int
) -> None:
    picture = read_picture(gif(repeats))
    assert picture.loop == plays
    for suffix in (".png", ".webp", ".gif"):
        write_picture(picture, tmp_path / f"a{suffix}")
        assert read_picture(tmp_path / f"a{suffix}").loop == plays
    data = (tmp_path / "a.png").read_bytes()
    assert int.from_bytes(data[data.index(b"acTL") + 8 :][:4], "big") == plays
    data = (tmp_path / "a.gif").read_bytes()
    assert (NETSCAPE in data) == (repeats is not None)
    if repeats is not None:
        place = data.index(NETSCAPE) + len(NETSCAPE)
        assert int.from_bytes(data[place : place + 2], "little") == repeats


def test_the_default_image_of_an_animation_is_no_frame(tmp_path: Path) -> None:
    durations = [70, 100, 200]  # the default image's own is shown by nobody
    for frames in (SHADES[1:], SHADES[1:2]):
        buffer = io.BytesIO()
        SHADES[0].save(
            buffer,
            "PNG",
            save_all=True,
            default_image=True,
            append_images=frames,
            duration=durations[1 : 1 + len(frames)],
        )
        picture = read_picture(buffer.getvalue())
        assert picture.notes == (
            "the default image, which is no frame of the animation, is left out",
        )
        write_picture(picture, tmp_path / f"{len(frames)}.png")
        for one in (picture, read_picture(tmp_path / f"{len(frames)}.png")):
            found = [frame.pixels[0, 0].tolist() for frame in one.frames]
            assert found == [np.asarray(frame)[0, 0].tolist() for frame in frames]
            if len(frames) > 1:
                assert list(one.durations) == durations[1:]


def test_an_animation_of_16_bits_is_read_as_8_and_said() -> None:
    """Written by hand, as Pillow writes none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 8, 6, 0, 0, 1, 10, 0, 0))

    rows = [zlib.compress((b"\0" + struct.pack(">H", 257 * grey) * 8) * 6) for grey in (40, 200)]
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 6, 16, 0, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">II", 2, 0)) + control(0) + chunk(b"IDAT", rows[0])
    data += control(1) + chunk(b"fdAT", struct.pack(">I", 2) + rows[1]) + chunk(b"IEND", b"")
    picture = read_picture(data)
    assert picture.notes == ("its 16 bits are read as 8, as an animation's are",)
    assert [frame.pixels.dtype for frame in picture.frames] == [np.uint8, np.uint8]
    assert [int(frame.pixels[0, 0, 0]) for frame in picture.frames] == [40, 200]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow without JPEG 2000")
def test_jpeg_2000_is_lossless(tmp_path: Path, colour: str, alpha: bool) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (24, 20, 1 if colour == "grey" else 3), dtype=np.uint8)
    seen = random.integers(0, 256, (24, 20), dtype=np.uint8) if alpha else None
    write_picture(Picture((checked(pixels, colour, seen),)), tmp_path / "a.jp2")  # type: ignore[arg-type]
    (found,) = read_picture(tmp_path / "a.jp2").frames
    np.testing.assert_array_equal(found.pixels, pixels)
    assert (found.alpha is None) == (seen is None)


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_avif_is_near_and_holds_metadata(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Picture((from_array(ramp),), Metadata(icc=icc))
    assert losses(picture, tmp_path / "a.avif") == ()
    write_picture(picture, tmp_path / "a.avif", provenance={"software": "sr4"})
    found = read_picture(tmp_path / "a.avif")
    assert found.metadata.icc == icc
    assert np.abs(found.frames[0].pixels.astype(int) - ramp).max() <= 4


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_an_animation_of_avif_does_not_count(tmp_path: Path) -> None:
    picture = Picture(tuple(map(from_pil, SHADES)), durations=(50, 50, 50), loop=3)
    assert losses(picture, tmp_path / "a.avif") == (".avif does not say how often it is shown (3)",)
    write_picture(picture, tmp_path / "a.avif")
    assert len(read_picture(tmp_path / "a.avif").frames) == 3


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def test_heic_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"HEIC is not read here; .*\[heic\]"):
        read_picture(HEIC)


def test_heic_is_read_upright(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = 6, "a phone"
    image = Image.new("RGB", (64, 32), (200, 40, 40))
    heif.from_pillow(image).save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    picture = read_picture(tmp_path / "a.heic")
    assert picture.frames[0].size == (32, 64)
    assert np.abs(picture.frames[0].pixels.astype(int) - [200, 40, 40]).max() < 8
    found = Image.Exif()
    found.load(picture.metadata.exif or b"")
    assert (found.get(0x112), found[0x10F]) == (None, "a phone")
    with pytest.raises(PictureError):
        read_picture(HEIC)


def test_the_primary_picture_of_a_heic_is_taken(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    file, path = heif.HeifFile(), tmp_path / "a.heic"
    for size, colour in (((32, 64), "red"), ((96, 48), "blue")):
        file.add_from_pillow(Image.new("RGB", size, colour))
    for primary, size, channel in ((0, (32, 64), 0), (1, (96, 48), 2)):
        file.save(path, primary_index=primary, quality=90)
        (raster,) = read_picture(path).frames
        assert raster.size == read_size(path) == size
        assert raster.pixels.mean(axis=(0, 1)).argmax() == channel


def seen_in_part(shift: int, colour: str) -> Raster:
    """A soft ramp of alpha, with green of any shade where nothing is to be seen."""
    y, x = np.mgrid[:24, :32]
    alpha = np.clip(16 * (x - 8 - shift), 0, 255).astype(np.uint8)
    pixels = np.stack([9 * y, 7 * x, 0 * x + 90], axis=2)
    pixels[alpha == 0] = (0, 200, 0)
    pixels[:, :, 1] += (alpha == 0) * y
    channels = 1 if colour == "grey" else 3
    return checked(pixels[:, :, -channels:].astype(np.uint8), colour, alpha)  # type: ignore[arg-type]


@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_gif_shows_pixels_or_does_not(tmp_path: Path, colour: str, count: int) -> None:
    frames = tuple(seen_in_part(shift, colour) for shift in range(count))
    durations = (50.0,) * count if count > 1 else ()
    write_picture(Picture(frames, durations=durations), tmp_path / "a.gif")
    found = read_picture(tmp_path / "a.gif").frames
    assert len(found) == count
    for raster, given in zip(found, frames, strict=True):
        assert given.alpha is not None
        is_seen = given.alpha >= 128
        np.testing.assert_array_equal(raster.alpha, 255 * is_seen)
        off = np.abs(raster.pixels.astype(int) - given.pixels)[is_seen]
        assert off.mean() < 4


def test_a_gif_of_which_nothing_is_seen(tmp_path: Path) -> None:
    hidden = checked(np.full((4, 5, 3), 90, np.uint8), "rgb", np.full((4, 5), 100, np.uint8))
    write_picture(Picture((hidden,)), tmp_path / "a.gif")
    (found,) = read_picture(tmp_path / "a.gif").frames
    assert found.alpha is not None
    assert not found.alpha.any()


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, np.uint32, np.int32])
def test_the_ends_of_a_type_come_back(dtype: Any) -> None:
    limits = np.iinfo(dtype)
    ends = np.array([[limits.min, limits.max], [limits.max, limits.min]], dtype)
    raster: Raster = checked(ends, "grey")
    for wider in (np.float32, np.float64):
        unit = np.array([[-1, 1], [1.5, -1.5]], wider)
        np.testing.assert_array_equal(raster.span.pixels(unit), ends)
    flat = checked(np.full((2, 2), limits.max, dtype), "grey")
    np.testing.assert_array_equal(flat.span.pixels(np.array([-1.0, 0.0, 1.0])), limits.max)
    shown = np.asarray(raster.to_pil())
    assert shown[0, 1] > shown[0, 0]


NOISE = Picture((from_pil(Image.effect_noise((64, 48), 40).convert("RGB")),))
QUALITIES = (100, 95, 50, 10, 1)


def at_quality(suffix: str, quality: int | None) -> bytes:
    return encode_picture(NOISE, Path(f"a{suffix}"), quality=quality)


@pytest.mark.parametrize("quality", [*QUALITIES, np.int64(75), None])
def test_the_tables_of_a_jpeg_are_those_of_its_quality(quality: int | None) -> None:
    with Image.open(io.BytesIO(at_quality(".jpg", quality))) as image:
        found = dict(image.quantization)
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}
    for number, table in enumerate(standard_tables(quality or 95)):
        np.testing.assert_array_equal(np.reshape(found[number], (8, 8)), table)
    if quality == 50:
        assert found[0][:8] == [16, 11, 10, 16, 24, 40, 51, 61]  # ITU-T T.81, table K.1


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp", ".avif"])
def test_the_lower_the_quality_the_smaller_the_file_and_the_further_off(suffix: str) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    encoded = [at_quality(suffix, quality) for quality in QUALITIES]
    sizes, errors = list(map(len, encoded)), []
    for data in encoded:
        pixels = read_picture(data).frames[0].pixels.astype(float)
        errors.append(np.abs(pixels - NOISE.frames[0].pixels).mean())
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert sizes[-1] < sizes[1] / 4
    if suffix == ".webp":
        assert errors[0] > 0  # the best quality is lossy too, and none is lossless
        (plain,) = read_picture(at_quality(suffix, None)).frames
        np.testing.assert_array_equal(plain.pixels, NOISE.frames[0].pixels)
    else:
        assert encoded[1] == at_quality(suffix, None)


def test_every_frame_of_a_lossy_webp() -> None:
    """With its transparency, which stays as it is."""
    seen = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    frames = tuple(checked(np.asarray(shade), "rgb", seen) for shade in SHADES)
    data = encode_picture(Picture(frames, durations=(50, 50, 50)), Path("a.webp"), quality=30)
    found = read_picture(data).frames
    assert len(found) == 3
    np.testing.assert_array_equal(found[1].alpha, seen)


@pytest.mark.parametrize("quality", [0, 101, -1, 80.0, "80", True])
def test_what_is_no_quality(quality: Any) -> None:
    with pytest.raises(
        UsageError, match=r"^got quality .*; expected a whole number from 1, .* 100$"
    ):
        at_quality(".jpg", quality)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".gif", ".bmp", ".npy", ".jp2"])
def test_formats_without_qualities(tmp_path: Path, suffix: str) -> None:
    if suffix == ".jp2" and not features.check("jpg_2000"):
        pytest.skip("this Pillow writes no JPEG 2000")
    with pytest.raises(
        UsageError, match=rf"results in \{suffix}, .* expected one of \.jpg, \.jpeg"
    ):
        write_picture(NOISE, tmp_path / f"a{suffix}", quality=80)
    assert not list(tmp_path.iterdir())
