"""Picture files as 8-bit RGB of any mode, upright: alpha is dropped, 16-bit grey becomes 8 bits.

Training and scoring read these; `sr4.pictures.reading` keeps mode and depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as ExifTag

from sr4.pictures.decoding import MAX_BYTES, check_pixels, decoding, open_stream

_UPRIGHT: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: np.rot90,
}
_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """What a picture file says of itself before its pixels are decoded."""

    format: str
    mode: str  # Pillow's name, such as "RGB", "L" or "I;16"
    width: int
    height: int


def read_header(source: str | Path | bytes | BinaryIO, *, name: str | None = None) -> Header:
    """Format, mode and size of a picture, without decoding it. Errors as in `read_image`."""
    with _opened(source, name) as image:
        return Header(str(image.format), image.mode, image.width, image.height)


def read_image(
    source: str | Path | bytes | BinaryIO,
    *,
    max_pixels: int = 100_000_000,
    max_bytes: int = MAX_BYTES,
    name: str | None = None,
) -> Image.Image:
    """A picture as 8-bit RGB, upright (EXIF orientation applied), wholly decoded.

    Of an animation the first frame. The result carries no metadata.

    Args:
        source: a file, the bytes of one, or a binary stream read to its end.
        max_pixels: the limit on width times height, checked before anything is decoded.
        max_bytes: the limit on the file's size; what decoders read of it stays below.
        name: what messages call the picture; a path names itself.

    Raises:
        PictureError: missing, empty, truncated, enormous, no picture, or a folder.
    """
    with _opened(source, name, max_pixels, max_bytes) as image:
        image.load()
        lies, rgb = orientation(image), _to_rgb(image)
        return rgb if lies == 1 else Image.fromarray(upright(np.asarray(rgb), lies))


@contextmanager
def _opened(
    source: str | Path | bytes | BinaryIO,
    name: str | None,
    max_pixels: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Image.Image]:
    with decoding(source, name, max_bytes) as (stream, label), open_stream(stream) as image:
        if max_pixels is not None:
            check_pixels(label, image.width, image.height, 1, max_pixels)
        yield image


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (H, W) or (H, W, C) as they are to be seen, given how they lie (EXIF 2.32, tag 0x0112:
    1 to 8; others count as 1).
    """
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height as they are to be seen, given how the pixels lie."""
    return size[::-1] if orientation in _SIDEWAYS else size


def orientation(image: Image.Image) -> int:
    """How the pixels lie, 1 to 8 (EXIF 2.32, tag 0x0112), by EXIF, or by XMP where EXIF is silent.
    Of a TIFF, Pillow has turned them once loaded.
    """
    try:
        lies = int(image.getexif().get(ExifTag.Orientation, 1))
    except Exception:  # noqa: BLE001 - a damaged EXIF block does not damage the pixels
        return 1
    return lies if lies in _UPRIGHT else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """A copy in RGB, 8 bits, without metadata."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow also holds it as 32-bit "I"
        grey = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    # These have no direct way to RGB, or warn of lost transparency.
    between = {"P": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}.get(image.mode)
    if between is not None:
        image = image.convert(between)
    rgb = image.convert("RGB")
    rgb.info = {}
    return rgb
