"""Pictures of one size from pictures of any."""

from __future__ import annotations

from collections.abc import Sequence

from sr4.data.decoded import Pixels
from sr4.data.prepare import central_square
from sr4.data.sources import Source
from sr4.errors import BadPictureError


class ResizedSource:
    """A source whose pictures are cropped to their central square and brought to one size as they
    are read, as `prepare` would once for all; pictures of that size stay as they are.

    Args:
        source: pictures at least that large.
        size: their height and width from now on.
    """

    def __init__(self, source: Source, size: int) -> None:
        self._source, self._size = source, size

    @property
    def location(self) -> str:
        """What messages call the source."""
        return self._source.location

    @property
    def names(self) -> Sequence[str]:
        """The names of the pictures."""
        return self._source.names

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Pixels:
        """Pixels (size, size, C) of one picture.

        Raises:
            DataError: as other sources do, and a BadPictureError for one that is smaller.
        """
        pixels = self._source.read(index)
        if pixels.shape[:2] == (self._size, self._size):
            return pixels
        try:
            return central_square(pixels, self._size)
        except BadPictureError as error:
            raise BadPictureError(f"{self.location}: {self.names[index]}: {error}") from error
