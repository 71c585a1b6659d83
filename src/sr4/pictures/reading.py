"""Picture files to pixels, as deep as the file holds them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import PictureError
from sr4.pictures import tiff
from sr4.pictures.decoding import check_pixels, decoding, open_stream
from sr4.pictures.finding import SUFFIXES
from sr4.pictures.metadata import (
    HISTORY,
    NO_METADATA,
    Metadata,
    Provenance,
    metadata_of,
    parse_provenance,
)
from sr4.pictures.raster import Raster, checked, from_pil
from sr4.pictures.rgb import orientation

READ_SUFFIXES = SUFFIXES | {".npy"}
"""The suffixes, in lower case, of the files that `read_picture` reads."""

NPY = b"\x93NUMPY"
"""What a file of NumPy's begins with."""

_PNG_DEPTH = 24  # the place of the bit depth in a PNG file (ISO 15948, section 11.2.2)
_MOVING = ("GIF", "PNG", "WEBP", "AVIF")  # formats whose further frames are those of an animation


@dataclass(frozen=True)
class Picture:
    """All of a picture file that a result can keep.

    Attributes:
        frames: one, or those of an animation, which are alike in size and mode.
        metadata: what else the file says.
        durations: of an animation, milliseconds for each frame.
        loop: of an animation, how often it is shown, 0 being for ever.
        notes: what the file holds and this does not, each a clause for a message.
    """

    frames: tuple[Raster, ...]
    metadata: Metadata = NO_METADATA
    durations: tuple[float, ...] = ()
    loop: int = 0
    notes: tuple[str, ...] = ()


def read_picture(
    source: str | Path | bytes | BinaryIO,
    *,
    max_pixels: int = 100_000_000,
    name: str | None = None,
) -> Picture:
    """A picture file of any format that Pillow reads, TIFF of any depth and number of bands, or
    NPY: in its own mode and depth, upright, with its metadata, and with every frame of an
    animation. Of more pages, and of what a camera adds for other eyes, the first picture counts.

    Args:
        source: a file, the bytes of one, or a binary stream read to its end.
        max_pixels: the limit on width times height times frames, checked before anything is
            decoded.
        name: what messages call the picture; a path names itself.

    Raises:
        PictureError: missing, empty, truncated, enormous, no picture, or a folder.
    """
    with decoding(source, name) as (stream, label):
        start = _start(stream)
        if start.startswith(NPY):
            return Picture((_read_npy(stream, label, max_pixels),))
        if start.startswith(tiff.SIGNATURES):
            deep = tiff.read_deep(stream, label, max_pixels)
            if deep is not None:
                raster, metadata, pages = deep
                return Picture((raster,), metadata, notes=_pages_note(pages))
            stream.seek(0)
        with open_stream(stream) as image:
            frames = _count_frames(image)
            check_pixels(label, image.width, image.height, frames, max_pixels)
            if image.format == "PNG" and start[_PNG_DEPTH] == 16 and frames == 1:
                return _deep_png(stream, image)
            return _shallow(image, frames)


def natural_suffix(source: Path | bytes) -> str:
    """Of the file that holds a result for this one without loss: PNG, wherever that does. A file
    goes by its name, the bytes of one by what they begin with.
    """
    if isinstance(source, bytes):
        is_npy, is_tiff = source.startswith(NPY), source.startswith(tiff.SIGNATURES)
    else:
        suffix = source.suffix.lower()
        is_npy, is_tiff = suffix == ".npy", suffix in (".tif", ".tiff")
    if is_npy:
        return ".npy"
    return ".tif" if is_tiff and tiff.is_deep(source) else ".png"


def read_size(path: Path | bytes) -> tuple[int, int]:
    """Width and height of a picture, as its file holds it, before anything is decoded.

    Raises:
        PictureError: missing, or no picture.
    """
    with decoding(path) as (stream, label):
        start = _start(stream)
        if start.startswith(NPY):
            shape = _npy_header(stream, label)[0]
            return shape[1], shape[0]
        if start.startswith(tiff.SIGNATURES):
            return tiff.size(stream)
        with open_stream(stream) as image:
            return image.width, image.height


def read_provenance(path: str | Path) -> Provenance | None:
    """How a result was made, as `write_picture` put it into the file; None where it says nothing.

    Raises:
        PictureError: missing, or no picture.
    """
    with decoding(path) as (stream, _):
        start = _start(stream)
        if start.startswith(NPY):
            return None
        if start.startswith(tiff.SIGNATURES):
            return parse_provenance(tiff.history(stream))
        with open_stream(stream) as image:
            return parse_provenance(image.getexif().get(HISTORY))


def _start(stream: BinaryIO) -> bytes:
    """What tells the format, from the first byte on; the stream stays there."""
    start = stream.read(32)
    stream.seek(0)
    return start


def _count_frames(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1)) if image.format in _MOVING else 1


def _pages_note(pages: int) -> tuple[str, ...]:
    return (f"the first of {pages} pages is taken",) if pages > 1 else ()


def _shallow(image: Image.Image, frames: int) -> Picture:
    notes = () if frames > 1 else _pages_note(int(getattr(image, "n_frames", 1)))
    if frames == 1:
        metadata = metadata_of(image)
        image.load()
        return Picture((from_pil(image).turned(orientation(image)),), metadata, notes=notes)
    durations: list[float] = []
    moving = list(_frames(image, frames, durations))
    if all((raster.alpha == 255).all() for raster in moving if raster.alpha is not None):
        moving = [Raster(raster.pixels, raster.colour, raster.span) for raster in moving]
    metadata = metadata_of(image)
    return Picture(tuple(moving), metadata, tuple(durations), int(image.info.get("loop") or 0))


def _frames(image: Image.Image, count: int, durations: list[float]) -> Iterator[Raster]:
    for number in range(count):
        image.seek(number)
        raster = from_pil(image.convert("RGBA"))
        durations.append(float(image.info.get("duration") or 100))  # WebP's is known once decoded
        yield raster


def _deep_png(stream: BinaryIO, image: Image.Image) -> Picture:
    """A PNG of 16 bits a channel, of which Pillow keeps 8 where there is colour or alpha."""
    import imagecodecs

    metadata, lies = metadata_of(image), orientation(image)
    stream.seek(0)
    pixels = imagecodecs.png_decode(stream.read())
    return Picture((split_alpha(pixels).turned(lies),), metadata)


def split_alpha(pixels: NDArray[Any]) -> Raster:
    """A raster of pixels (H, W) or (H, W, 1 to 4): grey, grey and alpha, RGB, RGBA."""
    count = 1 if pixels.ndim == 2 else pixels.shape[2]
    alpha = pixels[:, :, -1] if count in (2, 4) else None
    colours = pixels if count in (1, 3) else pixels[:, :, :-1]
    return checked(colours, "grey" if count < 3 else "rgb", alpha)


def _read_npy(stream: BinaryIO, label: str, max_pixels: int) -> Raster:
    shape, in_columns, dtype = _npy_header(stream, label)
    check_pixels(label, shape[1], shape[0], 1, max_pixels)
    count = math.prod(shape)
    wanted, start = count * dtype.itemsize, stream.tell()
    missing = start + wanted - stream.seek(0, os.SEEK_END)
    if missing > 0:
        raise ValueError(f"{missing:,} bytes are missing")
    stream.seek(start)
    data = stream.read(wanted)
    array = np.frombuffer(data, dtype, count).reshape(shape, order="F" if in_columns else "C")
    array = array.astype(dtype.newbyteorder("="))
    bands = 1 if array.ndim == 2 else shape[2]
    return checked(array, {1: "grey", 3: "rgb"}.get(bands, "bands"))  # type: ignore[arg-type]


def _npy_header(stream: BinaryIO, label: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type."""
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"NPY of version {version}")
    shape, in_columns, dtype = read_header(stream)
    if len(shape) not in (2, 3) or dtype.kind not in "uif":
        raise PictureError(
            f"{label} holds an array of {dtype} of shape {shape}; expected numbers of shape "
            "(height, width) or (height, width, bands)"
        )
    return shape, in_columns, dtype
