"""Small picture files of every format that Pillow writes, and of some that it only reads."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zlib
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms
from structures import png_chunk


class Seed(NamedTuple):
    """A whole file to start from."""

    format: str
    suffix: str
    data: bytes


_SIZES = ((16, 16), (1, 1), (24, 9), (5, 31))

# Format, suffix, mode, options of Pillow. "frames" makes it an animation.
_WRITTEN: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("PNG", "png", "RGB", {}),
    ("PNG", "png", "RGBA", {}),
    ("PNG", "png", "L", {}),
    ("PNG", "png", "LA", {}),
    ("PNG", "png", "1", {}),
    ("PNG", "png", "P", {"transparency": 0}),
    ("PNG", "png", "I;16", {}),
    ("PNG", "apng", "RGB", {"frames": 3}),
    ("JPEG", "jpg", "RGB", {"quality": 80}),
    ("JPEG", "jpg", "L", {}),
    ("JPEG", "jpg", "CMYK", {}),
    ("JPEG", "jpg", "RGB", {"progressive": True, "subsampling": 2}),
    ("MPO", "mpo", "RGB", {"frames": 2}),
    ("WEBP", "webp", "RGB", {}),
    ("WEBP", "webp", "RGBA", {"lossless": True}),
    ("WEBP", "webp", "RGB", {"frames": 3}),
    ("TIFF", "tif", "RGB", {}),
    ("TIFF", "tif", "RGB", {"compression": "tiff_deflate"}),
    ("TIFF", "tif", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "tif", "RGB", {"compression": "jpeg"}),
    ("TIFF", "tif", "1", {"compression": "group4"}),
    ("TIFF", "tif", "RGB", {"compression": "packbits", "frames": 3}),
    ("TIFF", "tif", "I;16", {}),
    ("TIFF", "tif", "F", {}),
    ("TIFF", "tif", "CMYK", {}),
    ("TIFF", "tif", "P", {}),
    ("TIFF", "tif", "RGBA", {"big_tiff": True}),
    ("BMP", "bmp", "RGB", {}),
    ("BMP", "bmp", "P", {}),
    ("BMP", "bmp", "1", {}),
    ("DIB", "dib", "RGB", {}),
    ("GIF", "gif", "P", {}),
    ("GIF", "gif", "P", {"frames": 4}),
    ("PPM", "ppm", "RGB", {}),
    ("PPM", "pgm", "L", {}),
    ("PPM", "pbm", "1", {}),
    ("PPM", "pfm", "F", {}),
    ("JPEG2000", "jp2", "RGB", {}),
    ("JPEG2000", "j2k", "L", {"no_jp2": True}),
    ("JPEG2000", "jp2", "RGBA", {"tile_size": (8, 8)}),
    ("AVIF", "avif", "RGB", {"speed": 10}),
    ("AVIF", "avif", "RGBA", {"speed": 10, "frames": 2}),
    ("TGA", "tga", "RGB", {}),
    ("TGA", "tga", "P", {"compression": "tga_rle"}),
    ("ICO", "ico", "RGBA", {}),
    ("ICNS", "icns", "RGBA", {}),
    ("DDS", "dds", "RGBA", {}),
    ("BLP", "blp", "P", {}),
    ("EPS", "eps", "RGB", {}),
    ("PCX", "pcx", "RGB", {}),
    ("PCX", "pcx", "P", {}),
    ("SGI", "sgi", "RGB", {}),
    ("IM", "im", "RGB", {}),
    ("MSP", "msp", "1", {}),
    ("SPIDER", "spi", "F", {}),
    ("QOI", "qoi", "RGBA", {}),
    ("XBM", "xbm", "1", {}),
)


def make_seeds(*, bombs: bool = True) -> list[Seed]:
    """The same ones each time.

    Args:
        bombs: with those that unfold to very much.
    """
    Image.init()
    seeds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that Pillow will write no longer
        for number, (kind, suffix, mode, options) in enumerate(_WRITTEN):
            if kind not in Image.SAVE:  # older versions of Pillow, or builds without a library
                continue
            for size in _SIZES[:1] if kind in ("ICNS", "BLP") else _SIZES:
                seeds.append(Seed(kind, suffix, _encode(kind, mode, size, dict(options), number)))
    return seeds + _deep() + _rich() + _handmade() + (_bombs() if bombs else [])


def _picture(mode: str, size: tuple[int, int], number: int) -> Image.Image:
    width, height = size
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    grey = pixels[:, :, 0]
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    image = Image.fromarray(pixels)
    return image.quantize(16) if mode == "P" else image.convert(mode)


def _encode(
    kind: str, mode: str, size: tuple[int, int], options: dict[str, Any], number: int
) -> bytes:
    frames = options.pop("frames", 1)
    images = [_picture(mode, size, number + 100 * frame) for frame in range(frames)]
    if frames > 1:
        options |= {"save_all": True, "append_images": images[1:]}
    if kind == "ICO":
        options["sizes"] = [size]
    buffer = io.BytesIO()
    images[0].save(buffer, format=kind, **options)
    return buffer.getvalue()


def _deep() -> list[Seed]:
    """Files of more than 8 bits, or other channels, than Pillow writes."""
    seeds = []
    for number, (width, height) in enumerate(_SIZES):
        random_ = np.random.default_rng(number)
        deep = random_.integers(0, 65536, (height, width, 5), dtype=np.uint16)
        unit = (deep / 65535).astype(np.float32)
        for count in (2, 3, 4):
            pixels = deep[:, :, :count].copy()
            seeds.append(Seed("PNG", "png", bytes(imagecodecs.png_encode(pixels))))
        kinds: list[tuple[np.ndarray, dict[str, Any]]] = [
            (deep[:, :, :3], {"photometric": "rgb"}),
            (deep[:, :, :3], {"photometric": "rgb", "compression": "lzw", "predictor": True}),
            (deep[:, :, :4], {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
            (deep[:, :, :4], {"photometric": "separated"}),
            (unit[:, :, :3], {"photometric": "rgb", "compression": "zlib", "bigtiff": True}),
            (unit[:, :, 0].astype(np.float64) * 900 - 100, {"photometric": "minisblack"}),
            (deep, {"photometric": "minisblack", "planarconfig": "contig"}),
        ]
        for array, options in kinds:
            buffer = io.BytesIO()
            tifffile.imwrite(buffer, array, **options)
            seeds.append(Seed("TIFF", "tif", buffer.getvalue()))
        for array in (deep[:, :, :3], unit[:, :, 0], np.asfortranarray(deep[:, :, 1])):
            buffer = io.BytesIO()
            np.save(buffer, array)
            seeds.append(Seed("NPY", "npy", buffer.getvalue()))
    return seeds


_XMP_OF_TURNED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-synta'
    b'x-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def _rich() -> list[Seed]:
    """Files that say much besides their pixels, and TIFF in tiles."""
    image = _picture("RGB", (40, 24), 3)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "maker", 300.0
    exif.get_ifd(0x8769).update({0x9003: "2026:01:01 00:00:00", 0x927C: b"note" * 20})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    seeds = []
    for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif")):
        buffer = io.BytesIO()
        more: dict[str, Any] = {} if kind in ("TIFF", "PNG") else {"xmp": _XMP_OF_TURNED}
        image.save(buffer, kind, exif=exif, icc_profile=profile, dpi=(300, 300), **more)
        seeds.append(Seed(kind, suffix, buffer.getvalue()))
    pixels = np.asarray(image.resize((48, 32)))
    tiled: list[dict[str, Any]] = [{}, {"compression": "zlib"}, {"compression": "jpeg"}]
    for options in [*tiled, {"byteorder": ">"}, {"bigtiff": True}]:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, photometric="rgb", tile=(16, 16), **options)
        seeds.append(Seed("TIFF", "tif", buffer.getvalue()))
    return seeds


def _handmade() -> list[Seed]:
    """Files of formats that Pillow reads only."""
    pcx = _encode("PCX", "RGB", (16, 16), {}, 0)
    ico = _encode("ICO", "RGBA", (16, 16), {}, 0)
    psd = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 8, 8, 8, 3) + bytes(4 * 3 + 2) + bytes(192)
    fli = struct.pack("<IHHHHHHI", 128 + 16, 0xAF11, 1, 8, 8, 8, 3, 5) + bytes(128 - 20)
    fli += struct.pack("<IHH8x", 16, 0xF1FA, 0)
    sun = struct.pack(">8I", 0x59A66A95, 8, 8, 24, 192, 1, 0, 0) + bytes(192)
    fits = "".join(
        line.ljust(80)
        for line in (
            "SIMPLE  = T",
            "BITPIX  = 8",
            "NAXIS   = 2",
            "NAXIS1  = 8",
            "NAXIS2  = 8",
            "END",
        )
    )
    xpm = b'/* XPM */\nstatic char *a[] = {\n"2 2 2 1",\n"a c #f00",\n"b c #0f0",\n"ab",\n"ba"};'
    return [
        Seed("DCX", "dcx", struct.pack("<III", 0x3ADE68B1, 12, 0) + pcx),
        Seed("CUR", "cur", ico[:2] + b"\2" + ico[3:]),
        Seed("PSD", "psd", psd),
        Seed("FLI", "fli", fli),
        Seed("SUN", "ras", sun),
        Seed("FITS", "fits", fits.encode().ljust(2880) + bytes(64)),
        Seed("XPM", "xpm", xpm),
        Seed("none", "png", random.Random(0).randbytes(500)),
        Seed("none", "jpg", b"%PDF-1.7\n" * 20),
    ]


def _bombs() -> list[Seed]:
    """A few bytes that stand for very many."""
    zeros = zlib.compress(bytes(200_000_000), 9)
    small = _encode("PNG", "RGB", (16, 16), {}, 0)
    start, rest = small[:33], small[33:]  # the signature and IHDR; all other chunks
    tiff = bytearray(_encode("TIFF", "RGB", (16, 16), {"compression": "tiff_deflate"}, 0))
    entries = struct.unpack_from("<I", tiff, 4)[0]
    for place in range(entries + 2, entries + 2 + 12 * tiff[entries], 12):
        tag = struct.unpack_from("<H", tiff, place)[0]
        if tag in (273, 279):  # where the strip begins, and its length
            struct.pack_into(
                "<HHII", tiff, place, tag, 4, 1, len(tiff) if tag == 273 else len(zeros)
            )

    def gif(width: int, height: int) -> bytes:
        return (
            struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x80, 0, 0)
            + bytes(6)
            + (struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0) + b"\2\2\x44\1\0;")
        )

    notes = png_chunk(b"tEXt", b"k\0" + bytes(9)) * 9999
    return [
        Seed("PNG", "png", start + png_chunk(b"zTXt", b"a\0\0" + zeros) + rest),
        Seed("PNG", "png", start + png_chunk(b"iCCP", b"a\0\0" + zeros) + rest),
        Seed("PNG", "png", start + png_chunk(b"iTXt", b"a\0\1\0\0\0" + zeros) + rest),
        Seed("PNG", "png", start + png_chunk(b"IDAT", zeros) + png_chunk(b"IEND", b"")),
        Seed(
            "PNG",
            "png",
            start + notes + rest,
        ),
        Seed("TIFF", "tif", bytes(tiff) + zeros),
        Seed("GIF", "gif", gif(65535, 65535)),
        Seed("GIF", "gif", gif(9000, 9000)),
    ]
