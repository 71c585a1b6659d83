"""Picture files to pixels, as deep as the file holds them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import PictureError
from sr4.pictures import nodata, png, tiff
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
from sr4.pictures.raster import Colour, Range, Raster, checked, from_pil, has_levels
from sr4.pictures.rgb import orientation, upright_size

READ_SUFFIXES = SUFFIXES | {".npy"}
"""The suffixes, in lower case, of the files that `read_picture` reads."""

NPY = b"\x93NUMPY"
"""What a file of NumPy's begins with."""

_MOST_BYTES = 8  # of a pixel, in formats other than TIFF and NPY: four samples of 16 bits
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

    def for_model(self, channels: int, data_range: Range | None = None) -> Picture:
        """With all frames as `Raster.for_model` has them."""
        frames = tuple(frame.for_model(channels, data_range) for frame in self.frames)
        return replace(self, frames=frames)


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
            raster, notes = _read_npy(stream, label, max_pixels)
            return Picture((raster,), notes=notes)
        if start.startswith(tiff.SIGNATURES):
            return _read_tiff(stream, label, max_pixels)
        with open_stream(stream) as image:
            first, frames = _count_frames(image)
            check_pixels(label, image.width, image.height, first + frames, max_pixels)
            is_deep = image.format == "PNG" and start[_PNG_DEPTH] == 16
            if is_deep and first + frames == 1:
                return _deep_png(stream, image)
            picture = _shallow(image, first, frames)
            if is_deep:
                note = "its 16 bits are read as 8, as an animation's are"
                picture = replace(picture, notes=(*picture.notes, note))
            return picture


def _read_tiff(stream: BinaryIO, label: str, max_pixels: int) -> Picture:
    found = tiff.read(stream, label, max_pixels)
    notes: tuple[str, ...] = ()
    if found.raster is None:  # which Pillow reads without loss
        stream.seek(0)
        with open_stream(stream) as image:
            image.seek(found.page)
            check_pixels(label, image.width, image.height, 1, max_pixels)
            image.load()  # which turns it
            metadata, notes = metadata_of(image)
            raster = from_pil(image)
    else:
        raster, metadata = found.raster, found.metadata
    return Picture((raster,), metadata, notes=(*notes, *found.notes, *_pages_note(found.pages)))


def _count_frames(image: Image.Image) -> tuple[int, int]:
    """The number of the first frame, and how many there are: an animated PNG may begin with a
    picture for those who cannot show it.
    """
    if image.format not in _MOVING:
        return 0, 1
    first = int(bool(image.info.get("default_image")))
    return first, max(1, int(getattr(image, "n_frames", 1)) - first)


def picture_of(image: Image.Image) -> Picture:
    """A Pillow picture as `read_picture` gives its file: upright, with its metadata. Of an
    animation the frame that it stands at.

    Raises:
        PictureError: it cannot be decoded.
    """
    raster = from_pil(image)
    lies = orientation(image)  # of a TIFF, 1 once it is decoded
    metadata, notes = metadata_of(image, lies)
    return Picture((raster.turned(lies),), metadata, notes=notes)


def natural_suffix(source: Path | bytes) -> str:
    """The suffix of a file that holds the numbers of a result for this one: PNG, wherever that
    does. Of CMYK, which few programs show, it holds the colours in sRGB, as is said then. A file
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
    """Width and height of a picture, upright, as `read_picture` gives it, before anything is
    decoded.

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
            return upright_size(image.size, orientation(image))


def read_frames(source: Path | bytes) -> int:
    """How many frames a picture has, 1 where it does not move, before anything is decoded.

    Raises:
        PictureError: missing, or no picture.
    """
    with decoding(source) as (stream, _):
        start = _start(stream)
        if start.startswith((NPY, *tiff.SIGNATURES)):
            return 1
        with open_stream(stream) as image:
            return _count_frames(image)[1]


def decoded_bytes(source: Path | bytes) -> int:
    """How many bytes the pixels of a picture take at most once they are decoded, before anything
    is; of an animation, those of a frame.

    Raises:
        PictureError: missing, or no picture.
    """
    with decoding(source) as (stream, label):
        start = _start(stream)
        if start.startswith(NPY):
            shape, _, dtype = _npy_header(stream, label)
            return math.prod(shape) * dtype.itemsize
        if start.startswith(tiff.SIGNATURES):
            return tiff.decoded_bytes(stream)
        with open_stream(stream) as image:
            return int(image.width * image.height * _MOST_BYTES)


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


def _pages_note(pages: int) -> tuple[str, ...]:
    if pages < 2:
        return ()
    count = f"more than {pages - 1:,}" if pages > tiff.MOST_PAGES else f"{pages:,}"
    return (f"the first of {count} pages is taken",)


def _shallow(image: Image.Image, first: int, frames: int) -> Picture:
    """The pictures of a file as Pillow holds them, with 8 bits."""
    lies = orientation(image)
    metadata, notes = metadata_of(image, lies)
    if first:
        notes += ("the default image, which is no frame of the animation, is left out",)
        image.seek(first)
    if frames == 1:  # as it stands: that of HEIC is the primary one, wherever it is in the file
        if image.format == "MPO":
            notes += _pages_note(int(getattr(image, "n_frames", 1)))
        image.load()
        return Picture((from_pil(image).turned(lies),), metadata, notes=notes)
    durations: list[float] = []
    moving = [raster.turned(lies) for raster in _frames(image, first, frames, durations)]
    if all((raster.alpha == 255).all() for raster in moving if raster.alpha is not None):
        moving = [Raster(raster.pixels, raster.colour, raster.span) for raster in moving]
    return Picture(tuple(moving), metadata, tuple(durations), _plays(image), notes)


def _frames(image: Image.Image, first: int, count: int, durations: list[float]) -> Iterator[Raster]:
    for number in range(first, first + count):
        image.seek(number)
        raster = from_pil(_rgba(image))
        durations.append(float(image.info.get("duration") or 100))  # WebP's is known once decoded
        yield raster


def _rgba(frame: Image.Image) -> Image.Image:
    """A frame with 8 bits a channel; Pillow would make white of what is grey with 16."""
    if frame.mode.startswith("I"):
        frame = Image.fromarray((np.asarray(frame) >> 8).astype(np.uint8))
    return frame.convert("RGBA")


def _plays(image: Image.Image) -> int:
    """How often an animation is shown, 0 being for ever. A GIF that says nothing of it is shown
    once, and what it says otherwise is how often it begins anew, as browsers read it.
    """
    loop = image.info.get("loop")
    if image.format != "GIF":
        return int(loop or 0)
    return 1 if loop is None else int(loop) and int(loop) + 1


def _deep_png(stream: BinaryIO, image: Image.Image) -> Picture:
    """A PNG of 16 bits a channel, of which Pillow keeps 8 where there is colour or alpha."""
    import imagecodecs

    lies = orientation(image)
    metadata, notes = metadata_of(image, lies)
    pixels = imagecodecs.png_decode(png.split(stream)[0].read())
    return Picture((split_alpha(pixels).turned(lies),), metadata, notes=notes)


def split_alpha(pixels: NDArray[Any]) -> Raster:
    """A raster of pixels (H, W) or (H, W, 1 to 4): grey, grey and alpha, RGB, RGBA."""
    count = 1 if pixels.ndim == 2 else pixels.shape[2]
    alpha = pixels[:, :, -1] if count in (2, 4) else None
    colours = pixels if count in (1, 3) else pixels[:, :, :-1]
    return checked(colours, "grey" if count < 3 else "rgb", alpha)


def _read_npy(stream: BinaryIO, label: str, max_pixels: int) -> tuple[Raster, tuple[str, ...]]:
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
    if bands in (2, 4) and has_levels(array):  # which are bands for a model of as many channels
        return split_alpha(array), ()
    colour: Colour = "grey" if bands == 1 else "rgb" if bands == 3 else "bands"
    return nodata.raster(array.reshape(*shape[:2], bands), colour, None)


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
