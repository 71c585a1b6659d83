"""Picture files written: whole, in the format named, with all that it has a place for."""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from sr4.errors import PictureError
from sr4.pictures import (
    Metadata,
    Picture,
    check_sides,
    encode_picture,
    losses,
    png_writing,
    read_picture,
    read_provenance,
    write_image,
    write_picture,
    writing,
)
from sr4.pictures.raster import Colour, Raster, checked, from_array, from_pil
from sr4.pictures.rgb import read_header, read_image
from tests.conftest import largest_file

_NOISE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
PICTURE = Image.fromarray(_NOISE)
PROVENANCE = {"software": "sr4 1.2", "note": "contains generated detail", "seed": 3}


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".tiff", ".bmp", ".PNG"])
def test_written_pictures_are_lossless(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(PICTURE, path)
    assert np.array_equal(np.asarray(read_image(path)), np.asarray(PICTURE))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_is_near(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
    write_image(Image.fromarray(ramp), tmp_path / f"a{suffix}")
    result = np.asarray(read_image(tmp_path / f"a{suffix}"))
    assert np.abs(result.astype(int) - ramp).max() <= 4
    assert read_header(tmp_path / f"a{suffix}").format == "JPEG"


def refused_writing(path: Path, *, overwrite: bool = False, image: Image.Image = PICTURE) -> str:
    with pytest.raises(PictureError) as caught:
        write_image(image, path, overwrite=overwrite)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", writing.SUFFIXES)
def test_the_bytes_of_a_picture_are_those_of_its_file(tmp_path: Path, suffix: str) -> None:
    picture = Picture((from_pil(Image.effect_noise((9, 7), 40).convert("RGB")),))
    write_picture(picture, tmp_path / f"a{suffix}", provenance=PROVENANCE)
    found = encode_picture(picture, Path(f"a{suffix}"), PROVENANCE)
    assert found == (tmp_path / f"a{suffix}").read_bytes()


def test_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    assert "exists already" in refused_writing(path)
    assert path.read_bytes() == b"old"
    write_image(PICTURE, path, overwrite=True)
    assert np.array_equal(np.asarray(read_image(path)), np.asarray(PICTURE))
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path = tmp_path / "a.png"
    real_link = os.link

    def late(source: Any, target: Path, **options: Any) -> None:
        path.write_bytes(b"other")
        if not links:
            raise OSError(95, "Operation not supported")
        real_link(source, target, **options)

    monkeypatch.setattr(os, "link", late)
    assert "exists already" in refused_writing(path)
    assert path.read_bytes() == b"other"
    assert os.listdir(tmp_path) == ["a.png"]


def test_file_systems_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object, **options: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", unsupported)
    write_image(PICTURE, tmp_path / "a.png")
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), np.asarray(PICTURE))
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")]
)
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    assert str(error.strerror) in refused_writing(path, overwrite=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_an_interruption_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_image(PICTURE, tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "cannot be written" in refused_writing(tmp_path / "a.png")
    finally:
        tmp_path.chmod(0o700)


def test_unusual_outputs_are_refused(tmp_path: Path) -> None:
    assert ".webp" in refused_writing(tmp_path / "a.xyz")
    assert "does not exist" in refused_writing(tmp_path / "none" / "a.png")
    (tmp_path / "b.png").mkdir()
    assert "exists already" in refused_writing(tmp_path / "b.png")
    assert "cannot be written" in refused_writing(tmp_path / "b.png", overwrite=True)
    assert os.listdir(tmp_path) == ["b.png"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_image(PICTURE, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("suffix", writing.SUFFIXES)
@pytest.mark.parametrize("kind", ["plain", "deep", "moving"])
def test_a_disk_that_fills_up_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, kind: str
) -> None:
    """At whatever byte, the last one too; encoders that write by themselves do not all notice."""
    noise = np.random.default_rng(0).integers(0, 256, (150, 140, 3), dtype=np.uint8)
    frames: tuple[Raster, ...] = (from_array(noise),)
    if kind == "deep":
        frames = (from_array(noise.astype(np.uint16) * 257),)
    elif kind == "moving":
        frames = (from_array(noise), from_array(noise[::-1].copy()))
    picture = Picture(frames, durations=(50,) * len(frames))
    whole, path = tmp_path / f"whole{suffix}", tmp_path / "full" / f"a{suffix}"
    write_picture(picture, whole)
    path.parent.mkdir()
    size = whole.stat().st_size
    for room in (0, 1, 4096, size // 2, size - 4096, size - 1):
        with largest_file(room), pytest.raises(PictureError, match="cannot be written") as caught:
            write_picture(picture, path)
        assert "\n" not in str(caught.value)
        assert os.listdir(path.parent) == []
    with largest_file(size):
        write_picture(picture, path)
    assert path.stat().st_size == size
    if (suffix, kind) != (".avif", "moving"):  # which says when it was made
        assert path.read_bytes() == whole.read_bytes()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [RuntimeError("encoder error -2"), OverflowError("too large")])
def test_errors_of_an_encoder_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "save", fail)
    assert str(error) in refused_writing(tmp_path / "a.bmp")
    assert os.listdir(tmp_path) == []


# Modes and depths


def numbers(colour: Colour, dtype: str, *, alpha: bool = False, bands: int = 5) -> Picture:
    """A picture of random numbers; of 16 bits and more, not those that 8 bits would hold."""
    random = np.random.default_rng(1)
    count = {"grey": 1, "rgb": 3, "cmyk": 4, "bands": bands}[colour] + alpha
    values = random.random((11, 14, count))
    if np.dtype(dtype).kind == "u":
        values = np.rint(values * np.iinfo(dtype).max)
    array = values.astype(dtype)
    colours, seen = (array[:, :, :-1], array[:, :, -1]) if alpha else (array, None)
    return Picture((checked(colours, colour, seen),))


LOSSLESS = [
    *((suffix, colour, "uint8", False) for suffix in (".png", ".tif", ".bmp")
      for colour in ("grey", "rgb")),
    *((suffix, colour, dtype, alpha) for suffix in (".png", ".tiff")
      for colour in ("grey", "rgb") for dtype in ("uint8", "uint16") for alpha in (False, True)),
    *((".webp", "rgb", "uint8", alpha) for alpha in (False, True)),
    *((".tif", colour, dtype, False) for colour in ("grey", "rgb", "bands")
      for dtype in ("float16", "float32", "float64", "int16", "uint32", "uint8", "uint16")),
    *((".tif", "cmyk", dtype, False) for dtype in ("uint8", "uint16")),
    (".tif", "rgb", "float32", True),
    *((".npy", colour, dtype, False) for colour in ("grey", "rgb", "bands")
      for dtype in ("uint8", "uint16", "float32", "int16")),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "colour", "dtype", "alpha"), LOSSLESS)
def test_every_pixel_comes_back(
    tmp_path: Path, suffix: str, colour: Colour, dtype: str, alpha: bool
) -> None:
    picture, path = numbers(colour, dtype, alpha=alpha), tmp_path / f"a{suffix}"
    assert losses(picture, path) == ()
    write_picture(picture, path, provenance=PROVENANCE)
    (given,), (found,) = picture.frames, read_picture(path).frames
    assert found.colour == given.colour
    np.testing.assert_array_equal(found.array, given.array)
    assert found.array.dtype == dtype
    assert (found.alpha is None) == (given.alpha is None)


def test_pillow_reads_what_tifffile_and_imagecodecs_wrote(tmp_path: Path) -> None:
    for suffix in (".png", ".tif"):
        picture = numbers("grey", "uint16")
        write_picture(picture, tmp_path / f"grey{suffix}", provenance=PROVENANCE)
        with Image.open(tmp_path / f"grey{suffix}") as opened:
            np.testing.assert_array_equal(np.asarray(opened), picture.frames[0].array)
    write_picture(numbers("rgb", "uint16"), tmp_path / "rgb.png", provenance=PROVENANCE)
    with Image.open(tmp_path / "rgb.png") as opened:
        assert opened.size == (14, 11)
        opened.load()  # checks the sums of all chunks


@pytest.mark.parametrize(
    ("suffix", "colour", "dtype", "alpha", "said"),
    [
        (".jpg", "rgb", "uint8", True, ".jpg holds no transparency"),
        (".bmp", "grey", "uint8", True, ".bmp holds no transparency"),
        (".png", "cmyk", "uint8", False, ".png holds no CMYK"),
        (".jpg", "rgb", "uint16", False, ".jpg holds 8 bits a channel, the uint16 pixels"),
        (".png", "rgb", "float32", False, ".png holds 16 bits a channel, the float32 pixels"),
        (".webp", "grey", "uint16", False, ".webp holds 8 bits"),
        (".gif", "rgb", "uint8", False, ".gif holds 256 colours"),
    ],
)
def test_what_a_format_has_no_place_for_is_said(
    tmp_path: Path, suffix: str, colour: Colour, dtype: str, alpha: bool, said: str
) -> None:
    picture, path = numbers(colour, dtype, alpha=alpha), tmp_path / f"a{suffix}"
    assert any(said in loss for loss in losses(picture, path))
    write_picture(picture, path)
    assert read_header(path).width == 14


def test_16_bits_are_rounded_to_the_nearest_8(tmp_path: Path) -> None:
    picture = numbers("rgb", "uint16")
    write_picture(picture, tmp_path / "a.webp")
    expected = np.rint(picture.frames[0].array / 257)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.webp")), expected)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    alpha = np.full((4, 4), 51, np.uint8)  # a fifth
    write_picture(Picture((checked(pixels, "rgb", alpha),)), tmp_path / "a.bmp")
    assert set(np.asarray(read_image(tmp_path / "a.bmp")).ravel()) == {204}


def test_inks_become_srgb_by_their_profile_or_without(tmp_path: Path) -> None:
    ink = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    picture = Picture((from_pil(ink),))
    write_picture(picture, tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").getpixel((0, 0)) == (0, 255, 255)
    # A profile of other channels does not fit, and is neither used nor kept.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_picture(replace(picture, metadata=Metadata(icc=srgb)), tmp_path / "b.png")
    assert read_picture(tmp_path / "b.png").metadata.icc is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif"])
def test_bands_need_a_format_that_has_them(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(PictureError, match=r"5 bands; expected .*\.tif or \.npy"):
        write_picture(numbers("bands", "uint8"), tmp_path / f"a{suffix}")
    assert os.listdir(tmp_path) == []


# Metadata


def with_metadata(tmp_path: Path) -> Path:
    """A photograph as a camera leaves it, on its side."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera & Co"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Copyright] = "someone"
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.ExposureTime] = 0.25
    inner[ExifTags.Base.MakerNote] = b"places inside the old file"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "camera.jpg"
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    PICTURE.save(path, exif=exif, icc_profile=icc, xmp=xmp, quality=95)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_profile_exif_and_provenance(tmp_path: Path, suffix: str) -> None:
    given = with_metadata(tmp_path)
    picture = read_picture(given)
    assert picture.frames[0].size == (24, 20)  # upright
    path = tmp_path / f"a{suffix}"
    write_picture(picture, path, provenance=PROVENANCE)
    with Image.open(path) as opened, Image.open(given) as original:
        assert opened.info["icc_profile"] == original.info["icc_profile"]
        exif = opened.getexif()
        assert exif[ExifTags.Base.Make] == "Camera & Co"
        assert exif[ExifTags.Base.Copyright] == "someone"
        assert exif[ExifTags.Base.Software] == "sr4 1.2"
        assert ExifTags.Base.Orientation not in exif or suffix == ".tif"
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        assert inner[ExifTags.Base.ExposureTime] == 0.25
        assert ExifTags.Base.MakerNote not in inner
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert read_provenance(path) == PROVENANCE
    assert read_provenance(given) is None
    if suffix != ".tif":
        assert read_picture(path).metadata.xmp == picture.metadata.xmp


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", "uint16"), (".tif", "float32")])
def test_metadata_of_deep_pictures(tmp_path: Path, suffix: str, dtype: str) -> None:
    metadata = read_picture(with_metadata(tmp_path)).metadata
    path = tmp_path / f"a{suffix}"
    picture = replace(numbers("rgb", dtype), metadata=metadata)
    write_picture(picture, path, provenance=PROVENANCE)
    found = read_picture(path).metadata
    assert (found.icc, found.xmp) == (metadata.icc, metadata.xmp)
    exif = Image.Exif()
    exif.load(found.exif or b"")
    assert exif[ExifTags.Base.Make] == "Camera & Co"
    assert read_provenance(path) == PROVENANCE


def test_comments_of_a_png(tmp_path: Path) -> None:
    picture = Picture((from_pil(PICTURE),), Metadata(text={"Author": "Zoë", "Title": "x"}))
    for number, one in enumerate(
        (picture, replace(numbers("rgb", "uint16"), metadata=picture.metadata))
    ):
        write_picture(one, tmp_path / f"{number}.png")
        assert read_picture(tmp_path / f"{number}.png").metadata.text == picture.metadata.text


def test_exif_too_long_for_a_jpeg_is_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    picture = Picture((from_pil(PICTURE),), Metadata(exif=exif.tobytes()))
    write_picture(picture, tmp_path / "a.jpg")
    assert read_picture(tmp_path / "a.jpg").metadata.exif is None


@pytest.mark.parametrize("history", ["no JSON", "[1]", '{"other": 1}', "[" * 100_000])
def test_the_history_of_another_program_is_no_provenance(tmp_path: Path, history: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageHistory] = history
    PICTURE.save(tmp_path / "a.png", exif=exif)
    assert read_provenance(tmp_path / "a.png") is None


# Animations


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animations(tmp_path: Path, suffix: str) -> None:
    shades = [Image.new("RGB", (8, 6), (40 * number, 0, 0)) for number in range(4)]
    frames = tuple(from_pil(shade) for shade in shades)
    picture = Picture(frames, durations=(50, 60, 70, 80), loop=2)
    write_picture(picture, tmp_path / f"a{suffix}")
    found = read_picture(tmp_path / f"a{suffix}")
    assert found.durations == (50, 60, 70, 80)
    assert found.loop == 2
    assert [frame.pixels[0, 0].tolist() for frame in found.frames] == [
        [40 * number, 0, 0] for number in range(4)
    ]
    assert [frame.size for frame in found.frames] == [(8, 6)] * 4
    assert all(frame.alpha is None for frame in found.frames)
    (loss,) = losses(picture, tmp_path / "a.jpg")
    assert loss == ".jpg holds no animation, the first of 4 frames is kept"
    write_picture(picture, tmp_path / "a.jpg")
    assert read_header(tmp_path / "a.jpg").width == 8


@pytest.mark.parametrize("shape", [(37, 11, 3), (37, 11, 4), (1, 11, 3), (5, 300), (64, 11, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_large_png_is_written_in_strips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], dtype: Any
) -> None:
    """Strips of some rows, or of one where a row is larger than a strip is to be."""
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    raster = from_array(array)
    picture = Picture((raster,), Metadata(text={"Title": "strips"}))
    write_picture(picture, tmp_path / "whole.png")
    monkeypatch.setattr(png_writing, "_STRIP", 300)
    write_picture(picture, tmp_path / "strips.png")
    found = read_picture(tmp_path / "strips.png")
    np.testing.assert_array_equal(found.frames[0].array, raster.array)
    assert found.metadata == read_picture(tmp_path / "whole.png").metadata
    np.testing.assert_array_equal(  # by libpng, which checks every sum
        imagecodecs.png_decode((tmp_path / "strips.png").read_bytes()).reshape(array.shape), array
    )


def test_writing_a_large_png_takes_no_second_copy(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (1500, 20_000, 3)).astype(np.uint8)
    picture = Picture((from_array(array),))
    tracemalloc.start()
    try:
        write_picture(picture, tmp_path / "large.png")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert array.nbytes == 90_000_000
    assert peak < array.nbytes


@pytest.mark.parametrize(
    ("name", "side"), [("a.webp", 16_383), ("a.jpg", 65_500), ("a.gif", 65_535)]
)
def test_sides_that_a_format_does_not_hold_are_refused(
    tmp_path: Path, name: str, side: int
) -> None:
    check_sides(tmp_path / name, (side, side))
    with pytest.raises(PictureError, match=f"would be {side + 1}x1; expected sides of at most "):
        check_sides(tmp_path / name, (side + 1, 1))
    with pytest.raises(PictureError, match=r"choose one of \.png, "):
        write_picture(Picture((from_array(np.zeros((1, side + 1), np.uint8)),)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    write_picture(Picture((from_array(np.zeros((1, side), np.uint8)),)), tmp_path / name)
    assert read_header(tmp_path / name).width == side


def test_the_files_of_a_bmp_stay_below_4_gb(tmp_path: Path) -> None:
    check_sides(tmp_path / "a.bmp", (2**20, 2**10))
    with pytest.raises(PictureError, match=r"expected at most 1,073,741,824 pixels, as \.bmp"):
        check_sides(tmp_path / "a.bmp", (2**20, 2**10 + 1))


def test_cmyk_of_16_bits_is_said_to_be_rounded_where_it_becomes_rgb() -> None:
    picture = Picture((checked(np.zeros((4, 4, 4), np.uint16), "cmyk"),))
    colours, bits = losses(picture, Path("a.png"))
    assert colours == ".png holds no CMYK, the colours become sRGB"
    assert bits == ".png holds 8 bits a channel, the uint16 pixels are rounded"


@pytest.mark.parametrize(
    ("values", "suffix", "said"),
    [
        (np.array([[-20, 4000]], np.int32), ".png", "int32 pixels from -20 to 4,000 become those"),
        (
            np.array([[-2.5, 99]], np.float32),
            ".jpg",
            "pixels from -2.5 to 99 become those from 0 to 255",
        ),
        (np.array([[0, 1]], np.float32), ".png", "float32 pixels are rounded"),
        (np.array([[7, 9]], np.uint16), ".jpg", "uint16 pixels are rounded"),
    ],
)
def test_numbers_that_become_others_are_said(values: np.ndarray, suffix: str, said: str) -> None:
    """What stands for black and white becomes the ends of the format's range."""
    (loss,) = losses(Picture((checked(values, "grey"),)), Path(f"a{suffix}"))
    assert said in loss
