"""Read and write picture files, and go between their pixels and the [-1, 1] of models.

Pixels are uint8 (H, W, C); models hold float32 (C, H, W) in [-1, 1]. Reading gives 8-bit RGB for
every mode: alpha is dropped, 16-bit grey is scaled to 8 bits.
"""

from __future__ import annotations

import difflib
import io
import os
import stat
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base as ExifTag

from sr4.decoders import read_stream, silence_libtiff
from sr4.errors import PictureError

# Formats with a signature of their own: others are guessed from bytes that fit anything (TGA), or
# run a program (EPS). The frequent ones come first, since Pillow tries them in this order.
_READ_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")

# fmt: off
SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp",
    ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif",
))
# fmt: on
"""The suffixes, in lower case, of the files that `read_image` reads."""

MAX_BYTES = 2**30
"""The largest file that `read_image` reads unless told otherwise: some decoders take it whole."""

_UPRIGHT: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: np.rot90,
}

LEVELS = (np.arange(256) / 127.5 - 1).astype(np.float32)
"""[-1, 1] of the 256 levels, correctly rounded; -1 and 1 are exact."""

_MANY_SIBLINGS = 5000  # beyond this, looking for a similar name would take longer than it helps


@dataclass(frozen=True)
class Header:
    """What a picture file says of itself before its pixels are decoded."""

    format: str
    mode: str  # Pillow's name, such as "RGB", "L" or "I;16"
    width: int
    height: int


def reason(error: BaseException) -> str:
    """What an error says, in one line without the file name that an OSError adds."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def missing_path(path: Path) -> str:
    """The line for a path that does not exist, with the nearest name that does."""
    absent = path
    while absent != absent.parent and not os.path.exists(absent.parent):
        absent = absent.parent
    try:
        siblings = os.listdir(absent.parent)
    except OSError:  # a folder that may not be listed offers no hint
        siblings = []
    few = siblings if len(siblings) <= _MANY_SIBLINGS else []
    close = difflib.get_close_matches(absent.name, few, n=1, cutoff=0.6)
    hint = f": did you mean {str(absent.with_name(close[0]))!r}?" if close else ""
    where = f" (there is no {str(absent)!r})" if absent != path else ""
    return f"{str(path)!r} does not exist{where}{hint}"


def _open_file(path: Path, label: str) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PictureError(
                f"{label} is a folder; expected one picture file: name a file inside it"
            )
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
            raise PictureError(f"{label} is a pipe or a device; expected a picture file")
        return path.open("rb")
    except FileNotFoundError:
        raise PictureError(missing_path(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise PictureError(
            f"{label} cannot be read ({reason(error)}); expected a readable picture file: "
            "check its name and permissions"
        ) from error


@contextmanager
def decoding(
    source: str | Path | bytes | BinaryIO, name: str | None = None, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[BinaryIO, str]]:
    """The bytes of a picture, seekable, and what messages call it; whatever a decoder raises inside
    becomes PictureError.
    """
    stream: BinaryIO
    if isinstance(source, (str, Path)):
        label = repr(name or str(source))
        stream = _open_file(Path(source), label)
    else:
        label = repr(name) if name else "the given picture"
        stream = io.BytesIO(source) if isinstance(source, bytes) else read_stream(source, max_bytes)
    with stream, warnings.catch_warnings():
        # Decoders warn of odd metadata and large sizes; pixels either decode or raise.
        warnings.simplefilter("ignore")
        try:
            if not stream.read(1):
                raise PictureError(f"{label} is empty; expected a picture file: get it again")
            check_size(stream.seek(0, os.SEEK_END), label, max_bytes)
            stream.seek(0)
            yield stream, label
        except PictureError:
            raise
        except UnidentifiedImageError as error:
            raise PictureError(
                f"{label} is not a picture, or is damaged at its start; expected one of "
                f"{', '.join(_READ_FORMATS)}"
            ) from error
        except Image.DecompressionBombError as error:
            raise PictureError(f"{label} is enormous: {reason(error)}") from error
        except Exception as error:  # damaged bytes make decoders raise nearly every type
            raise PictureError(
                f"{label} cannot be decoded ({reason(error)}); expected a whole picture file: it "
                "is truncated, damaged or of an unknown kind, get it again or convert it"
            ) from error


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


def open_stream(stream: BinaryIO) -> Image.Image:
    """The picture with its header read, not decoded; raises what Pillow does."""
    image = Image.open(stream, formats=_READ_FORMATS)
    if image.format == "TIFF":
        silence_libtiff()
    return image


def check_pixels(label: str, width: int, height: int, frames: int, max_pixels: int) -> None:
    """Refuse a picture of too many pixels, before they are decoded.

    Raises:
        PictureError: says how many there are.
    """
    if width * height * frames > max_pixels:
        each = f"{frames} frames of " if frames > 1 else ""
        raise PictureError(
            f"{label} is enormous ({each}{width}x{height}); expected at most {max_pixels:,} "
            "pixels: crop it or make it smaller first"
        )


def check_size(size: int, label: str, max_bytes: int = MAX_BYTES) -> None:
    """Refuse a picture file by its size.

    Raises:
        PictureError: it has more bytes than `max_bytes`.
    """
    if size > max_bytes:
        raise PictureError(
            f"{label} is a file of more than {max_bytes:,} bytes; expected a smaller one: save the "
            "picture in a compressed format"
        )


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


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (H, W) or (H, W, C) as they are to be seen, given how they lie (EXIF 2.32, tag 0x0112:
    1 to 8; others count as 1).
    """
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def orientation(image: Image.Image) -> int:
    """How the pixels lie (EXIF 2.32, tag 0x0112). Of a TIFF, Pillow has turned them once loaded."""
    try:
        return int(image.getexif().get(ExifTag.Orientation, 1))
    except Exception:  # noqa: BLE001 - a damaged EXIF block does not damage the pixels
        return 1


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


def to_array(image: Image.Image | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels as models take them: float32 (C, H, W) in [-1, 1], levels at multiples of 1 / 127.5.

    Args:
        image: RGB or grey ("L") picture, or uint8 pixels (..., H, W, C).
    """
    if isinstance(image, Image.Image) and image.mode not in ("RGB", "L"):
        raise PictureError(f"got a picture of mode {image.mode}; expected RGB or L: convert it")
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise PictureError(f"got pixels of type {pixels.dtype}; expected uint8")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.take(LEVELS, np.moveaxis(pixels, -1, -3))


def quantise(array: ArrayLike) -> NDArray[np.uint8]:
    """The nearest 8-bit pixels, clipped: (..., C, H, W) in [-1, 1] to uint8 (..., H, W, C)."""
    values = np.asarray(array)
    if np.isnan(values).any():
        raise PictureError("got pixels that are not a number; expected values in [-1, 1]")
    levels = np.rint((np.clip(values, -1.0, 1.0) + 1) * 127.5).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, -3, -1))


def shown(array: ArrayLike) -> NDArray[Any]:
    """What a picture of any number of channels (C, H, W) is shown by: the first three, or the
    first, where there are no three.
    """
    channels = np.asarray(array)
    return channels[:3] if len(channels) >= 3 else channels[:1]


def to_image(array: ArrayLike) -> Image.Image:
    """An RGB or grey picture of an array (C, H, W) in [-1, 1], with C of 3 or 1."""
    pixels = quantise(array)
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
        raise PictureError(
            f"got an array of shape {np.shape(array)}; expected (C, H, W) with 1 or 3 channels"
        )
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)


def list_images(path: str | Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """The picture files under a folder, by suffix, searched recursively and sorted by path.

    Links to folders are followed, each real folder is entered once, so loops end. Hidden files and
    folders (name starts with a dot) are left out: systems and archivers keep their notes there.

    Raises:
        PictureError: the folder, or one inside it, is missing, no folder, or may not be read.
    """
    root = Path(path)
    found: list[Path] = []
    entered: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise error

    try:
        for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in entered:
                folders.clear()
                continue
            entered.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [
                Path(folder, name)
                for name in files
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
            ]
    except FileNotFoundError as error:
        raise PictureError(missing_path(Path(error.filename or root))) from error
    except (OSError, ValueError) as error:
        place = getattr(error, "filename", None) or root
        raise PictureError(
            f"the folder {str(place)!r} cannot be listed ({reason(error)}); expected a readable "
            "folder of pictures"
        ) from error
    return sorted(found, key=lambda file: file.relative_to(root).as_posix())
