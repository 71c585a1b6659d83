"""What keeps the decoders of pictures from printing, and from taking a stream that never ends."""

from __future__ import annotations

import ctypes
import functools
import io
import logging
from contextlib import suppress
from typing import BinaryIO

# They log some of what they also raise, which Python prints unless somebody takes it.
for name in ("PIL", "tifffile", "imagecodecs"):
    logging.getLogger(name).addHandler(logging.NullHandler())


@functools.cache
def silence_libtiff() -> None:
    """libtiff prints what it finds wrong by itself, past every stream of Python; what counts of it,
    Pillow raises.
    """
    from PIL import _imaging

    with suppress(OSError, AttributeError):  # a build that hides libtiff stays as it is
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def read_stream(source: BinaryIO, most: int) -> io.BytesIO:
    """A stream to its end, or to where it is known to have more than so many bytes."""
    copy = io.BytesIO()
    while copy.tell() <= most and (block := source.read(2**20)):
        copy.write(block)
    copy.seek(0)
    return copy
