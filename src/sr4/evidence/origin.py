"""The files that pictures come from, as far as they say what happened to these."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import PictureError
from sr4.evidence.webp import compression_noise
from sr4.pictures.decoding import decoding, open_stream
from sr4.pictures.rgb import orientation

_JPEG = ("JPEG", "MPO")


@dataclass(frozen=True)
class Origin:
    """What is known of the file of a picture.

    Attributes:
        format: Pillow's name of it, such as "JPEG".
        source: its path or its bytes, as far as they can still be read.
        tables: of a JPEG, (8, 8) each, by number.
        step: of a JPEG, pixels to a sample of colour, along each axis.
        orientation: by which its pixels were turned upright (EXIF 2.32, tag 0x0112); 1 if not.
        is_read_here: whether the pixels were read from it by us, so that nobody has changed them.
        is_indexed: whether its pixels are those of a palette, as in GIF files.
        compression: deviation of what lossy compression other than JPEG has changed, in levels of
            255, where the file tells it; 0 if the pixels are not its own any more.
    """

    format: str
    source: Path | bytes | None = None
    tables: tuple[NDArray[Any], ...] = ()
    step: tuple[int, int] | None = None
    orientation: int = 1
    is_read_here: bool = False
    is_indexed: bool = False
    compression: float = 0.0

    @property
    def is_jpeg(self) -> bool:
        """Whether it is a JPEG file, or begins with one."""
        return self.format in _JPEG


def file_origin(path: Path | bytes) -> Origin | None:
    """The origin of a picture file, or of the bytes of one, which `sr4.pictures.read_picture` turns
    upright; None where Pillow does not read it.
    """
    try:
        with decoding(path) as (stream, _), open_stream(stream) as image:
            found = _origin(image, path)
            return replace(found, orientation=orientation(image), is_read_here=True)
    except PictureError:  # TIFF of many bands, NPY; what is damaged has been refused before
        return None


def pillow_origin(image: Image.Image) -> Origin | None:
    """The origin of a picture that Pillow has opened, and that is turned upright; None
    for one that was made in memory.
    """
    if image.format is None:
        return None
    source: Path | bytes | None = None
    name = getattr(image, "filename", "")
    if image.format in (*_JPEG, "WEBP"):
        with suppress(OSError, ValueError):
            source = Path(name) if name and Path(name).is_file() else _bytes(image)
    found = _origin(image, source)
    if found.compression and not _is_unchanged(image, source):
        found = replace(found, compression=0.0)
    return replace(found, orientation=orientation(image)) if found.is_jpeg else found


def _is_unchanged(image: Image.Image, source: Path | bytes | None) -> bool:
    """Whether the pixels of a picture are still those of its file."""
    try:
        with decoding(source or b"") as (stream, _), open_stream(stream) as file:
            return (file.mode, file.size) == (image.mode, image.size) and (
                file.tobytes() == image.tobytes()
            )
    except PictureError:
        return False


def _bytes(image: Image.Image) -> bytes | None:
    """What an opened picture is being read from."""
    stream = getattr(image, "fp", None)
    if stream is None:
        return None
    place = stream.tell()
    stream.seek(0)
    data: bytes = stream.read()
    stream.seek(place)
    return data


def _origin(image: Image.Image, source: Path | bytes | None) -> Origin:
    quantization: dict[int, Sequence[int]] = getattr(image, "quantization", {}) or {}
    tables = tuple(np.reshape(quantization[key], (8, 8)) for key in sorted(quantization))
    layers = getattr(image, "layer", None) or []
    step = None
    if len(layers) == 3 and all(layers[0][n] % layers[1][n] == 0 for n in (1, 2)):
        step = (layers[0][2] // layers[1][2], layers[0][1] // layers[1][1])
    return Origin(
        str(image.format),
        source,
        tables,
        step,
        is_indexed=image.mode == "P",
        compression=compression_noise(source) if image.format == "WEBP" and source else 0.0,
    )
