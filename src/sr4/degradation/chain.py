"""Degradations one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sr4.degradation.enlarging import enlarged
from sr4.degradation.operator import MARGIN, Degradation, centres, resize, scaled
from sr4.degradation.protocols import Array, Centres, Floats, Place, near

if TYPE_CHECKING:
    from typing_extensions import Self

_ALL = slice(None)


@dataclass(frozen=True)
class DegradationChain:
    """Degradations one after the other: `D_1(D_2(... D_n(x)))`, linear as each of them.

    Bicubic downscaling by 4 and then by 8 is not the one by 32, so a cascade of models has its own.

    Args:
        parts: D_1 to D_n, in the order of the models: the last one is applied first.
    """

    parts: tuple[Degradation, ...]

    @property
    def scale(self) -> int:
        """The product of the scales."""
        return math.prod(part.scale for part in self.parts)

    def __call__(self, x: Array) -> Array:
        """(..., H, W) to (..., H / scale, W / scale)."""
        for part in reversed(self.parts):
            x = part(x)
        return x

    def blurred(self, deviation: float) -> Self:
        """The chain with a blur of that deviation, in pixels, before its last downscaling."""
        first, *others = self.parts
        return replace(self, parts=(first.blurred(deviation), *others))

    @property
    def reach(self) -> int:
        """See `Degradation.reach`."""
        return self.parts[0].reach

    def cut(self, rows: slice = _ALL, columns: slice = _ALL) -> tuple[Self, Place]:
        """See `Degradation.cut`."""
        return self, self.place(rows, columns)

    def place(self, rows: slice = _ALL, columns: slice = _ALL) -> Place:
        """See `Degradation.place`."""
        return scaled(rows, self.scale), scaled(columns, self.scale)

    def centres(self, size: tuple[int, int]) -> Centres:
        """See `Degrades.centres`."""
        return centres(size, self.scale)

    def descent(self, y: Array) -> Array:
        """See `Degrades.descent`: each part makes of what is to grow what is to grow before it."""
        for part in self.parts:
            y = part.descent(y)
        return y

    def enlarge(self, low_res: Floats, rows: slice = _ALL) -> Floats:
        """See `Degradation.enlarge`."""
        around, inside = near(rows, low_res.shape[-2], MARGIN + self.reach)
        given = low_res[..., around, :]
        size = [side * self.scale for side in given.shape[-2:]]
        fitted = enlarged(self, resize(given, *size), given)
        return fitted[..., self.place(inside)[0], :]
