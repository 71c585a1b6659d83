"""What a file says besides its pixels: kept where it stays true of the result, else left out."""

from __future__ import annotations

import io
import struct
import time
import warnings
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from sr4.pictures import Metadata, Picture, losses, read_picture, write_picture
from sr4.pictures.exif import loaded
from sr4.pictures.raster import from_array
from sr4.pictures.resolution import Resolution

_PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
IMAGE = Image.fromarray(_PIXELS)
INTEROP = ExifTags.IFD.Interop


def encoded(file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    IMAGE.save(buffer, file_format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(*chunks: bytes, behind: bool = False) -> bytes:
    """A PNG with more chunks, behind its header or behind its pixels."""
    plain = encoded("PNG")
    place = len(plain) - 12 if behind else 33
    return plain[:place] + b"".join(chunks) + plain[place:]


def packet(inside: str = "", attributes: str = "") -> bytes:
    return (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "
        "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "
        "xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:dc='http://purl.org/dc/elements/1.1/' "
        f"dc:source='a camera' {attributes}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def itxt(xmp: bytes) -> bytes:
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)


def enlarged(source: bytes, tmp_path: Path, suffix: str = ".png") -> Path:
    """What is written for a picture of four times the size."""
    given = read_picture(source)
    frames = tuple(from_array(np.repeat(np.repeat(one.array, 4, 0), 4, 1)) for one in given.frames)
    path = tmp_path / f"a{suffix}"
    write_picture(replace(given, frames=frames), path)
    return path


ORIENTED = {
    "attribute": packet(attributes="tiff:Orientation='6'").replace(b"'6'", b'"6"'),
    "element": packet("<tiff:Orientation>6</tiff:Orientation>"),
}


@pytest.mark.parametrize("form", ORIENTED)
@pytest.mark.parametrize("with_exif", [True, False])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "PNG behind", "WEBP"])
def test_no_orientation_is_left_anywhere(
    tmp_path: Path, form: str, with_exif: bool, source: str
) -> None:
    exif = Image.Exif()
    if with_exif:
        exif[ExifTags.Base.Orientation] = 6
    if source.startswith("PNG"):
        more = [chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))] if with_exif else []
        data = png(itxt(ORIENTED[form]), *more, behind=source.endswith("behind"))
    else:
        options = {"exif": exif} if with_exif else {}
        data = encoded(source, xmp=ORIENTED[form], **options)
    for suffix in (".png", ".jpg", ".webp", ".tif", ".avif"):
        path = enlarged(data, tmp_path, suffix)
        with Image.open(path) as image:
            assert ImageOps.exif_transpose(image).size == (64, 96), suffix
        xmp = read_picture(path).metadata.xmp
        assert xmp is not None
        assert b"a camera" in xmp
        assert b"Orientation" not in xmp
        path.unlink()


def test_xmp_that_is_true_stays_as_it_is() -> None:
    for data in (
        png(itxt(packet())),
        png(itxt(packet()), behind=True),
        encoded("JPEG", xmp=packet()),
    ):
        assert read_picture(data).metadata.xmp == packet()


GAIN_MAP = packet(
    "<Container:Directory xmlns:Container='http://ns.google.com/photos/1.0/container/'><rdf:Seq>"
    "<rdf:li rdf:parseType='Resource'><Container:Item Item:Semantic='GainMap' Item:Length='12' "
    "xmlns:Item='http://ns.google.com/photos/1.0/container/item/'/></rdf:li></rdf:Seq>"
    "</Container:Directory>",
    "xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' hdrgm:Version='1.0'",
)


def test_xmp_of_a_gain_map_goes_with_the_map() -> None:
    picture = read_picture(encoded("JPEG", xmp=GAIN_MAP))
    assert picture.metadata.xmp is not None
    assert b"a camera" in picture.metadata.xmp
    for word in (b"hdrgm", b"Container", b"GainMap"):
        assert word not in picture.metadata.xmp
    assert picture.notes == ("its gain map is left out, HDR is lost",)


def test_damaged_xmp_is_left_out_where_it_might_be_untrue() -> None:
    assert read_picture(png(itxt(b"<x:xmpmeta>fine"))).metadata.xmp == b"<x:xmpmeta>fine"
    picture = read_picture(png(itxt(b"<x:xmpmeta tiff:Orientation='6'>")))
    assert picture.metadata.xmp is None
    assert picture.notes == ("its XMP is damaged or too long, and left out",)
    bomb = b"<!DOCTYPE x [<!ENTITY a 'Orientation'>]><x>&a;</x>"
    assert read_picture(png(itxt(bomb))).metadata.xmp is None


def test_the_sizes_of_a_panorama_follow_its_pixels(tmp_path: Path) -> None:
    namespace = "xmlns:GPano='http://ns.google.com/photos/1.0/panorama/'"
    sizes = "GPano:FullPanoWidthPixels='24' GPano:FullPanoHeightPixels='16'"
    path = enlarged(encoded("JPEG", xmp=packet(attributes=f"{namespace} {sizes}")), tmp_path)
    xmp = read_picture(path).metadata.xmp or b""
    assert b'FullPanoWidthPixels="96"' in xmp
    assert b'FullPanoHeightPixels="64"' in xmp


def gamma(value: int) -> bytes:
    return chunk(b"gAMA", value.to_bytes(4, "big"))


def test_colours_of_a_png_are_kept_in_a_png_and_said_elsewhere(tmp_path: Path) -> None:
    pq = chunk(b"cICP", b"\x09\x10\0\1")
    for one, name in ((gamma(100_000), "gAMA"), (pq, "cICP")):
        path = enlarged(png(one), tmp_path)
        assert one in path.read_bytes()
        path.unlink()
        (loss,) = losses(read_picture(png(one)), Path("a.jpg"))
        assert loss == f".jpg does not say what colours the numbers are, as {name} did"
    for usual in (gamma(45455), chunk(b"sRGB", b"\0"), chunk(b"cICP", b"\x01\x0d\0\1")):
        assert losses(read_picture(png(usual)), Path("a.jpg")) == ()


def test_colours_of_an_animated_png(tmp_path: Path) -> None:
    info = PngInfo()
    info.add(b"gAMA", (100_000).to_bytes(4, "big"))
    data = encoded("PNG", save_all=True, append_images=[IMAGE.rotate(180)], pnginfo=info)
    assert gamma(100_000) in enlarged(data, tmp_path).read_bytes()


def with_resolution(kind: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = 300.0, 150.0
    exif[ExifTags.Base.ResolutionUnit] = 2
    if kind == "EXIF":
        return encoded("WEBP", exif=exif)
    if kind == "turned":
        exif[ExifTags.Base.Orientation] = 6
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = 150.0, 300.0
        return encoded("JPEG", exif=exif)
    return encoded(kind, dpi=(300, 150))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".avif", ".bmp"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "EXIF", "turned"])
def test_prints_keep_their_size(tmp_path: Path, kind: str, suffix: str) -> None:
    found = read_picture(enlarged(with_resolution(kind), tmp_path, suffix)).metadata.resolution
    assert found is not None
    assert found == pytest.approx((1200, 600, True), abs=0.02)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
@pytest.mark.parametrize(
    ("number", "unit"),
    [(4e9, 2), (1e9, 2), (4e9, 3), (4e9, 1), (0, 2), (1e7 - 1, 2), (300.0, 77)],
)
def test_a_resolution_that_is_none_is_dropped(
    tmp_path: Path, number: float, unit: int, suffix: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = number
    exif[ExifTags.Base.ResolutionUnit], exif[ExifTags.Base.Make] = unit, "a camera"
    given = read_picture(encoded("JPEG", exif=exif))
    write_picture(given, tmp_path / f"own{suffix}")  # in its own size
    found = read_picture(enlarged(encoded("JPEG", exif=exif), tmp_path, suffix))
    if suffix in (".png", ".jpg"):  # others always state one
        assert found.metadata.resolution is None
        kept = loaded(found.metadata.exif)
        assert ExifTags.Base.XResolution not in kept
        assert kept[ExifTags.Base.Make] == "a camera"


@pytest.mark.parametrize("pair", [(2_000_000, 1), (1, 2_000_000)])
def test_a_ratio_of_any_numbers_can_be_written(tmp_path: Path, pair: tuple[int, int]) -> None:
    data = png(chunk(b"pHYs", struct.pack(">IIB", *pair, 0)))
    with Image.open(enlarged(data, tmp_path)) as written:
        across, down = written.info["aspect"]
    assert across / down == pytest.approx(pair[0] / pair[1], rel=1e-3)


def test_a_file_without_a_resolution_gets_none(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a camera"
    for data in (encoded("PNG"), encoded("JPEG", exif=exif)):
        assert read_picture(data).metadata.resolution is None


def test_pixels_that_are_no_squares(tmp_path: Path) -> None:
    data = png(chunk(b"pHYs", struct.pack(">IIB", 2, 1, 0)))
    assert read_picture(data).metadata.resolution == Resolution(2, 1, is_absolute=False)
    found = read_picture(enlarged(data, tmp_path)).metadata.resolution
    assert found is not None
    assert (found.across / found.down, found.is_absolute) == (2, False)
    assert losses(read_picture(data), Path("a.jpg")) == (
        ".jpg does not say that pixels are no squares",
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_interoperability_is_kept_whole(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a camera"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ExposureTime: 0.25, INTEROP: {1: "R03"}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = enlarged(encoded("JPEG", exif=exif), tmp_path, suffix)
        with Image.open(path) as image:
            found = image.getexif()
            assert found.get_ifd(INTEROP)[1] == "R03"
            assert found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == 0.25


def test_a_pointer_to_no_folder_is_dropped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ExposureTime: 0.25, INTEROP: {1: "R03"}}
    data = exif.tobytes()
    pointer = data.index(b"\xa0\x05") if b"\xa0\x05" in data else data.index(b"\x05\xa0")
    broken = data[: pointer + 8] + b"\xff\xff\0\0" + data[pointer + 12 :]
    path = enlarged(encoded("JPEG", exif=broken), tmp_path, ".jpg")
    with warnings.catch_warnings(), Image.open(path) as image:
        warnings.simplefilter("error")
        inner = image.getexif().get_ifd(ExifTags.IFD.Exif)
        assert INTEROP not in inner


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_raw_profiles_are_no_comments(tmp_path: Path, kind: bytes) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "a camera"
    block = exif.tobytes()
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    body = b"\0" + zlib.compress(text) if kind == b"zTXt" else text
    data = png(
        chunk(kind, b"Raw profile type exif\0" + body),
        chunk(b"tEXt", b"Raw profile type iptc\0\niptc\n       1\n00\n"),
        chunk(b"tEXt", b"Title\0x"),
    )
    picture = read_picture(data)
    assert picture.frames[0].size == (16, 24)
    assert picture.metadata.text == {"Title": "x"}
    assert picture.notes == ("its IPTC is left out",)
    with Image.open(enlarged(data, tmp_path)) as image:
        assert dict(image.getexif())[ExifTags.Base.Make] == "a camera"
        assert ExifTags.Base.Orientation not in image.getexif()


LONG = b"x" * 3_000_000
SIDE_PARTS = {
    "a long comment": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(LONG)),
    "a long plain comment": chunk(b"tEXt", b"workflow\0" + LONG),
    "a comment that never ends": chunk(b"zTXt", b"w\0\0" + zlib.compress(bytes(2**27))),
    "a damaged comment": chunk(b"zTXt", b"w\0\0damaged"),
    "a wrong sum": chunk(b"tEXt", b"Title\0x")[:-1] + b"\0",
    "a damaged profile": chunk(b"iCCP", b"name\0\0damaged"),
    "damaged EXIF": chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("kind", SIDE_PARTS)
@pytest.mark.parametrize("behind", [True, False])
def test_side_parts_never_refuse_a_png(kind: str, behind: bool) -> None:
    picture = read_picture(png(SIDE_PARTS[kind], chunk(b"tEXt", b"Author\0me"), behind=behind))
    np.testing.assert_array_equal(picture.frames[0].pixels, _PIXELS)
    assert picture.metadata.text == {"Author": "me"}
    assert kind == "damaged EXIF" or len(picture.notes) == 1


def test_what_is_too_long_for_a_jpeg_is_left_out_and_said(tmp_path: Path) -> None:
    picture = read_picture(png(itxt(packet("<dc:title>" + "x" * 80_000 + "</dc:title>"))))
    (loss,) = losses(picture, tmp_path / "a.jpg")
    assert loss.startswith(".jpg holds 65,502 bytes of XMP, the 80,")
    write_picture(picture, tmp_path / "a.jpg", provenance={"software": "sr4"})
    assert read_picture(tmp_path / "a.jpg").metadata.xmp is None
    just = packet(
        "<dc:title>" + "x" * (65_502 - len(packet("<dc:title></dc:title>"))) + "</dc:title>"
    )
    picture = read_picture(png(itxt(just)))
    assert losses(picture, tmp_path / "b.jpg") == ()
    write_picture(picture, tmp_path / "b.jpg")
    assert read_picture(tmp_path / "b.jpg").metadata.xmp == just


def test_what_a_format_does_not_say_is_told() -> None:
    metadata = Metadata(icc=b"x" * 200, xmp=packet(), text={"a": "b"})
    picture = Picture((from_array(_PIXELS),), metadata)
    assert losses(picture, Path("a.bmp")) == (
        ".bmp holds no colour profile and no XMP and no comments",
    )
    assert losses(picture, Path("a.png")) == ()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".deep.tif"])
def test_names_in_other_letters_keep_their_bytes(tmp_path: Path, suffix: str) -> None:
    """EXIF says ASCII, and most programs write UTF-8."""
    name = "Jörg Müller, 東京".encode()
    tags = (ExifTags.Base.Artist, ExifTags.Base.Copyright)
    block = exif_of(dict.fromkeys(tags, name))
    picture = read_picture(encoded("JPEG", exif=block))
    if suffix == ".deep.tif":
        deep = from_array(np.zeros((4, 4, 3), np.uint16))
        picture = replace(picture, frames=(deep,))
    path = tmp_path / f"a{suffix}"
    write_picture(picture, path, provenance={"software": "sr4"})
    said = read_picture(path).metadata.exif
    for data in (said, picture.metadata.for_size((2000, 2000)).exif):
        found = Image.Exif()
        found.load(data or b"")
        assert [found[tag].encode("latin-1") for tag in tags] == [name] * 2


def exif_of(texts: dict[int, bytes]) -> bytes:
    """A block of EXIF of texts, written by hand (TIFF 6.0, section 2)."""
    place = 8 + 2 + 12 * len(texts) + 4
    entries, data = b"", b""
    for tag, text in sorted(texts.items()):
        entries += struct.pack("<HHII", tag, 2, len(text) + 1, place + len(data))
        data += text + b"\0"
    folder = struct.pack("<H", len(texts)) + entries + bytes(4)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + folder + data


@pytest.mark.parametrize(
    "flood",
    [
        [chunk(b"tEXt", b"%d\0" % number) for number in range(40_000)],
        [chunk(b"IDAT", b""), chunk(b"tIME", b"")] * 20_000,
    ],
    ids=["comments", "pieces"],
)
def test_many_small_chunks_take_a_time_that_goes_by_their_number(flood: list[bytes]) -> None:
    """40,000 of either kind took 9 seconds when each looked at all before it."""
    data = png(*flood)
    begun = time.process_time()
    assert read_picture(data).frames[0].size == IMAGE.size
    assert time.process_time() - begun < 3


@pytest.mark.parametrize("file_format", ["JPEG", "GIF"])
def test_the_comment_of_a_jpeg_or_gif_is_kept(tmp_path: Path, file_format: str) -> None:
    given = read_picture(encoded(file_format, comment="Grüße".encode()))
    for suffix in (".png", ".jpg", ".gif"):
        write_picture(given, tmp_path / f"a{suffix}")
        assert read_picture(tmp_path / f"a{suffix}").metadata.text == {"Comment": "Grüße"}
    assert losses(given, Path("a.webp")) == (".webp holds no comments",)


def test_a_jpeg_holds_one_comment(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("Comment", "hello")
    info.add_text("Author", "me")
    given = read_picture(encoded("PNG", pnginfo=info))
    path = tmp_path / "a.jpg"
    assert losses(given, path) == (".jpg holds no comments but a short one without a keyword",)
    write_picture(given, path)
    assert read_picture(path).metadata.text == {"Comment": "hello"}
    info = PngInfo()
    info.add_text("Comment", "é" * 40_000)
    write_picture(read_picture(encoded("PNG", pnginfo=info)), tmp_path / "b.jpg")
    assert read_picture(tmp_path / "b.jpg").metadata.text is None
