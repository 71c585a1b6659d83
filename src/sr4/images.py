"""Read and write picture files, and go between their pixels and the [-1, 1] of models.

Pixels are uint8 (H, W, C); models hold float32 (C, H, W) in [-1, 1]. Reading gives 8-bit RGB for
every mode: alpha is dropped, 16-bit grey is scaled to 8 bits.
"""

from __future__ import annotations

import difflib
import io
import os
import secrets
import stat
import warnings
from collections.abc import Iterator
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

_WRITE_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    # A quarter of the time of Pillow's own level, 6, for a tenth more bytes.
    ".png": ("PNG", {"compress_level": 3}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".bmp": ("BMP", {}),
}

WRITE_SUFFIXES = tuple(_WRITE_FORMATS)
"""The suffixes, in lower case, of the files that `write_image` writes."""

_UPRIGHT = {  # EXIF 2.32, tag 0x0112: what brings each orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_LEVELS = (np.arange(256) / 127.5 - 1).astype(np.float32)  # correctly rounded; -1 and 1 are exact
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
def _opened(
    source: str | Path | bytes | BinaryIO,
    name: str | None,
    max_pixels: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Image.Image]:
    """The picture with its header read, not decoded; what Pillow raises becomes PictureError."""
    if isinstance(source, (str, Path)):
        label = repr(name or str(source))
        stream = _open_file(Path(source), label)
    else:
        label = repr(name) if name else "the given picture"
        stream = io.BytesIO(source) if isinstance(source, bytes) else read_stream(source, max_bytes)
    with stream, warnings.catch_warnings():
        # Pillow warns of odd metadata and large sizes; pixels either decode or raise.
        warnings.simplefilter("ignore")
        try:
            if not stream.read(1):
                raise PictureError(f"{label} is empty; expected a picture file: get it again")
            check_size(stream.seek(0, os.SEEK_END), label, max_bytes)
            stream.seek(0)
            with Image.open(stream, formats=_READ_FORMATS) as image:
                if image.format == "TIFF":
                    silence_libtiff()
                if max_pixels is not None and image.width * image.height > max_pixels:
                    raise PictureError(
                        f"{label} is enormous ({image.width}x{image.height}); expected at most "
                        f"{max_pixels:,} pixels: crop it or make it smaller first"
                    )
                yield image
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
        turn = _UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image)
        return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
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


def write_image(image: Image.Image, path: Path, *, overwrite: bool = False) -> None:
    """Write a picture so that `path` holds either all of it or what was there before.

    The suffix decides the format. All are lossless but JPEG (quality 95, full colour resolution).

    Raises:
        PictureError: `path` exists (without `overwrite`), its folder is missing or read-only, the
            suffix is unknown, or the disk is full.
    """
    path = Path(path)
    label = repr(str(path))
    check_output(path, overwrite=overwrite)
    file_format, options = _WRITE_FORMATS[path.suffix.lower()]
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                image.save(file, format=file_format, **options)
                file.flush()
                os.fsync(file.fileno())
            _publish(temporary, path, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise _exists(label) from error
    except FileNotFoundError as error:
        raise _no_folder(path) from error
    except (OSError, ValueError) as error:
        raise PictureError(
            f"{label} cannot be written ({reason(error)}); expected a writable folder and a "
            f"picture that fits {file_format}"
        ) from error


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse what `write_image` would, as far as can be told beforehand; worth asking before long
    work.

    Raises:
        PictureError: `path` exists (without `overwrite`), its folder is missing, or the suffix is
            unknown.
    """
    label = repr(str(path))
    if path.suffix.lower() not in _WRITE_FORMATS:
        raise PictureError(
            f"got the output {label}; expected one of the suffixes {', '.join(_WRITE_FORMATS)}"
        )
    if not overwrite and os.path.lexists(path):
        raise _exists(label)
    if not path.parent.exists():
        raise _no_folder(path)


def _no_folder(path: Path) -> PictureError:
    return PictureError(
        f"the folder {str(path.parent)!r} does not exist; expected a folder to write "
        f"{path.name!r} into: make it first"
    )


def _exists(label: str) -> PictureError:
    return PictureError(
        f"{label} exists already; expected a new file: use --overwrite to replace it"
    )


def _publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Give the finished file its name. A link, unlike a rename, fails if the name is taken."""
    if not overwrite:
        try:
            os.link(temporary, path)
            return
        except FileExistsError:
            raise
        except OSError:  # no links on this file system: claim the name, then replace our own file
            path.open("xb").close()
    os.replace(temporary, path)


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
    return np.take(_LEVELS, np.moveaxis(pixels, -1, -3))


def quantise(array: ArrayLike) -> NDArray[np.uint8]:
    """The nearest 8-bit pixels, clipped: (..., C, H, W) in [-1, 1] to uint8 (..., H, W, C)."""
    values = np.asarray(array)
    if np.isnan(values).any():
        raise PictureError("got pixels that are not a number; expected values in [-1, 1]")
    levels = np.rint((np.clip(values, -1.0, 1.0) + 1) * 127.5).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, -3, -1))


def to_image(array: ArrayLike) -> Image.Image:
    """An RGB or grey picture of an array (C, H, W) in [-1, 1], with C of 3 or 1."""
    pixels = quantise(array)
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
        raise PictureError(
            f"got an array of shape {np.shape(array)}; expected (C, H, W) with 1 or 3 channels"
        )
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)


def list_images(path: str | Path) -> list[Path]:
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
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
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
