"""Sources of picture files: what is alike wherever the bytes are."""

from __future__ import annotations

import posixpath
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sr4.data.decoded import Pixels, decoded, raster_of
from sr4.errors import BadPictureError, DataError, PictureError
from sr4.pictures import READ_SUFFIXES
from sr4.pictures.decoding import check_size
from sr4.pictures.finding import nothing_found
from sr4.pictures.raster import Range


class EncodedSource(ABC):
    """A source of picture files; a subclass says where their bytes are."""

    kind: str
    channels = 3
    """Of the pixels: 3 for RGB, 1 for grey, any other number for pictures of as many bands."""
    data_range: Range | None = None
    """The values that stand for black and white; None for 8 bits of whatever the pictures have."""

    def __init__(
        self,
        location: str,
        names: Sequence[str],
        paths: Sequence[Path],
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        if not names:
            raise DataError(f"{location!r} {nothing_found(left_out or {})}")
        self.location = location
        self.names = names
        self.paths = tuple(paths)
        """The folders or files that the source reads."""
        self.left_out = left_out or {}
        """How many files of a folder are no pictures, by suffix."""

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def read_bytes(self, index: int) -> bytes:
        """One picture as an encoded file."""

    def label(self, index: int) -> str:
        """What messages call one picture: the source and the picture's name in it."""
        return f"{self.location}: {self.names[index]}"

    def read(self, index: int) -> Pixels:
        """Pixels (H, W, C) of one picture; errors as in `Source.read`."""
        try:
            data = self.read_bytes(index)
            return decoded(data, self.label(index), self.channels, self.data_range)
        except PictureError as error:
            raise BadPictureError(str(error)) from error

    def numbers(self, index: int) -> NDArray[Any]:
        """Those of one picture, (H, W, C), as its file holds them; errors as in `Source.read`."""
        try:
            return raster_of(self.read_bytes(index), self.label(index), self.channels).pixels
        except PictureError as error:
            raise BadPictureError(str(error)) from error

    def _check_size(self, index: int, size: int) -> None:
        """Before a member is read: it comes into memory whole."""
        try:
            check_size(size, repr(self.label(index)))
        except PictureError as error:
            raise BadPictureError(str(error)) from error

    def _unreadable(self, index: int, why: str) -> DataError:
        return DataError(
            f"{self.label(index)!r} cannot be read ({why}); expected the picture that was there "
            "when the source was opened: start again"
        )


def is_picture(name: str) -> bool:
    """Whether a member of a source is one of its pictures: by its suffix, and not hidden."""
    base = posixpath.basename(name)
    return not base.startswith(".") and posixpath.splitext(base)[1].lower() in READ_SUFFIXES
