"""Pictures whose channels are more or fewer than those of the model that they go through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.errors import PictureError
from sr4.pictures.raster import Raster

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Parts:
    """How N channels go through a model of C: in parts of C, of which a single channel is repeated.

    So grey goes through a model of RGB as three equal channels, whose results are averaged (D being
    linear, the mean fits low_res as the three do); of CMYK the three colours go together and black
    alone; and a model of grey takes any channel alone.

    Args:
        raster: a picture for the model; channels: C.

    Raises:
        PictureError: they do not fit.
    """

    raster: Raster
    channels: int

    def __post_init__(self) -> None:
        count = self.raster.pixels.shape[2]
        fits = count == self.channels or self.channels == 1
        colours = self.channels == 3 and self.raster.colour != "bands"
        if not fits and not colours:
            what = {"bands": "bands", "rgb": "RGB channels"}.get(self.raster.colour, "channels")
            raise PictureError(
                f"got a picture of {count} {what} for a model of {self.channels} channels; "
                "expected as many: choose another model"
            )

    def __len__(self) -> int:
        count: int = self.raster.pixels.shape[2]
        return -(-count // self.channels)

    def split(self) -> list[Floats]:
        """The parts, each (C, h, w) in [-1, 1]."""
        unit, size = self.raster.unit, self.channels
        parts = [unit[first : first + size] for first in range(0, len(unit), size)]
        return [
            part if len(part) == size else np.repeat(part, size // len(part), axis=0)
            for part in parts
        ]

    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The channels (N, H, W) of the parts' results."""
        left = self.raster.pixels.shape[2]
        joined = []
        for part in parts:
            alone = left == 1 < self.channels
            joined.append(part.mean(axis=0, keepdims=True) if alone else part)
            left -= self.channels
        return joined[0] if len(joined) == 1 else np.concatenate(joined)
